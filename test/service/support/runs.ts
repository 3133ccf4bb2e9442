/** Runs in the hands of the cases: what an executor says about them, step by step. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect } from "vitest";
import type { RunAssignment } from "../../../gen/keelson/executor/v1/messages_pb.ts";
import {
  RunApplyBoundary,
  type Runtime,
  type RunResultSchema,
  RuntimeState,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";

/** What proves that a caller holds a run. */
export interface RunClaim {
  readonly runtimeId: string;
  readonly runId: string;
  readonly generation: bigint;
}

/** One life of an executor. */
export interface Identity {
  readonly executorId: string;
  readonly incarnationId: string;
}

/** A poll may end early, with news that are no run. */
const POLLS_MAX = 5;
const SHORT_POLL = { nanos: 20_000_000 };

/** A new life of an executor. */
export function identityOf(executorId: string): Identity {
  return { executorId, incarnationId: randomUUID() };
}

/** The claim of an assignment. */
export function claimOf({ runtimeId, runId, generation }: RunAssignment): RunClaim {
  return { runtimeId, runId, generation };
}

/** A boundary over everything that an assignment staged. */
export function wholeBoundary({ primitive }: RunAssignment) {
  return {
    boundary: primitive?.boundary ?? RunApplyBoundary.RUN_START,
    contributingInputIds: primitive?.contributingInputIds ?? [],
    messageCount: 1n,
  };
}

/** A run's end with a result and a last boundary over everything that it staged. */
export function completionOf(
  run: RunAssignment,
  result: MessageInitShape<typeof RunResultSchema> = { text: "done" },
) {
  return {
    ...claimOf(run),
    outcome: { case: "result", value: result },
    finalBoundary: wholeBoundary(run),
  } as const;
}

/** The next run of a runtime for an executor that names it; throws when there is none in time. */
export async function takeRun(
  { executors }: CaseClients,
  identity: Identity,
  runtimeId: string,
): Promise<RunAssignment> {
  const request = { ...identity, runtimeIds: [runtimeId], timeout: { seconds: 20n } };
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    const { assignment } = await executors.pollRun(request);
    if (assignment) return assignment;
  }
  throw new Error("no run was assigned in time");
}

/** Takes the next run and says that it is held, so that the attempt counts. */
export async function holdRun(
  clients: CaseClients,
  identity: Identity,
  runtimeId: string,
): Promise<RunAssignment> {
  const run = await takeRun(clients, identity, runtimeId);
  const { unknownRunIds } = await clients.executors.renewLeases({
    ...identity,
    heldRunIds: [run.runId],
  });
  expect(unknownRunIds).toEqual([]);
  return run;
}

/** The runtime as it is now. */
export async function readRuntime({ runtimes }: CaseClients, runtimeId: string): Promise<Runtime> {
  const { runtime } = await runtimes.getRuntime({ runtimeId });
  if (!runtime) throw new Error("an answer without a runtime");
  return runtime;
}

/** Waits until a runtime is in a state. */
async function untilState(
  clients: CaseClients,
  runtimeId: string,
  state: RuntimeState,
): Promise<void> {
  await expect
    .poll(async () => (await readRuntime(clients, runtimeId)).state, { timeout: 10_000 })
    .toBe(state);
}

/** Attaches an executor that names a runtime which has nothing to run. */
export async function attachIdle(
  clients: CaseClients,
  identity: Identity,
  runtimeId: string,
): Promise<void> {
  const request = { ...identity, runtimeIds: [runtimeId], timeout: SHORT_POLL };
  await clients.executors.pollRun(request);
  await untilState(clients, runtimeId, RuntimeState.ATTACHED);
}
