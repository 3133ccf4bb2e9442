/** The lifecycle actions: their preconditions, their reports, and what they would do. */
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand, RuntimeReply } from "../core/runtime/commands.ts";
import { envelopesOfCommit } from "../core/runtime/envelopes.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import { liveCount } from "../core/runtime/lanes.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { epochIdOf, type Revision } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import type { Runtime, RuntimeEventEnvelope } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  DestroyRequestSchema,
  DestroyResponseSchema,
  RecoverRequestSchema,
  RecoverResponseSchema,
  RecycleRequestSchema,
  RecycleResponseSchema,
  ResetRequestSchema,
  ResetResponseSchema,
  RetireRequestSchema,
  RetireResponseSchema,
  type RuntimeControlPlaneService,
  StopRuntimeRequestSchema,
  StopRuntimeResponseSchema,
  UnregisterRuntimeRequestSchema,
  UnregisterRuntimeResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { envelopeToProto } from "./codec/envelope.ts";
import { checkOptionalEnum } from "./codec/enum-codec.ts";
import { runtimeStates } from "./codec/enums.ts";
import {
  checkBoundedText,
  checkCount,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
} from "./codec/field-check.ts";
import { requestHash } from "./codec/request-hash.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { checkRuntime, type NamedRuntime } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type ActionService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "unregisterRuntime" | "retire" | "recycle" | "reset" | "recover" | "destroy" | "stopRuntime"
>;

type ActionCommand = Extract<
  RuntimeCommand,
  {
    readonly type:
      | "unregister_runtime"
      | "retire"
      | "recycle"
      | "reset"
      | "recover"
      | "destroy"
      | "stop";
  }
>;
type ActionTerms = Pick<ActionCommand, "expectedEpochId" | "expectedState" | "reason">;
type Report = Extract<RuntimeReply, { readonly type: "report" }>;

/** Bytes of an action, near enough. */
const ACTION_BYTES = 500;

/** Fields that the requests of all lifecycle actions have. */
interface ActionRequest {
  readonly runtimeId: string;
  readonly expectedRevision?: bigint | undefined;
  readonly expectedEpochId: string;
  readonly expectedState?: number | undefined;
  readonly validateOnly: boolean;
  readonly reason: string;
  readonly requestId: string;
}

/** What an action did, or would do. */
interface ActionOutcome {
  readonly report: Report;
  /** The events of the action. */
  readonly events: readonly RuntimeEvent[];
  /** The state that the action leads to, also when it is only validated. */
  readonly after: RuntimeState;
  readonly runtime: Runtime;
  readonly revision: bigint;
  readonly plannedEvents: RuntimeEventEnvelope[];
}

function termsOf(check: FieldCheck, request: ActionRequest): ActionTerms {
  const epochId = checkOptionalId(check, request.expectedEpochId, "expected_epoch_id");
  const wire = request.expectedState;
  const expectedState = checkOptionalEnum(check, runtimeStates, wire, "expected_state");
  const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
  return {
    ...(epochId === undefined ? {} : { expectedEpochId: epochIdOf(epochId) }),
    ...(expectedState === undefined ? {} : { expectedState }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Checks the rest of a request and makes its envelope. Throws INVALID_FIELD. */
function envelopeOf<Desc extends DescMessage>(
  check: FieldCheck,
  caller: Caller,
  schema: Desc,
  request: MessageShape<Desc> & ActionRequest,
  command: ActionCommand,
): CommandEnvelope<RuntimeCommand> {
  const { expectedRevision: expected } = request;
  const checkedId = checkOptionalId(check, request.requestId, "request_id");
  const requestId = request.validateOnly ? undefined : checkedId;
  const revision: Revision | undefined =
    expected === undefined ? undefined : checkCount(check, expected, "expected_revision");
  finish(check);
  return {
    command,
    name: command.type,
    ...(caller.actor === undefined ? {} : { actor: caller.actor }),
    ...(requestId === undefined ? {} : { requestId, bodyHash: requestHash(schema, request) }),
    ...(revision === undefined ? {} : { expectedRevision: revision }),
    bytes: ACTION_BYTES,
    retrySafe: requestId !== undefined,
  };
}

function reportIn(reply: RuntimeReply): Report {
  if (reply.type === "report") return reply;
  throw new TypeError(`An action was answered with ${reply.type}`);
}

/** The run that an action took away from its executor; empty when there was none. */
function fencedRunId(events: readonly RuntimeEvent[]): string {
  for (const event of events) {
    if (event.type === "run_failed" && event.cause === "fence") return event.runId;
  }
  return "";
}

/** Makes the lifecycle part of the service. */
export function makeRuntimeActions(options: RuntimeServiceOptions): ActionService {
  const { streams, nowMs } = options;

  async function validate(
    namespace: string,
    runtime: NamedRuntime,
    envelope: CommandEnvelope<RuntimeCommand>,
  ): Promise<ActionOutcome> {
    const preview = await streams.preview(runtime.stream, envelope);
    if (preview.kind === "refuse") throw new RefusedError(preview.refusal);
    const { state, revision } = preview.before;
    const isPlanned = preview.kind === "commit";
    const planned = isPlanned
      ? envelopesOfCommit(state, preview.events, revision + 1, preview.at)
      : [];
    return {
      report: reportIn(preview.reply),
      events: isPlanned ? preview.events : [],
      after: isPlanned ? preview.after : state,
      runtime: runtimeToProto(namespace, state, revision, nowMs()),
      revision: BigInt(revision),
      plannedEvents: planned.map((event) => envelopeToProto(event)),
    };
  }

  async function act<Desc extends DescMessage>(
    context: HandlerContext,
    schema: Desc,
    request: MessageShape<Desc> & ActionRequest,
    commandOf: (terms: ActionTerms) => ActionCommand,
  ): Promise<ActionOutcome> {
    const check = makeFieldCheck();
    const caller = callerOf(context);
    const runtime = checkRuntime(check, caller.namespace, request.runtimeId);
    const command = commandOf(termsOf(check, request));
    const envelope = envelopeOf(check, caller, schema, request, command);
    if (request.validateOnly) {
      return await validate(caller.namespace, runtime, envelope);
    }
    const committed = await streams.submit(runtime.stream, envelope);
    const { state: after, revision, events } = committed;
    return {
      report: reportIn(committed.reply),
      events,
      after,
      runtime: runtimeToProto(caller.namespace, after, revision, nowMs()),
      revision: BigInt(revision),
      plannedEvents: [],
    };
  }

  return {
    unregisterRuntime: async (request, context) => {
      const { fenceExecutor } = request;
      const done = await act(context, UnregisterRuntimeRequestSchema, request, (terms) => {
        return { type: "unregister_runtime", fenceExecutor, ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const inputsKept = liveCount(done.after);
      const report = { inputsKept, fencedRunId: fencedRunId(done.events) };
      const response = { report, runtime, revision, plannedEvents };
      return create(UnregisterRuntimeResponseSchema, response);
    },

    retire: async (request, context) => {
      const { abandonIfUnattached } = request;
      const done = await act(context, RetireRequestSchema, request, (terms) => {
        return { type: "retire", abandonIfUnattached, ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const { inputsAbandoned, inputsPendingDrain } = done.report;
      const report = { inputsAbandoned, inputsPendingDrain };
      return create(RetireResponseSchema, { report, runtime, revision, plannedEvents });
    },

    recycle: async (request, context) => {
      const done = await act(context, RecycleRequestSchema, request, (terms) => {
        return { type: "recycle", ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const report = { inputsTransferred: done.report.inputsTransferred };
      return create(RecycleResponseSchema, { report, runtime, revision, plannedEvents });
    },

    reset: async (request, context) => {
      const done = await act(context, ResetRequestSchema, request, (terms) => {
        return { type: "reset", ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const report = { inputsAbandoned: done.report.inputsAbandoned };
      return create(ResetResponseSchema, { report, runtime, revision, plannedEvents });
    },

    recover: async (request, context) => {
      const { fenceExecutor } = request;
      const done = await act(context, RecoverRequestSchema, request, (terms) => {
        return { type: "recover", fenceExecutor, ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const { inputsRecovered, inputsAbandoned, inputsRequeued } = done.report;
      const details = [...done.report.details];
      const report = { inputsRecovered, inputsAbandoned, inputsRequeued, details };
      return create(RecoverResponseSchema, { report, runtime, revision, plannedEvents });
    },

    destroy: async (request, context) => {
      const done = await act(context, DestroyRequestSchema, request, (terms) => {
        return { type: "destroy", ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const report = { inputsAbandoned: done.report.inputsAbandoned };
      return create(DestroyResponseSchema, { report, runtime, revision, plannedEvents });
    },

    stopRuntime: async (request, context) => {
      const done = await act(context, StopRuntimeRequestSchema, request, (terms) => {
        return { type: "stop", ...terms };
      });
      const { runtime, revision, plannedEvents } = done;
      const report = { inputsAbandoned: done.report.inputsAbandoned };
      return create(StopRuntimeResponseSchema, { report, runtime, revision, plannedEvents });
    },
  };
}
