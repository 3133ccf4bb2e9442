// The detached wake: background operations that complete while nobody would look wake the runtime.
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  InputDurability,
  InputState,
  RunApplyBoundary,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { continuations, finish, operate, runtimeId } from "./support/operations.ts";
import {
  attachIdle,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
} from "./support/runs.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

async function clientsOfRuntime(): Promise<CaseClients> {
  const clients = clientsOf(deployment.url);
  await clients.runtimes.ensureRuntime({ runtimeId });
  return clients;
}

async function cursorsOf({ operations }: CaseClients) {
  return (await operations.listOperations({ runtimeId })).registry?.cursors;
}

it("wake on background completion: one derived continuation, in that commit", async () => {
  const clients = await clientsOfRuntime();
  await operate(clients, "tool", "a");
  const result = { content: "done" };
  const request = { runtimeId, operationId: "a", result };
  const { revision } = await clients.operations.completeOperation(request);
  const [told, ...others] = await continuations(clients);
  expect(others).toEqual([]);
  expect(told).toMatchObject({
    state: InputState.QUEUED,
    admittedRevision: revision,
    input: {
      durability: InputDurability.DERIVED,
      source: { origin: { case: "system" } },
      visibility: { transcriptEligible: false, operatorEligible: false },
    },
  });
  expect(await readRuntime(clients, runtimeId)).toMatchObject({ wake: true, runnable: true });
});

it("wake on background completion: an attached executor gets the run", async () => {
  const clients = await clientsOfRuntime();
  const executor = identityOf("executor");
  await attachIdle(clients, executor, runtimeId);
  await operate(clients, "tool", "a");
  const taking = takeRun(clients, executor, runtimeId);
  await finish(clients, "a");
  const run = await taking;
  expect(run.primitive?.boundary).toBe(RunApplyBoundary.RUN_CHECKPOINT);
  await clients.executors.completeRun(completionOf(run));
  expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
  expect(await continuations(clients)).toMatchObject([{ state: InputState.CONSUMED }]);
});

it("5 completions, 1 wake: everything until a run takes it is told of once", async () => {
  const clients = await clientsOfRuntime();
  const names = ["a", "b", "c", "d", "e"];
  await operate(clients, "tool", ...names);
  await Promise.all(names.map((name) => finish(clients, name)));
  expect(await continuations(clients)).toHaveLength(1);
  const run = await takeRun(clients, identityOf("executor"), runtimeId);
  await clients.executors.completeRun(completionOf(run));
  expect(await continuations(clients)).toHaveLength(1);
  expect(await cursorsOf(clients)).toMatchObject({ runtimeObserved: 5n, runtimeInjected: 5n });
});

it("during running deferred: at least 2 runs, one continuation for all", async () => {
  const clients = await clientsOfRuntime();
  const executor = identityOf("executor");
  await operate(clients, "tool", "a", "b");
  await clients.runtimes.ingest({ runtimeId, input: prompt("work") });
  const first = await holdRun(clients, executor, runtimeId);
  await finish(clients, "a", "b");
  expect(await continuations(clients)).toEqual([]);
  expect(await cursorsOf(clients)).toMatchObject({ runtimeObserved: 0n });
  const { revision } = await clients.executors.completeRun(completionOf(first));
  expect(await continuations(clients)).toMatchObject([{ admittedRevision: revision }]);
  const second = await takeRun(clients, executor, runtimeId);
  await clients.executors.completeRun(completionOf(second));
  expect(await continuations(clients)).toHaveLength(1);
});

it("mob child no wake: it is looked at, and told of by its own messages", async () => {
  const clients = await clientsOfRuntime();
  await operate(clients, "child", "a");
  await finish(clients, "a");
  expect(await continuations(clients)).toEqual([]);
  expect(await cursorsOf(clients)).toMatchObject({ runtimeObserved: 1n, runtimeInjected: 0n });
  expect((await readRuntime(clients, runtimeId)).runnable).toBe(false);
});

it("no replay of history: after a stop and a reset nothing of the past wakes", async () => {
  const clients = await clientsOfRuntime();
  await operate(clients, "tool", "a");
  await clients.runtimes.ingest({ runtimeId, input: prompt("work") });
  await finish(clients, "a");
  await clients.runtimes.stopRuntime({ runtimeId });
  await clients.runtimes.reset({ runtimeId });
  expect(await continuations(clients)).toEqual([]);
  await operate(clients, "tool", "b");
  await finish(clients, "b");
  expect(await continuations(clients)).toHaveLength(1);
});
