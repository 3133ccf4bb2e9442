/** Branded identifiers: plain strings and numbers that cannot be mixed up by mistake. */

declare const brand: unique symbol;

/** A value of type `Base` that only the matching constructor below may produce. */
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Isolation scope of every stream; 1 to 256 printable bytes. */
export type Namespace = Branded<string, "Namespace">;
/** Name of a runtime, chosen by the client; 1 to 256 printable bytes. */
export type RuntimeId = Branded<string, "RuntimeId">;
/** Name of an input, chosen by the client or a UUIDv7 made at the edge. */
export type InputId = Branded<string, "InputId">;
/** Name of a run, a UUID minted when the run is staged. */
export type RunId = Branded<string, "RunId">;
/** Stable name of an executor across its restarts. */
export type ExecutorId = Branded<string, "ExecutorId">;
/** One life of an executor process; dead for good once its lease register lapsed. */
export type IncarnationId = Branded<string, "IncarnationId">;
/** Identity of a runtime's working life; rotated by Reset and Recover only. */
export type EpochId = Branded<string, "EpochId">;
/** Name of an operation, chosen by the client or a UUIDv7 made at the edge. */
export type OperationId = Branded<string, "OperationId">;
/** Name of a process, chosen by the client; 1 to 256 printable bytes without `#`. */
export type ProcessId = Branded<string, "ProcessId">;
/** Stable name of whoever holds process leases, across its restarts. */
export type OwnerId = Branded<string, "OwnerId">;
/** Secret of one process lease: whoever presents it with the generation is the holder. */
export type LeaseToken = Branded<string, "LeaseToken">;
/** Name of a session; the runtime of the session has the same one. */
export type SessionId = Branded<string, "SessionId">;
/** Full name of a stream: `<kind>/<namespace>/<id>`, each component percent-encoded. */
export type StreamName = Branded<string, "StreamName">;

/** Position of a commit in its stream; the first commit has revision 1, 0 means "no commit". */
export type Revision = number;
/** Fencing token of a lease; 0 means "never granted", bumped by every new grant. */
export type Generation = number;
/** Milliseconds since the Unix epoch, in database time. */
export type TimeMs = number;

/** Marks an already validated string as a namespace. */
export const namespaceOf = (text: string): Namespace => text as Namespace;
/** Marks an already validated string as a runtime id. */
export const runtimeIdOf = (text: string): RuntimeId => text as RuntimeId;
/** Marks an already validated string as an input id. */
export const inputIdOf = (text: string): InputId => text as InputId;
/** Marks an already validated string as a run id. */
export const runIdOf = (text: string): RunId => text as RunId;
/** Marks an already validated string as an executor id. */
export const executorIdOf = (text: string): ExecutorId => text as ExecutorId;
/** Marks an already validated string as an incarnation id. */
export const incarnationIdOf = (text: string): IncarnationId => text as IncarnationId;
/** Marks an already validated string as an epoch id. */
export const epochIdOf = (text: string): EpochId => text as EpochId;
/** Marks an already validated string as an operation id. */
export const operationIdOf = (text: string): OperationId => text as OperationId;
/** Marks an already validated string as a process id. */
export const processIdOf = (text: string): ProcessId => text as ProcessId;
/** Marks an already validated string as an owner id. */
export const ownerIdOf = (text: string): OwnerId => text as OwnerId;
/** Marks an already validated string as a lease token. */
export const leaseTokenOf = (text: string): LeaseToken => text as LeaseToken;
/** Marks an already validated string as a session id. */
export const sessionIdOf = (text: string): SessionId => text as SessionId;
/** Marks an already composed string as a stream name. */
export const streamNameOf = (text: string): StreamName => text as StreamName;
