// What a fault run over processes records: what clients and workers were answered, what watchers
// saw, and what the server says about every process once all is quiet. The checker judges it.
import { z } from "zod";

const count = z.int().nonnegative();
const text = z.string();

const hold = {
  worker: text,
  incarnationId: text,
  processId: text,
  generation: count,
};

const ended = { state: text, output: text, sequence: count };

/** One line of a history; every entry but the ones about sending is an answer. */
export const processEntrySchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("registered"), processId: text }),
  /** An append was answered; generation 0 stands for one without a lease. */
  z.object({
    type: z.literal("appended"),
    writer: text,
    processId: text,
    key: text,
    content: text,
    generation: count,
    sequence: count,
    revision: count,
    replayed: z.boolean(),
  }),
  /** A worker got a hold. */
  z.object({ type: z.literal("claimed"), ...hold, leaseToken: text, revision: count }),
  /** A worker gave its hold back. */
  z.object({ type: z.literal("released"), ...hold, revision: count }),
  /** A completion was accepted; generation 0 stands for one by authority. */
  z.object({ type: z.literal("completed"), ...hold, ...ended }),
  /** A write of a worker was refused because the process is not its own any more. */
  z.object({ type: z.literal("refused"), ...hold, reason: text }),
  /** One who waited was told the end. */
  z.object({ type: z.literal("awaited"), processId: text, ...ended }),
  /** A grant is about to be asked for. */
  z.object({ type: z.literal("granting"), processId: text, sessionId: text }),
  z.object({ type: z.literal("granted"), processId: text, sessionId: text }),
  z.object({ type: z.literal("revoked"), processId: text, sessionId: text }),
  z.object({ type: z.literal("moved"), processIds: z.array(text), from: text, to: text }),
  /** The deletion of a session's state is about to be asked for. */
  z.object({ type: z.literal("deleting"), sessionId: text }),
  z.object({
    type: z.literal("deleted"),
    sessionId: text,
    cancelled: z.array(text),
    preserved: z.array(text),
  }),
  /** A follower of one process begins, or resumes behind a sequence. */
  z.object({
    type: z.literal("follow_opened"),
    watcher: text,
    processId: text,
    afterSequence: count,
  }),
  z.object({
    type: z.literal("followed"),
    watcher: text,
    processId: text,
    sequence: count,
    eventType: text,
  }),
  /** A watcher of all processes begins, or resumes behind its last bookmark. */
  z.object({ type: z.literal("watch_opened"), watcher: text }),
  z.object({
    type: z.literal("watched"),
    watcher: text,
    processId: text,
    revision: count,
    state: text,
    lastSequence: count,
  }),
]);

/** See {@link processEntrySchema}. */
export type ProcessEntry = z.infer<typeof processEntrySchema>;
/** The entries of one type. */
export type ProcessEntryOf<Type extends ProcessEntry["type"]> = Extract<
  ProcessEntry,
  { readonly type: Type }
>;

/** One event as the server lists it at the end. */
export interface FinalProcessEvent {
  readonly sequence: number;
  readonly eventType: string;
  /** Its replay key; empty when it has none. */
  readonly key: string;
  readonly content: string;
  /** Generation of the lease that it was written under; 0 when under none. */
  readonly generation: number;
  readonly revision: number;
  /** The state that the process ended in with it; empty when it did not end it. */
  readonly terminalState: string;
  /** The runtime that it woke; empty when none. */
  readonly wakeRuntimeId: string;
}

/** What the server says about one process when all is quiet. */
export interface FinalProcess {
  readonly processId: string;
  readonly revision: number;
  readonly state: string;
  /** Generation of the last hold. */
  readonly generation: number;
  /** How it ended; absent when it did not. */
  readonly end?: { readonly state: string; readonly output: string; readonly sequence: number };
  readonly lastSequence: number;
  readonly events: readonly FinalProcessEvent[];
  /** Sessions that have a grant of it, once per grant. */
  readonly sessionIds: readonly string[];
}

/** The keys of the inputs of a runtime, in order of admission. */
export interface FinalInbox {
  readonly runtimeId: string;
  readonly keys: readonly string[];
}

/** The processes that the list of a session shows. */
export interface FinalHandles {
  readonly sessionId: string;
  readonly processIds: readonly string[];
}

/** Everything there is to judge. */
export interface ProcessHistory {
  /** In the order of each writer, and of all clients. */
  readonly entries: readonly ProcessEntry[];
  readonly processes: readonly FinalProcess[];
  readonly inboxes: readonly FinalInbox[];
  readonly handles: readonly FinalHandles[];
}

/** The entries of one type, in the order of their recording. */
export function processEntriesOf<Type extends ProcessEntry["type"]>(
  entries: readonly ProcessEntry[],
  type: Type,
): readonly ProcessEntryOf<Type>[] {
  return entries.filter((entry): entry is ProcessEntryOf<Type> => entry.type === type);
}

/** Reason that the server gives for cancelling the orphans of a session. */
export const ORPHAN_REASON = "session deleted";
