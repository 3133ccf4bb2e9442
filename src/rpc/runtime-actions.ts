/** The lifecycle actions: their preconditions, their reports, and what they would do. */
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand, RuntimeReply } from "../core/runtime/commands.ts";
import { envelopesOfCommit } from "../core/runtime/envelopes.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import { liveCount } from "../core/runtime/lanes.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
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
import {
  actionEnvelopeOf,
  type ActionRequest,
  type ActionTerms,
  actionTermsOf,
  carryOut,
} from "./action-terms.ts";
import { callerOf } from "./caller.ts";
import { envelopeToProto } from "./codec/envelope.ts";
import { makeFieldCheck } from "./codec/field-check.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { checkRuntime } from "./runtime-calls.ts";
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
type Report = Extract<RuntimeReply, { readonly type: "report" }>;

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

  async function act<Desc extends DescMessage>(
    context: HandlerContext,
    schema: Desc,
    request: MessageShape<Desc> & ActionRequest,
    commandOf: (terms: ActionTerms) => ActionCommand,
  ): Promise<ActionOutcome> {
    const check = makeFieldCheck();
    const caller = callerOf(context);
    const runtime = checkRuntime(check, caller.namespace, request.runtimeId);
    const command = commandOf(actionTermsOf(check, request));
    const envelope = actionEnvelopeOf(check, caller, schema, request, command);
    const { validateOnly } = request;
    const done = await carryOut(streams, runtime.stream, envelope, validateOnly);
    const { shown, revision, events, after, at } = done;
    const planned = validateOnly ? envelopesOfCommit(shown, events, revision + 1, at) : [];
    return {
      report: reportIn(done.reply),
      events,
      after,
      runtime: runtimeToProto(caller.namespace, shown, revision, nowMs()),
      revision: BigInt(revision),
      plannedEvents: planned.map((event) => envelopeToProto(event)),
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
