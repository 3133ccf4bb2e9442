// The registry of operations: the life of an operation, its refusals, retention, the feed, epochs.
import { Code } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { OperationKind, OperationStatus } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { WatchOperationEndReason } from "../../gen/keelson/operation/v1/service_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import {
  feed,
  finish,
  operate,
  read,
  register,
  registered,
  runtimeId,
} from "./support/operations.ts";
import { readRuntime } from "./support/runs.ts";
import { openSharedDatabase, type SharedDatabase } from "./support/shared-database.ts";
import { refusalOf, verdictOf } from "./support/verdict.ts";

let deployment: Deployment;
const opened: SharedDatabase[] = [];

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

function openDatabase(): SharedDatabase {
  const database = openSharedDatabase();
  opened.push(database);
  return database;
}

async function clientsOfRuntime(
  config: { completedRetention?: number; operationLimit?: number } = {},
) {
  const clients = clientsOf(deployment.url);
  await clients.runtimes.ensureRuntime({ runtimeId, config });
  return clients;
}

const peerHandle = {
  peerName: "researcher",
  trustedPeer: { name: "researcher", peerId: "peer-1", address: "inproc://researcher" },
};

describe("the life of an operation", () => {
  it("register, progress, peer, complete, and a late watch", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    const spec = {
      operationId: "child-1",
      kind: OperationKind.MOB_MEMBER_CHILD,
      displayName: "researcher",
      sourceLabel: "spawn_member",
      childRuntimeId: "agent-2",
      expectPeerChannel: true,
    };
    const { operation } = await operations.registerOperation({ runtimeId, spec });
    expect(operation).toMatchObject({ ...spec, status: OperationStatus.PROVISIONING });
    const name = { runtimeId, operationId: "child-1" };
    await operations.markProvisioned(name);
    await operations.reportProgress({ ...name, message: "reading", percent: 10 });
    await operations.reportProgress(name);
    await operations.reportPeerReady({ ...name, peerHandle });
    const result = {
      content: "found it",
      structured: { kind: { case: "numberValue", value: 7 } } as const,
      duration: { seconds: 2n, nanos: 500_000_000 },
      tokensUsed: 1200n,
    };
    await operations.completeOperation({ ...name, result });
    const now = await read(clients, "child-1");
    expect(now).toMatchObject({
      status: OperationStatus.COMPLETED,
      peerReady: true,
      peerHandle,
      progressCount: 2n,
      progressPercent: 10,
      completionSequence: 1n,
      retained: true,
      outcome: { outcome: { case: "completed", value: { result, contentOmitted: false } } },
    });
    const messages = [];
    for await (const { message } of operations.watchOperation(name)) messages.push(message);
    expect(messages).toMatchObject([
      { case: "state", value: { operation: { status: OperationStatus.COMPLETED } } },
      { case: "end", value: { reason: WatchOperationEndReason.OPERATION_ENDED } },
    ]);
  });

  it("peer handle in snapshot, and the refusals of a peer in their order", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await register(clients, "tool", "tool-1");
    await register(clients, "child", "child-1");
    const ready = (operationId: string) =>
      operations.reportPeerReady({ runtimeId, operationId, peerHandle });
    expect(await verdictOf(ready("nobody"))).toBe("OPERATION_NOT_FOUND");
    expect(await verdictOf(ready("tool-1"))).toBe("OPERATION_PEER_NOT_EXPECTED");
    expect(await verdictOf(ready("child-1"))).toBe("OPERATION_INVALID_TRANSITION");
    await operations.markProvisioned({ runtimeId, operationId: "child-1" });
    await ready("child-1");
    expect(await verdictOf(ready("child-1"))).toBe("OPERATION_PEER_ALREADY_READY");
    expect((await read(clients, "child-1")).peerHandle).toMatchObject(peerHandle);
  });

  it("fail, cancel, retire and abort outcomes", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await register(clients, "tool", "a", "b");
    await operate(clients, "tool", "c", "d", "e");
    const name = (operationId: string) => ({ runtimeId, operationId });
    await operations.failProvisioning({ ...name("a"), error: "no disk" });
    await operations.abortProvisioning({ ...name("b"), reason: "not needed" });
    await operations.failOperation({ ...name("c"), error: "exit 1" });
    await operations.cancelOperation({ ...name("d"), reason: "asked to" });
    await operations.requestRetireOperation({ ...name("e"), reason: "enough" });
    expect((await read(clients, "e")).status).toBe(OperationStatus.RETIRING);
    await operations.markRetired(name("e"));
    const outcomes = (await feed(clients)).map(({ outcome }) => outcome?.outcome);
    expect(outcomes).toMatchObject([
      { case: "failed", value: { error: "no disk" } },
      { case: "aborted", value: { reason: "not needed" } },
      { case: "failed", value: { error: "exit 1" } },
      { case: "cancelled", value: { reason: "asked to" } },
      { case: "retired" },
    ]);
  });

  it("a step that does not follow is refused, with its status, and changes nothing", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await operate(clients, "tool", "a");
    const { revision } = await readRuntime(clients, runtimeId);
    const again = operations.markProvisioned({ runtimeId, operationId: "a" });
    expect(await refusalOf(again)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: "OPERATION_INVALID_TRANSITION",
      metadata: { operationId: "a", status: "running", action: "mark_operation_provisioned" },
    });
    expect((await readRuntime(clients, runtimeId)).revision).toBe(revision);
    await finish(clients, "a");
    const late = operations.failOperation({ runtimeId, operationId: "a", error: "late" });
    expect((await refusalOf(late)).metadata).toMatchObject({ status: "completed" });
  });

  it("an id is registered once, for ever", async () => {
    const clients = await clientsOfRuntime({ completedRetention: 0 });
    await operate(clients, "tool", "a");
    await finish(clients, "a");
    await clients.runtimes.reset({ runtimeId });
    expect(await refusalOf(register(clients, "tool", "a"))).toMatchObject({
      code: Code.AlreadyExists,
      reason: "OPERATION_ALREADY_REGISTERED",
      metadata: { operationId: "a", status: "completed" },
    });
  });

  it("a repeated call is answered as the first time, with the id made then", async () => {
    const clients = await clientsOfRuntime();
    const spec = { kind: OperationKind.BACKGROUND_TOOL_OP, displayName: "build" };
    const request = { runtimeId, spec, requestId: "once" };
    const first = await clients.operations.registerOperation(request);
    const second = await clients.operations.registerOperation(request);
    expect(second.operation?.operationId).toBe(first.operation?.operationId);
    expect(second.revision).toBe(first.revision);
    expect(await registered(clients)).toHaveLength(1);
  });

  it("timestamps ordering", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    await finish(clients, "a");
    const { registeredAt, startedAt, endedAt, elapsed } = await read(clients, "a");
    const nanos = (time: { seconds: bigint; nanos: number } | undefined) =>
      (time?.seconds ?? -1n) * 1_000_000_000n + BigInt(time?.nanos ?? 0);
    expect(nanos(startedAt)).toBeGreaterThanOrEqual(nanos(registeredAt));
    expect(nanos(endedAt)).toBeGreaterThanOrEqual(nanos(startedAt));
    expect(nanos(elapsed)).toBe(nanos(endedAt) - nanos(registeredAt));
  });

  it("terminate_owner once", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await operate(clients, "tool", "b", "a");
    const terminate = { runtimeId, reason: "owner gone" };
    expect((await operations.terminateOwner(terminate)).terminatedCount).toBe(2);
    const { revision } = await readRuntime(clients, runtimeId);
    expect(await operations.terminateOwner(terminate)).toMatchObject({
      terminatedCount: 0,
      revision,
    });
    expect(
      (await feed(clients)).map(({ operationId, outcome }) => [operationId, outcome]),
    ).toMatchObject([
      ["b", { outcome: { case: "terminated", value: { reason: "owner gone" } } }],
      ["a", { outcome: { case: "terminated", value: { reason: "owner gone" } } }],
    ]);
  });
});

describe("the registry", () => {
  it("distinct registries per session", async () => {
    const clients = await clientsOfRuntime();
    await clients.runtimes.ensureRuntime({ runtimeId: "other" });
    await operate(clients, "tool", "a");
    const elsewhere = clients.operations.getOperation({ runtimeId: "other", operationId: "a" });
    expect(await verdictOf(elsewhere)).toBe("OPERATION_NOT_FOUND");
    const unknown = clients.operations.listOperations({ runtimeId: "never" });
    expect(await verdictOf(unknown)).toBe("RUNTIME_NOT_REGISTERED");
  });

  it("max_concurrent 2: the third is rejected, and admitted after a completion", async () => {
    const clients = await clientsOfRuntime({ operationLimit: 2 });
    await operate(clients, "tool", "a", "b");
    expect(await refusalOf(register(clients, "tool", "c"))).toMatchObject({
      code: Code.ResourceExhausted,
      reason: "OPERATION_LIMIT_REACHED",
      metadata: { operationLimit: "2", active: "2" },
    });
    await finish(clients, "a");
    await register(clients, "tool", "c");
  });

  it("unlimited 100: a runtime of its own accord takes a hundred", async () => {
    const clients = await clientsOfRuntime();
    const names = Array.from({ length: 100 }, (_, index) => `op-${index}`);
    await Promise.all(names.map((name) => register(clients, "tool", name)));
    const { registry } = await clients.operations.listOperations({ runtimeId });
    expect(registry).toMatchObject({ active: 100, operationLimit: 10_000 });
  });

  it("retention evicts oldest: at most 3 of 5 stay, all stay readable", async () => {
    const clients = await clientsOfRuntime({ completedRetention: 3 });
    await operate(clients, "tool", "a", "b", "c", "d", "e");
    await finish(clients, "a", "b", "c", "d", "e");
    expect(await registered(clients)).toEqual(["c", "d", "e"]);
    expect(await read(clients, "a")).toMatchObject({
      status: OperationStatus.COMPLETED,
      retained: false,
      outcome: { outcome: { value: { result: { content: "result of a" } } } },
    });
  });

  it("collect drains, a second call is empty, and the agent's cursor follows", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await operate(clients, "tool", "a", "b", "going");
    await finish(clients, "b", "a");
    const first = await operations.collectCompleted({ runtimeId, requestId: "collect" });
    expect(first.operations).toMatchObject([
      { operationId: "b", outcome: { outcome: { value: { result: { content: "result of b" } } } } },
      { operationId: "a", outcome: { outcome: { value: { result: { content: "result of a" } } } } },
    ]);
    expect(first.registry).toMatchObject({ active: 1, retained: 0, cursors: { agentApplied: 2n } });
    expect((await operations.collectCompleted({ runtimeId })).operations).toEqual([]);
    expect(await registered(clients)).toEqual(["going"]);
    const again = await operations.collectCompleted({ runtimeId, requestId: "collect" });
    expect(again.operations.map(({ operationId }) => operationId)).toEqual(["b", "a"]);
  });

  it("list is by display name, in pages, and filtered", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await register(clients, "tool", "c", "a");
    await operate(clients, "child", "b");
    await operations.failOperation({ runtimeId, operationId: "a", error: "no" });
    const first = await operations.listOperations({ runtimeId, pageSize: 2 });
    const rest = { runtimeId, pageSize: 2, pageToken: first.nextPageToken };
    const second = await operations.listOperations(rest);
    const names = [...first.operations, ...second.operations].map(({ operationId }) => operationId);
    expect([names, second.nextPageToken]).toEqual([["a", "b", "c"], ""]);
    const listed = async (filter: object) =>
      (await operations.listOperations({ runtimeId, filter })).operations.map(
        ({ operationId }) => operationId,
      );
    expect(await listed({ active: true })).toEqual(["b", "c"]);
    expect(await listed({ statuses: [OperationStatus.FAILED] })).toEqual(["a"]);
    expect(await listed({ kinds: [OperationKind.MOB_MEMBER_CHILD] })).toEqual(["b"]);
  });

  it("entries beyond authority retention captured: the feed forgets nothing", async () => {
    const clients = await clientsOfRuntime({ completedRetention: 1 });
    await operate(clients, "tool", "a", "b", "c");
    await finish(clients, "c", "a", "b");
    const all = await feed(clients);
    expect(
      all.map(({ completionSequence, operationId }) => [completionSequence, operationId]),
    ).toEqual([
      [1n, "c"],
      [2n, "a"],
      [3n, "b"],
    ]);
    expect((await feed(clients, 2n)).map(({ operationId }) => operationId)).toEqual(["b"]);
    const { registry } = await clients.operations.listCompletions({ runtimeId, afterSequence: 3n });
    expect(registry?.watermark).toBe(3n);
  });
});

describe("epochs", () => {
  it("stable epoch, same registry, shared feed: over registration and unregistration", async () => {
    const clients = await clientsOfRuntime();
    const { runtimes, operations } = clients;
    await operate(clients, "tool", "a", "b");
    await finish(clients, "a");
    const { epochId } = await readRuntime(clients, runtimeId);
    await runtimes.unregisterRuntime({ runtimeId });
    const late = operations.failOperation({ runtimeId, operationId: "b", error: "no" });
    expect(await verdictOf(late)).toBe("RUNTIME_NOT_REGISTERED");
    expect((await read(clients, "b")).status).toBe(OperationStatus.RUNNING);
    await runtimes.ensureRuntime({ runtimeId });
    await finish(clients, "b");
    expect((await readRuntime(clients, runtimeId)).epochId).toBe(epochId);
    expect((await feed(clients)).map((entry) => [entry.operationId, entry.epochId])).toEqual([
      ["a", epochId],
      ["b", epochId],
    ]);
  });

  it("different epoch: Reset ends what was active, in its commit, for all to see", async () => {
    const clients = await clientsOfRuntime();
    const { runtimes, operations } = clients;
    await operate(clients, "tool", "a");
    const before = await readRuntime(clients, runtimeId);
    const waiting = operations.waitAll({ runtimeId, operationIds: ["a"] });
    const { revision } = await runtimes.reset({ runtimeId });
    const terminated = { outcome: { case: "terminated", value: { reason: "epoch_rotated" } } };
    const told = await waiting;
    expect(told).toMatchObject({ allEnded: true, operations: [{ outcome: terminated }], revision });
    const [entry] = await feed(clients);
    expect(entry).toMatchObject({ epochId: before.epochId, outcome: terminated });
    const { registry } = await operations.listOperations({ runtimeId });
    expect(registry?.epochId).not.toBe(before.epochId);
    const spec = { kind: OperationKind.BACKGROUND_TOOL_OP, displayName: "late" };
    const stale = { runtimeId, spec, expectedEpochId: before.epochId };
    expect(await verdictOf(operations.registerOperation(stale))).toBe("EPOCH_MISMATCH");
  });

  it.each([
    ["stopRuntime", "stopped"],
    ["destroy", "destroyed"],
  ] as const)("%s ends what is active as terminated", async (action, reason) => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    await clients.runtimes[action]({ runtimeId });
    expect((await read(clients, "a")).outcome).toMatchObject({
      outcome: { case: "terminated", value: { reason } },
    });
    const refusal = action === "destroy" ? "RUNTIME_DESTROYED" : "INVALID_STATE";
    expect(await verdictOf(register(clients, "tool", "b"))).toBe(refusal);
  });
});

describe("after a restart of the server", () => {
  it("snapshot round-trip: what ended, the feed, the cursors; what is active stays", async () => {
    const database = openDatabase();
    const first = await database.serve();
    await first.runtimes.ensureRuntime({ runtimeId, config: { completedRetention: 2 } });
    await operate(first, "child", "a", "b", "c", "going");
    await finish(first, "a", "b", "c");
    await first.operations.collectCompleted({ runtimeId, throughSequence: 2n });
    const before = await first.operations.listOperations({ runtimeId });
    const second = await database.restart();
    const after = await second.operations.listOperations({ runtimeId });
    expect(after.registry).toEqual(before.registry);
    expect(after.registry).toMatchObject({
      watermark: 3n,
      cursors: { agentApplied: 2n, runtimeObserved: 3n, runtimeInjected: 0n },
    });
    expect(await registered(second)).toEqual(["c", "going"]);
    expect((await feed(second)).map(({ operationId }) => operationId)).toEqual(["a", "b", "c"]);
    await finish(second, "going");
    expect((await read(second, "going")).completionSequence).toBe(4n);
  });

  it("cold ensure and register recover the same epoch and feed", async () => {
    const database = openDatabase();
    const first = await database.serve();
    await first.runtimes.ensureRuntime({ runtimeId });
    await operate(first, "tool", "a");
    await finish(first, "a");
    const { epochId } = await readRuntime(first, runtimeId);
    const second = await database.restart();
    const { runtime, created } = await second.runtimes.ensureRuntime({ runtimeId });
    expect([runtime?.epochId, created]).toEqual([epochId, false]);
    expect(await feed(second)).toHaveLength(1);
  });

  it("wait cleared and usable: a caller asks again and is answered", async () => {
    const database = openDatabase();
    const first = await database.serve();
    await first.runtimes.ensureRuntime({ runtimeId });
    await operate(first, "tool", "a");
    const waiting = first.operations.waitAll({ runtimeId, operationIds: ["a"] });
    await first.admin.getServerInfo({});
    const second = await database.restart();
    const interrupted = await waiting.catch(() => ({ allEnded: false }));
    expect(interrupted.allEnded).toBe(false);
    const again = second.operations.waitAll({ runtimeId, operationIds: ["a"] });
    await finish(second, "a");
    expect((await again).allEnded).toBe(true);
  });
});
