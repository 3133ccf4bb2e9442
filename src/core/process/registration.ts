/**
 * What a process is, fixed once and for all by its registration: input, declared event types, who
 * wanted it, what recovery may do with it. It never changes; its hash tells a repeated registration
 * from another one.
 */
import type { Json, JsonObject } from "../shared/json.ts";
import type { InputId, ProcessId, RunId, RuntimeId, SessionId } from "../shared/ids.ts";
import type { Selector } from "./selector.ts";
import type { TaskRegistration } from "./task.ts";
import type { TerminalStatus } from "./terms.ts";

/** What a process works on. An external one is worked on elsewhere and only recorded here. */
export type ProcessInput =
  | {
      readonly type: "tool_call";
      readonly toolName: string;
      readonly callId?: string;
      readonly arguments: Json;
    }
  | { readonly type: "engine"; readonly kind: string; readonly payload: Json }
  | {
      readonly type: "session_turn";
      readonly sessionId?: SessionId;
      /** What the session serves for, such as the capability of a subagent. */
      readonly purpose?: string;
      readonly createRequest: Json;
      readonly turnInput: Json;
      readonly outputContract: Json;
    }
  | { readonly type: "external"; readonly metadata: Json };

/** What makes two wakes for the same runtime the same one. */
export type DedupeKey =
  | { readonly type: "event_identity" }
  | { readonly type: "selector"; readonly selector: Selector }
  | { readonly type: "fixed"; readonly value: string };

/** What an event of a declared type brings about. */
export interface EventSemantics {
  /** The event ends the process. Without a selector the payload is the value of a success. */
  readonly terminal?: { readonly status: TerminalStatus; readonly output?: Selector };
  /** The event wakes a runtime, unless `when` selects something that does not count as true. */
  readonly wake?: {
    readonly when?: Selector;
    readonly input: Selector;
    readonly dedupe: DedupeKey;
  };
}

/** A type of event that a process may log. */
export interface DeclaredEventType {
  readonly name: string;
  /** JSON Schema of the payload; `true` allows everything. */
  readonly payloadSchema: JsonObject | boolean;
  readonly semantics: EventSemantics;
}

/** A session, or one frame of an agent in it. Frame and session are different scopes. */
export interface ProcessScope {
  readonly sessionId: SessionId;
  /** Never empty. */
  readonly agentFrameId?: string;
}

/** What made somebody do something. */
export type ProcessCause =
  | {
      readonly type: "run";
      readonly runtimeId: RuntimeId;
      readonly runId: RunId;
      readonly callId?: string;
    }
  | { readonly type: "input"; readonly runtimeId: RuntimeId; readonly inputId: InputId }
  | { readonly type: "process_event"; readonly processId: ProcessId; readonly sequence: number }
  | { readonly type: "external"; readonly name: string };

/** Who wanted the process, and through what. */
export interface Provenance {
  readonly originator:
    | { readonly type: "host"; readonly scope?: string }
    | { readonly type: "session"; readonly scope: ProcessScope };
  readonly causedBy?: ProcessCause;
  /** Profile of the host that it runs under. */
  readonly hostProfileId?: string;
}

/**
 * Who may run it: any worker, again and again (`rerunnable`); whoever started it (`owner_bound`);
 * nobody here (`externally_owned`).
 */
export type Disposition = "rerunnable" | "owner_bound" | "externally_owned";

/** What a process is called. */
export interface ProcessIdentity {
  /** What workers claim by. */
  readonly kind: string;
  readonly label?: string;
  readonly definition?: string;
}

/** Everything that makes a process what it is. */
export interface ProcessRegistration {
  readonly input: ProcessInput;
  /** By name, the core types among them. */
  readonly eventTypes: readonly DeclaredEventType[];
  readonly provenance: Provenance;
  readonly disposition: Disposition;
  readonly identity: ProcessIdentity;
  readonly labels: Readonly<Record<string, string>>;
  /** Name of the environment that a worker needs. */
  readonly environmentRef?: string;
  /** Runtime that wakes go to when the event names none. */
  readonly wakeRuntimeId?: RuntimeId;
  /** How often it may be claimed; as often as need be when absent. */
  readonly attemptsMax?: number;
  /** Makes the process a background task. */
  readonly task?: TaskRegistration;
}

/** What the folded state keeps of a registration: everything but the input. */
export type RegisteredProcess = Omit<ProcessRegistration, "input">;
