// An executor at the end of an attach stream, as a case plays it: it notes what it is told and does
// what the case says, no more.
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import type {
  ExecutorControl,
  LeaseGranted,
  LeaseLost,
  RunAssignment,
  SteerAvailable,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import type {
  AttachResponse,
  CompleteRunRequestSchema,
  CompleteRunResponse,
  ExecutorService,
  RenewLeasesResponse,
} from "../../../gen/keelson/executor/v1/service_pb.ts";
import { RunApplyBoundary } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { Clock } from "../../../src/engine/ports.ts";

/** A client of the executor service. */
export type ExecutorClient = Client<typeof ExecutorService>;

/** Who an executor is. */
export interface ExecutorIdentity {
  readonly executorId: string;
  readonly incarnationId: string;
}

/** What an executor says when it attaches, besides who it is. */
export interface AttachTerms {
  readonly pool?: string;
  readonly runtimeIds?: string[];
  readonly slots?: number;
  readonly heldRunIds?: string[];
  readonly leaseTtl?: { readonly seconds: bigint };
  readonly capabilities?: string[];
  readonly heldDrains?: { readonly runtimeId: string; readonly drainSequence: bigint }[];
}

/** An executor that is attached. */
export interface AttachedExecutor extends ExecutorIdentity {
  readonly messages: readonly AttachResponse["message"][];
  readonly runs: readonly RunAssignment[];
  readonly grants: readonly LeaseGranted[];
  readonly losses: readonly LeaseLost[];
  readonly controls: readonly ExecutorControl[];
  readonly steers: readonly SteerAvailable[];
  /** Undefined while the stream lives; true after a good end, else what it ended with. */
  readonly end: () => true | ConnectError | undefined;
  /** Breaks the connection, without a word. */
  readonly disconnect: () => void;
}

/** A first life of an executor. */
export function identity(executorId: string): ExecutorIdentity {
  return { executorId, incarnationId: randomUUID() };
}

/** Attaches an executor. */
export function attach(
  client: ExecutorClient,
  { executorId, incarnationId }: ExecutorIdentity,
  terms: AttachTerms,
): AttachedExecutor {
  const connection = new AbortController();
  const messages: AttachResponse["message"][] = [];
  let end: true | ConnectError | undefined;

  async function listen(): Promise<void> {
    const request = { ...terms, executorId, incarnationId };
    for await (const { message } of client.attach(request, { signal: connection.signal })) {
      messages.push(message);
    }
  }

  listen().then(
    () => {
      end = true;
    },
    (error: unknown) => {
      end = ConnectError.from(error);
    },
  );
  return {
    executorId,
    incarnationId,
    messages,
    get runs() {
      return messages.flatMap((it) => (it.case === "runAssigned" ? [it.value] : []));
    },
    get grants() {
      return messages.flatMap((it) => (it.case === "leaseGranted" ? [it.value] : []));
    },
    get losses() {
      return messages.flatMap((it) => (it.case === "leaseLost" ? [it.value] : []));
    },
    get controls() {
      return messages.flatMap((it) => (it.case === "control" ? [it.value] : []));
    },
    get steers() {
      return messages.flatMap((it) => (it.case === "steerAvailable" ? [it.value] : []));
    },
    end: () => end,
    disconnect: () => connection.abort(),
  };
}

/** The runs an executor was told of, by runtime, in order. */
export function runtimesOf({ runs }: AttachedExecutor): readonly string[] {
  return runs.map((run) => run.runtimeId);
}

/** The fields that name a run in every report. */
export function nameOf(run: RunAssignment) {
  const { runtimeId, runId, generation } = run;
  return { runtimeId, runId, generation };
}

/** The last boundary of a run over everything that it was given. */
export function lastBoundary(run: RunAssignment) {
  return {
    boundary: run.primitive?.boundary ?? RunApplyBoundary.RUN_START,
    contributingInputIds: run.primitive?.contributingInputIds ?? [],
    messageCount: 1n,
  };
}

/** A report that a run ended well, with a last boundary over its inputs. */
export function completionOf(
  run: RunAssignment,
  text: string,
  takeNext = false,
): MessageInitShape<typeof CompleteRunRequestSchema> & object {
  return {
    ...nameOf(run),
    outcome: { case: "result", value: { text } },
    finalBoundary: lastBoundary(run),
    takeNext,
  };
}

/** Ends a run well. */
export function complete(
  client: ExecutorClient,
  run: RunAssignment,
  text = "done",
): Promise<CompleteRunResponse> {
  return client.completeRun(completionOf(run, text));
}

/** Renews, which acknowledges the runs held. */
export function renew(
  client: ExecutorClient,
  { executorId, incarnationId }: ExecutorIdentity,
  runs: readonly RunAssignment[] = [],
): Promise<RenewLeasesResponse> {
  const heldRunIds = runs.map((run) => run.runId);
  return client.renewLeases({ executorId, incarnationId, heldRunIds });
}

/** Renews as a healthy executor does until told to stop; notes what it hears. */
export function keepRenewing(
  clock: Clock,
  periodMs: number,
  renewal: () => Promise<RenewLeasesResponse>,
): { readonly errors: readonly ConnectError[]; readonly stop: () => void } {
  const errors: ConnectError[] = [];
  let stopped = false;
  const tick = (): void => {
    if (stopped) return;
    renewal().catch((error: unknown) => {
      errors.push(ConnectError.from(error));
    });
    clock.after(periodMs, tick);
  };
  tick();
  return {
    errors,
    stop: () => {
      stopped = true;
    },
  };
}
