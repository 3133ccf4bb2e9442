/**
 * The lifecycle actions as one table: what each is called, which RPC does it, and what its report
 * says. What they share - dry run, question, preconditions - is in lifecycle.ts.
 */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type {
  Runtime,
  RuntimeEventEnvelope,
  RuntimeState,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  DestroyResponseSchema,
  RecoverResponseSchema,
  RecycleResponseSchema,
  ResetResponseSchema,
  RetireResponseSchema,
  StopRuntimeResponseSchema,
  UnregisterRuntimeResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import type { Output } from "../client/output.ts";
import type { Cell } from "../client/table.ts";

/** What actions can be asked for; each takes of it what its own request has. */
export interface ActionRequest {
  readonly runtimeId: string;
  readonly validateOnly: boolean;
  readonly reason: string;
  readonly requestId: string;
  readonly expectedRevision?: bigint;
  readonly expectedEpochId?: string;
  readonly expectedState?: RuntimeState;
  /** Takes a run in flight away; for actions that can. */
  readonly fenceExecutor: boolean;
  /** Abandons what is queued when nobody is attached; for actions that can. */
  readonly abandonIfUnattached: boolean;
}

/** What an action did, or would do. */
export interface ActionOutcome {
  readonly report: readonly (readonly [string, Cell | undefined])[];
  readonly runtime: Runtime | undefined;
  readonly revision: bigint;
  readonly plannedEvents: readonly RuntimeEventEnvelope[];
  readonly writeJson: (output: Output) => void;
}

/** One lifecycle action. */
export interface LifecycleAction {
  readonly name: string;
  readonly description: string;
  /** The past tense, for the last line. */
  readonly done: string;
  /** What it does to what is live, in a sentence. */
  readonly effect: string;
  readonly canFence?: boolean;
  readonly canAbandonIfUnattached?: boolean;
  readonly call: (connection: Connection, request: ActionRequest) => Promise<ActionOutcome>;
}

interface ActionResponse {
  readonly runtime?: Runtime | undefined;
  readonly revision: bigint;
  readonly plannedEvents: readonly RuntimeEventEnvelope[];
}

function outcomeOf<Desc extends DescMessage>(
  schema: Desc,
  response: ActionResponse & MessageShape<Desc>,
  report: ActionOutcome["report"],
): ActionOutcome {
  const { runtime, revision, plannedEvents } = response;
  const writeJson = (output: Output): void => output.json(schema, response);
  return { report, runtime, revision, plannedEvents, writeJson };
}

/** All lifecycle actions. */
export const LIFECYCLE_ACTIONS: readonly LifecycleAction[] = [
  {
    name: "retire",
    description: "close the intake; what is there is still run",
    done: "retired",
    effect: "Takes no more inputs; what is queued and in flight goes on to its end.",
    canAbandonIfUnattached: true,
    call: async ({ runtimes }, request) => {
      const response = await runtimes.retire(request);
      return outcomeOf(RetireResponseSchema, response, [
        ["inputs abandoned", response.report?.inputsAbandoned],
        ["inputs still to run", response.report?.inputsPendingDrain],
      ]);
    },
  },
  {
    name: "recycle",
    description: "start the working life afresh with the same inputs",
    done: "recycled",
    effect: "Takes inputs again and runs what is queued, in the same epoch.",
    call: async ({ runtimes }, request) => {
      const response = await runtimes.recycle(request);
      const { report } = response;
      return outcomeOf(RecycleResponseSchema, response, [
        ["inputs transferred", report?.inputsTransferred],
      ]);
    },
  },
  {
    name: "reset",
    description: "abandon everything live and begin a new epoch",
    done: "reset",
    effect: "Abandons everything that is live and begins a new epoch.",
    call: async ({ runtimes }, request) => {
      const response = await runtimes.reset(request);
      const { report } = response;
      return outcomeOf(ResetResponseSchema, response, [
        ["inputs abandoned", report?.inputsAbandoned],
      ]);
    },
  },
  {
    name: "recover",
    description: "put the inputs of a dead executor in order",
    done: "recovered",
    effect: "Consumes what has a receipt, queues the rest again and begins a new epoch.",
    canFence: true,
    call: async ({ runtimes }, request) => {
      const response = await runtimes.recover(request);
      const { report } = response;
      return outcomeOf(RecoverResponseSchema, response, [
        ["inputs recovered", report?.inputsRecovered],
        ["inputs requeued", report?.inputsRequeued],
        ["inputs abandoned", report?.inputsAbandoned],
        ["details", report?.details.join("; ")],
      ]);
    },
  },
  {
    name: "destroy",
    description: "end a runtime for good",
    done: "destroyed",
    effect: "Fences the executor, abandons everything live and ends the runtime for good.",
    call: async ({ runtimes }, request) => {
      const response = await runtimes.destroy(request);
      const { report } = response;
      return outcomeOf(DestroyResponseSchema, response, [
        ["inputs abandoned", report?.inputsAbandoned],
      ]);
    },
  },
  {
    name: "stop",
    description: "stop a runtime at once",
    done: "stopped",
    effect: "Fences the executor and abandons everything live; reset brings it back.",
    call: async ({ runtimes }, request) => {
      const response = await runtimes.stopRuntime(request);
      const { report } = response;
      return outcomeOf(StopRuntimeResponseSchema, response, [
        ["inputs abandoned", report?.inputsAbandoned],
      ]);
    },
  },
  {
    name: "unregister",
    description: "take a runtime out of registration; its inputs stay",
    done: "unregistered",
    effect: "Detaches the executor and tells who waits; inputs and history stay.",
    canFence: true,
    call: async ({ runtimes }, request) => {
      const response = await runtimes.unregisterRuntime(request);
      const { report } = response;
      return outcomeOf(UnregisterRuntimeResponseSchema, response, [
        ["inputs kept", report?.inputsKept],
        ["run fenced", report?.fencedRunId],
      ]);
    },
  },
];
