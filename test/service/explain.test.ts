// ExplainRuntime: why a runtime is not doing more, with the ids and times to go on with.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputLane } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { RuntimeCauseKind } from "../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { attachIdle, claimOf, completionOf, holdRun, identityOf, takeRun } from "./support/runs.ts";
import { verdictOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const KINDS = new Map<number, string>(
  Object.entries(RuntimeCauseKind).map(([name, number]) => [number, name]),
);

async function causesOf({ runtimes }: CaseClients) {
  const { causes } = await runtimes.explainRuntime({ runtimeId });
  return causes;
}

async function kindsOf(clients: CaseClients): Promise<readonly (string | undefined)[]> {
  return (await causesOf(clients)).map(({ kind }) => KINDS.get(kind));
}

async function ingest({ runtimes }: CaseClients, inputId: string): Promise<void> {
  await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x", { inputId }) });
}

describe("a runtime without an executor", () => {
  it("has nothing queued, then nobody to run it, then somebody who will", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId, config: { pool: "gpu" } });
    expect(await kindsOf(clients)).toEqual(["NOTHING_QUEUED", "NO_EXECUTOR"]);
    await ingest(clients, "a");
    const { causes, runtime, asOf } = await runtimes.explainRuntime({ runtimeId });
    expect(causes).toMatchObject([{ kind: RuntimeCauseKind.NO_EXECUTOR, pool: "gpu" }]);
    // Nobody was ever attached to its pool.
    expect(causes[0]?.since).toEqual(runtime?.createdAt);
    expect(causes[0]?.elapsed).toBeDefined();
    expect([runtime?.runtimeId, asOf === undefined]).toEqual([runtimeId, false]);
    const identity = identityOf("executor");
    const { assignment } = await executors.pollRun({
      ...identity,
      pool: "gpu",
      timeout: { seconds: 20n },
    });
    if (!assignment) throw new Error("no run was assigned");
    await executors.completeRun(completionOf(assignment));
    await ingest(clients, "b");
    expect((await kindsOf(clients)).at(-1)).toMatch(/^(EXECUTORS_BUSY|AWAITING_ASSIGNMENT)$/);
    await executors.detach(identity);
    expect(await kindsOf(clients)).toEqual(["NO_EXECUTOR"]);
  });

  it("says which inputs woke nobody", async () => {
    const clients = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "a" });
    await clients.runtimes.ingest({ runtimeId, ensure: true, input, withoutWake: true });
    const [first] = await causesOf(clients);
    expect(first).toMatchObject({ kind: RuntimeCauseKind.NOT_WOKEN, inputId: "a", count: 1 });
  });
});

describe("a runtime with an executor", () => {
  it("names the run in flight, its executor, and that its end was asked for", async () => {
    const clients = clientsOf(deployment.url);
    const identity = identityOf("executor");
    await ingest(clients, "a");
    const unacknowledged = await takeRun(clients, identity, runtimeId);
    const [assigned] = await causesOf(clients);
    expect(assigned).toMatchObject({
      kind: RuntimeCauseKind.RUN_UNACKNOWLEDGED,
      runId: unacknowledged.runId,
      executorId: "executor",
    });
    expect(assigned?.until).toBeDefined();
    await clients.executors.renewLeases({ ...identity, heldRunIds: [unacknowledged.runId] });
    await clients.runtimes.interruptRun({ runtimeId });
    const { generation, runId } = unacknowledged;
    expect(await causesOf(clients)).toMatchObject([
      { kind: RuntimeCauseKind.RUN_IN_FLIGHT, runId, generation, attempt: 1, ...identity },
      { kind: RuntimeCauseKind.INTERRUPT_PENDING, runId, ...identity },
    ]);
    for (const { since, elapsed } of await causesOf(clients)) {
      expect([since, elapsed]).not.toContain(undefined);
    }
  });

  it("names the input that backs off, after which attempt and until when", async () => {
    const clients = clientsOf(deployment.url);
    const retryBackoff = { initial: { seconds: 60n }, max: { seconds: 60n } };
    await clients.runtimes.ensureRuntime({ runtimeId, config: { retryBackoff } });
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.failRun({ ...claimOf(run), error: "no", recoverable: true });
    const [first] = await causesOf(clients);
    const target = { case: "inputId", value: "a" } as const;
    const { input } = await clients.runtimes.getInput({ runtimeId, target });
    expect(first).toMatchObject({
      kind: RuntimeCauseKind.BACKING_OFF,
      inputId: "a",
      attempt: 1,
      lane: InputLane.QUEUE,
    });
    expect(first?.until).toEqual(input?.nextAttemptTime);
  });

  it("names who holds the lease, and until when it would live", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const identity = identityOf("holder");
    await attachIdle(clients, identity, runtimeId);
    const [nothing, held] = await causesOf(clients);
    expect(nothing?.kind).toBe(RuntimeCauseKind.NOTHING_QUEUED);
    expect(held).toMatchObject({ kind: RuntimeCauseKind.LEASE_HELD, generation: 1n, ...identity });
    expect(held?.until).toBeDefined();
    await clients.executors.detach(identity);
  });
});

describe("a runtime that takes nothing", () => {
  it("is retired, full, stopped, unregistered or destroyed, and says what would help", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    expect(await verdictOf(causesOf(clients))).toBe("RUNTIME_NOT_REGISTERED");
    await runtimes.ensureRuntime({ runtimeId, config: { queueLimit: 1 } });
    await ingest(clients, "a");
    expect(await kindsOf(clients)).toEqual(["NO_EXECUTOR", "INTAKE_FULL"]);
    const [, full] = await causesOf(clients);
    const { input } = await runtimes.getInput({
      runtimeId,
      target: { case: "inputId", value: "a" },
    });
    expect(full?.since).toEqual(input?.createdAt);
    await runtimes.retire({ runtimeId });
    expect(await kindsOf(clients)).toEqual(["NO_EXECUTOR", "RETIRED", "INTAKE_FULL"]);
    await runtimes.stopRuntime({ runtimeId });
    expect(await kindsOf(clients)).toEqual(["STOPPED"]);
    await runtimes.unregisterRuntime({ runtimeId });
    expect(await kindsOf(clients)).toEqual(["UNREGISTERED"]);
    await runtimes.ensureRuntime({ runtimeId });
    await runtimes.destroy({ runtimeId });
    const [destroyed] = await causesOf(clients);
    expect(destroyed).toMatchObject({
      kind: RuntimeCauseKind.DESTROYED,
      summary: "the runtime was destroyed",
      remedy: "none: take another runtime",
    });
  });
});
