/**
 * Runtimes in every situation there is, brought there by calls. All but those that were never
 * registered have run one input to its end under generation 1.
 */
import { RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { refusalOf } from "./verdict.ts";
import type { CaseClients } from "./deployment.ts";
import { prompt } from "./inputs.ts";
import {
  attachIdle,
  claimOf,
  completionOf,
  holdRun,
  type Identity,
  identityOf,
  type RunClaim,
  takeRun,
} from "./runs.ts";

/** Every situation, in the order of the columns of the tables. */
export const SITUATIONS = [
  "never registered",
  "unregistered",
  "idle",
  "attached",
  "running",
  "retired",
  "draining",
  "stopped",
  "destroyed",
] as const;

/** What a runtime may be in; `draining` is retired with a run in flight. */
export type Situation = (typeof SITUATIONS)[number];

/** The input that every runtime with a history has consumed. */
export const CONSUMED_INPUT = "consumed";

/** A runtime in a situation, with what executors once knew about its runs. */
export interface SituatedRuntime {
  readonly runtimeId: string;
  readonly situation: Situation;
  /** The run that was completed, with the request that completed it. */
  readonly completion: ReturnType<typeof completionOf> | undefined;
  /** The run in flight. */
  readonly current: RunClaim | undefined;
  /** The run that was taken away from its executor. */
  readonly fenced: RunClaim | undefined;
  /** The generation of the lease that is held now. */
  readonly generation: bigint | undefined;
  /** The executor that holds it, if any does. */
  readonly holder: Identity;
  /** Lets go of what its executor holds. */
  readonly leave: () => Promise<void>;
}

type Ended = Omit<SituatedRuntime, "runtimeId" | "situation" | "holder" | "leave">;

const NOTHING: Ended = {
  completion: undefined,
  current: undefined,
  fenced: undefined,
  generation: undefined,
};

async function runOnce(clients: CaseClients, runtimeId: string) {
  const { runtimes, executors } = clients;
  const first = identityOf("first");
  const input = prompt("first", { inputId: CONSUMED_INPUT, idempotencyKey: CONSUMED_INPUT });
  await runtimes.ingest({ runtimeId, ensure: true, input });
  const completion = completionOf(await takeRun(clients, first, runtimeId));
  await executors.completeRun(completion);
  await executors.detach(first);
  return completion;
}

async function runSecond(
  clients: CaseClients,
  identity: Identity,
  runtimeId: string,
): Promise<RunClaim> {
  await clients.runtimes.ingest({ runtimeId, input: prompt("second", { inputId: "staged" }) });
  return claimOf(await holdRun(clients, identity, runtimeId));
}

/** Brings a runtime out of its first run into a situation. */
async function lead(
  clients: CaseClients,
  runtimeId: string,
  identity: Identity,
  situation: Exclude<Situation, "never registered">,
): Promise<Partial<Ended>> {
  const { runtimes, executors } = clients;
  switch (situation) {
    case "unregistered":
      await runtimes.unregisterRuntime({ runtimeId });
      return {};
    case "idle":
      return {};
    case "attached": {
      await attachIdle(clients, identity, runtimeId);
      const { runtime } = await runtimes.getRuntime({ runtimeId });
      return { generation: runtime?.executor?.generation };
    }
    case "retired":
      await runtimes.retire({ runtimeId });
      return {};
    case "running":
    case "draining": {
      const current = await runSecond(clients, identity, runtimeId);
      if (situation === "draining") await runtimes.retire({ runtimeId });
      return { current, generation: current.generation };
    }
    case "stopped":
    case "destroyed": {
      const fenced = await runSecond(clients, identity, runtimeId);
      if (situation === "stopped") await runtimes.stopRuntime({ runtimeId });
      else await runtimes.destroy({ runtimeId });
      await executors.detach(identity);
      return { fenced };
    }
  }
}

/** Makes a runtime and brings it into a situation. */
export async function runtimeIn(
  clients: CaseClients,
  situation: Situation,
  runtimeId: string,
): Promise<SituatedRuntime> {
  const holder = identityOf("second");
  const leave = async (): Promise<void> => {
    await clients.executors.detach(holder);
  };
  const common = { runtimeId, situation, holder, leave };
  if (situation === "never registered") return { ...NOTHING, ...common };
  const completion = await runOnce(clients, runtimeId);
  const ended = await lead(clients, runtimeId, holder, situation);
  return { ...NOTHING, completion, ...ended, ...common };
}

/** The last revision of a runtime's history; 0 without one. */
export async function headOf({ admin }: CaseClients, runtimeId: string): Promise<bigint> {
  const call = admin.getStream({ stream: { kind: "runtime", id: runtimeId } });
  return await call.then(
    ({ description }) => description?.headRevision ?? 0n,
    async (error: unknown) => {
      const { reason } = await refusalOf(Promise.reject(error));
      if (reason === "STREAM_NOT_FOUND") return 0n;
      throw error;
    },
  );
}

/** The situation that a revision of a runtime's history shows. */
export async function situationAt(
  { runtimes }: CaseClients,
  runtimeId: string,
  atRevision: bigint,
): Promise<Situation> {
  const { runtime } = await runtimes.getRuntime({ runtimeId, atRevision });
  if (runtime?.registered !== true) return "unregistered";
  const isRunning = runtime.currentRun !== undefined;
  switch (runtime.state) {
    case RuntimeState.IDLE:
      return "idle";
    case RuntimeState.ATTACHED:
      return "attached";
    case RuntimeState.RUNNING:
      return "running";
    case RuntimeState.RETIRED:
      return isRunning ? "draining" : "retired";
    case RuntimeState.STOPPED:
      return "stopped";
    case RuntimeState.DESTROYED:
      return "destroyed";
    default:
      throw new Error("a runtime without a state");
  }
}
