/**
 * The input model: six kinds under one header. This is the canonical, stored form of an input
 * (camel case JSON); `rpc/` translates it from and to the wire.
 */
import type { Json, JsonObject } from "../shared/json.ts";
import type { InputId, TimeMs } from "../shared/ids.ts";

/** Where an input comes from. */
export type InputSource =
  | { readonly type: "operator" }
  | { readonly type: "peer"; readonly peerId: string; readonly runtimeId?: string }
  | { readonly type: "flow"; readonly flowId: string; readonly stepIndex: number }
  | { readonly type: "system" }
  | { readonly type: "external"; readonly sourceName: string };

/** `durable` and `derived` are committed before the answer; `ephemeral` may be lost. */
export type Durability = "durable" | "ephemeral" | "derived";

/** `queue`: waits for a run of its own turn. `steer`: joins at the next run checkpoint. */
export type HandlingMode = "queue" | "steer";

/** Binary content: inline as base64 text, or the blob of the namespace with this digest. */
export type BinaryContent = { readonly base64: string } | { readonly blobDigest: string };

/** A piece of content. */
export type ContentBlock =
  | { readonly type: "text"; readonly text: string }
  | ({ readonly type: "image"; readonly mediaType: string } & BinaryContent)
  | ({
      readonly type: "video";
      readonly mediaType: string;
      readonly durationMs: number;
    } & BinaryContent);

/** How a peer message is meant. */
export type PeerConvention =
  | { readonly type: "message" }
  | { readonly type: "request"; readonly peerRequestId: string; readonly intent: string }
  | {
      readonly type: "response_progress";
      readonly peerRequestId: string;
      readonly phase: "accepted" | "in_progress" | "partial_result";
    }
  | {
      readonly type: "response_terminal";
      readonly peerRequestId: string;
      readonly status: "completed" | "failed" | "cancelled";
    };

/** News of an operation, consumed on accept. */
export type OperationNews =
  | {
      readonly type: "started";
      readonly id: string;
      readonly operationKind: "tool_call" | "shell_command";
    }
  | {
      readonly type: "progress";
      readonly id: string;
      readonly message: string;
      readonly percent?: number;
    }
  | { readonly type: "completed"; readonly id: string; readonly result: Json }
  | { readonly type: "failed"; readonly id: string; readonly error: string }
  | { readonly type: "cancelled"; readonly id: string };

/** How an input is shown in a transcript. */
export interface RenderMetadata {
  readonly class?:
    | "user_prompt"
    | "peer_message"
    | "peer_request"
    | "peer_response"
    | "external_event"
    | "flow_step"
    | "continuation"
    | "system_notice"
    | "tool_scope_notice"
    | "ops_progress";
  readonly salience?: "background" | "normal" | "important" | "urgent";
}

/** Wishes of an input for the turn that it becomes part of; all optional. */
export interface TurnMetadata {
  readonly handlingMode?: HandlingMode;
  readonly keepAlive?: boolean;
  readonly skillReferences?: readonly string[];
  readonly flowToolOverlay?: {
    readonly allowedTools?: readonly string[];
    readonly blockedTools?: readonly string[];
  };
  readonly additionalInstructions?: readonly string[];
  readonly model?: string;
  readonly provider?: string;
  readonly providerParams?: Json;
  readonly renderMetadata?: RenderMetadata;
  readonly executionKind?: "content_turn" | "resume_pending";
}

/** What an input says; the discriminator is `type`. */
export type InputBody =
  | {
      readonly type: "prompt";
      readonly text: string;
      readonly blocks?: readonly ContentBlock[];
      readonly turnMetadata?: TurnMetadata;
    }
  | {
      readonly type: "peer";
      readonly convention?: PeerConvention;
      readonly body: string;
      readonly blocks?: readonly ContentBlock[];
      readonly handlingMode?: HandlingMode;
    }
  | {
      readonly type: "flow_step";
      readonly stepId: string;
      readonly instructions: string;
      readonly blocks?: readonly ContentBlock[];
      readonly turnMetadata?: TurnMetadata;
    }
  | {
      readonly type: "external_event";
      readonly eventType: string;
      readonly payload: Json;
      readonly blocks?: readonly ContentBlock[];
      readonly handlingMode: HandlingMode;
      readonly renderMetadata?: RenderMetadata;
    }
  | {
      readonly type: "continuation";
      readonly reason: string;
      readonly handlingMode: HandlingMode;
      readonly continuationRequestId?: string;
    }
  | {
      readonly type: "operation";
      readonly operationId: string;
      readonly news: OperationNews;
    };

/** One input as it is stored: header and body. */
export interface Input {
  readonly inputId: InputId;
  /**
   * When the client made it, by the client's clock; the edge's time when the client left it out.
   */
  readonly createdAt: TimeMs;
  readonly source: InputSource;
  readonly durability: Durability;
  readonly transcriptEligible: boolean;
  readonly operatorEligible: boolean;
  readonly idempotencyKey?: string;
  readonly supersessionKey?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** W3C trace parent of the ingesting call, handed on to the run. */
  readonly traceParent?: string;
  readonly body: InputBody;
}

/** What the policy table goes by: the body's type, split by convention for peers. */
export type InputKind =
  | "prompt"
  | "peer_message"
  | "peer_request"
  | "peer_response_progress"
  | "peer_response_terminal"
  | "flow_step"
  | "external_event"
  | "continuation"
  | "operation";

/** The result of a run as the executor reports it. */
export interface RunResult {
  readonly text: string;
  readonly structured?: Json;
  readonly usage?: JsonObject;
}

/** How a completed run ended, as the executor says. */
export type RunOutcome =
  | { readonly type: "result"; readonly result: RunResult }
  | { readonly type: "callback_pending"; readonly toolName: string; readonly args: Json }
  | { readonly type: "none" };
