/** The enums of the runtime's contract: every name of the core and its number on the wire. */
import type {
  Durability as CoreDurability,
  HandlingMode as CoreHandlingMode,
  InputKind as CoreInputKind,
  OperationNews,
  PeerConvention,
  RenderMetadata,
  TurnMetadata,
} from "../../core/runtime/input.ts";
import type { PolicyDecision } from "../../core/runtime/policy.ts";
import type {
  AbandonReason as CoreAbandonReason,
  InputStateName,
  Lane,
  Receipt,
  RuntimeStateName,
} from "../../core/runtime/state.ts";
import {
  AbandonReason,
  ApplyMode,
  ConsumePoint,
  DrainPolicy,
  ExecutionKind,
  HandlingMode,
  InputDurability,
  InputKind,
  InputLane,
  InputState,
  OpKind,
  PeerResponsePhase,
  PeerResponseStatus,
  QueueMode,
  RenderClass,
  RenderSalience,
  RoutingDisposition,
  RunApplyBoundary,
  RuntimeState,
  WakeMode,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";

/** How safe an input is before its answer. */
export const durabilities = makeEnumCodec<CoreDurability, InputDurability>({
  durable: InputDurability.DURABLE,
  ephemeral: InputDurability.EPHEMERAL,
  derived: InputDurability.DERIVED,
});

/** How an input is to be handled. */
export const handlingModes = makeEnumCodec<CoreHandlingMode, HandlingMode>({
  queue: HandlingMode.QUEUE,
  steer: HandlingMode.STEER,
});

type OperationKind = Extract<OperationNews, { readonly type: "started" }>["operationKind"];

/** The kind of work of an operation. */
export const operationKinds = makeEnumCodec<OperationKind, OpKind>({
  tool_call: OpKind.TOOL_CALL,
  shell_command: OpKind.SHELL_COMMAND,
});

type ResponsePhase = Extract<PeerConvention, { readonly type: "response_progress" }>["phase"];

/** How far a peer is with a request. */
export const responsePhases = makeEnumCodec<ResponsePhase, PeerResponsePhase>({
  accepted: PeerResponsePhase.ACCEPTED,
  in_progress: PeerResponsePhase.IN_PROGRESS,
  partial_result: PeerResponsePhase.PARTIAL_RESULT,
});

type ResponseStatus = Extract<PeerConvention, { readonly type: "response_terminal" }>["status"];

/** How a request to a peer ended. */
export const responseStatuses = makeEnumCodec<ResponseStatus, PeerResponseStatus>({
  completed: PeerResponseStatus.COMPLETED,
  failed: PeerResponseStatus.FAILED,
  cancelled: PeerResponseStatus.CANCELLED,
});

/** What kind of turn a run is. */
export const executionKinds = makeEnumCodec<
  NonNullable<TurnMetadata["executionKind"]>,
  ExecutionKind
>({
  content_turn: ExecutionKind.CONTENT_TURN,
  resume_pending: ExecutionKind.RESUME_PENDING,
});

/** As what an input is shown. */
export const renderClasses = makeEnumCodec<NonNullable<RenderMetadata["class"]>, RenderClass>({
  user_prompt: RenderClass.USER_PROMPT,
  peer_message: RenderClass.PEER_MESSAGE,
  peer_request: RenderClass.PEER_REQUEST,
  peer_response: RenderClass.PEER_RESPONSE,
  external_event: RenderClass.EXTERNAL_EVENT,
  flow_step: RenderClass.FLOW_STEP,
  continuation: RenderClass.CONTINUATION,
  system_notice: RenderClass.SYSTEM_NOTICE,
  tool_scope_notice: RenderClass.TOOL_SCOPE_NOTICE,
  ops_progress: RenderClass.OPS_PROGRESS,
});

/** How much attention an input deserves. */
export const renderSaliences = makeEnumCodec<
  NonNullable<RenderMetadata["salience"]>,
  RenderSalience
>({
  background: RenderSalience.BACKGROUND,
  normal: RenderSalience.NORMAL,
  important: RenderSalience.IMPORTANT,
  urgent: RenderSalience.URGENT,
});

/** What the policy goes by. */
export const inputKinds = makeEnumCodec<CoreInputKind, InputKind>({
  prompt: InputKind.PROMPT,
  peer_message: InputKind.PEER_MESSAGE,
  peer_request: InputKind.PEER_REQUEST,
  peer_response_progress: InputKind.PEER_RESPONSE_PROGRESS,
  peer_response_terminal: InputKind.PEER_RESPONSE_TERMINAL,
  flow_step: InputKind.FLOW_STEP,
  external_event: InputKind.EXTERNAL_EVENT,
  continuation: InputKind.CONTINUATION,
  operation: InputKind.OPERATION,
});

/** Where an input is in its life. */
export const inputStates = makeEnumCodec<InputStateName, InputState>({
  accepted: InputState.ACCEPTED,
  queued: InputState.QUEUED,
  staged: InputState.STAGED,
  applied: InputState.APPLIED,
  applied_pending_consumption: InputState.APPLIED_PENDING_CONSUMPTION,
  consumed: InputState.CONSUMED,
  superseded: InputState.SUPERSEDED,
  coalesced: InputState.COALESCED,
  abandoned: InputState.ABANDONED,
});

/** Which queue an input waits in. */
export const lanes = makeEnumCodec<Lane, InputLane>({
  queue: InputLane.QUEUE,
  steer: InputLane.STEER,
});

/** Why an input was given up. */
export const abandonReasons = makeEnumCodec<CoreAbandonReason, AbandonReason>({
  retired: AbandonReason.RETIRED,
  reset: AbandonReason.RESET,
  stopped: AbandonReason.STOPPED,
  destroyed: AbandonReason.DESTROYED,
  cancelled: AbandonReason.CANCELLED,
  run_failed: AbandonReason.RUN_FAILED,
  max_attempts_exhausted: AbandonReason.MAX_ATTEMPTS_EXHAUSTED,
});

/** Observable state of a runtime. */
export const runtimeStates = makeEnumCodec<RuntimeStateName, RuntimeState>({
  idle: RuntimeState.IDLE,
  attached: RuntimeState.ATTACHED,
  running: RuntimeState.RUNNING,
  retired: RuntimeState.RETIRED,
  stopped: RuntimeState.STOPPED,
  destroyed: RuntimeState.DESTROYED,
});

/** At which point of a run inputs are applied. */
export const runBoundaries = makeEnumCodec<Receipt["boundary"], RunApplyBoundary>({
  immediate: RunApplyBoundary.IMMEDIATE,
  run_start: RunApplyBoundary.RUN_START,
  run_checkpoint: RunApplyBoundary.RUN_CHECKPOINT,
});

/** At which point an input is applied. */
export const applyModes = makeEnumCodec<PolicyDecision["applyMode"], ApplyMode>({
  stage_run_start: ApplyMode.STAGE_RUN_START,
  stage_run_boundary: ApplyMode.STAGE_RUN_BOUNDARY,
  inject_now: ApplyMode.INJECT_NOW,
  ignore: ApplyMode.IGNORE,
});

/** Whether an input wakes the runtime. */
export const wakeModes = makeEnumCodec<PolicyDecision["wakeMode"], WakeMode>({
  wake_if_idle: WakeMode.WAKE_IF_IDLE,
  none: WakeMode.NONE,
});

/** How an input is queued. */
export const queueModes = makeEnumCodec<PolicyDecision["queueMode"], QueueMode>({
  none: QueueMode.NONE,
  fifo: QueueMode.FIFO,
  coalesce: QueueMode.COALESCE,
  supersede: QueueMode.SUPERSEDE,
  priority: QueueMode.PRIORITY,
});

/** When an input counts as consumed. */
export const consumePoints = makeEnumCodec<PolicyDecision["consumePoint"], ConsumePoint>({
  on_accept: ConsumePoint.ON_ACCEPT,
  on_apply: ConsumePoint.ON_APPLY,
  on_run_start: ConsumePoint.ON_RUN_START,
  on_run_complete: ConsumePoint.ON_RUN_COMPLETE,
  explicit_ack: ConsumePoint.EXPLICIT_ACK,
});

/** When an input is taken from its lane. */
export const drainPolicies = makeEnumCodec<PolicyDecision["drainPolicy"], DrainPolicy>({
  queue_next_turn: DrainPolicy.QUEUE_NEXT_TURN,
  steer_batch: DrainPolicy.STEER_BATCH,
  immediate: DrainPolicy.IMMEDIATE,
  ignore: DrainPolicy.IGNORE,
});

/** Which lane an input goes to. */
export const routingDispositions = makeEnumCodec<
  PolicyDecision["routingDisposition"],
  RoutingDisposition
>({
  queue: RoutingDisposition.QUEUE,
  steer: RoutingDisposition.STEER,
  immediate: RoutingDisposition.IMMEDIATE,
  drop: RoutingDisposition.DROP,
});
