// Waiting for operations: WaitAll, WaitAny, the feed and watches, here and at another replica.
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { OperationStatus } from "../../gen/keelson/operation/v1/messages_pb.ts";
import {
  WatchOperationEndReason,
  type WatchOperationResponse,
} from "../../gen/keelson/operation/v1/service_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { finish, operate, runtimeId } from "./support/operations.ts";
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

async function clientsOfRuntime(config: { completedRetention?: number } = {}) {
  const clients = clientsOf(deployment.url);
  await clients.runtimes.ensureRuntime({ runtimeId, config });
  return clients;
}

function waitAll({ operations }: CaseClients, ...operationIds: string[]) {
  return operations.waitAll({ runtimeId, operationIds });
}

/** The server has heard everything that was sent before on the same connection. */
async function settle({ admin }: CaseClients): Promise<void> {
  await admin.getServerInfo({});
}

function idsOf(answer: { readonly operations: readonly { readonly operationId: string }[] }) {
  return answer.operations.map(({ operationId }) => operationId);
}

describe("wait_all", () => {
  it("order: answers in the order asked for, with every outcome", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b", "c");
    await finish(clients, "c");
    const waiting = waitAll(clients, "b", "c", "a");
    await settle(clients);
    await finish(clients, "a", "b");
    const done = await waiting;
    expect([idsOf(done), done.allEnded]).toEqual([["b", "c", "a"], true]);
    const contents = done.operations.map(({ outcome }) => outcome?.outcome);
    expect(contents).toMatchObject(
      ["b", "c", "a"].map((name) => ({ value: { result: { content: `result of ${name}` } } })),
    );
  });

  it("immediate: when all have ended, and when there is nothing to wait for", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    await finish(clients, "a");
    expect(await waitAll(clients, "a")).toMatchObject({ allEnded: true });
    expect(await waitAll(clients)).toMatchObject({ operations: [], allEnded: true });
  });

  it("duplicate and unknown id: refused, the duplicate first", async () => {
    const clients = await clientsOfRuntime();
    expect(await refusalOf(waitAll(clients, "x", "x"))).toMatchObject({
      code: Code.InvalidArgument,
      reason: "OPERATION_WAIT_DUPLICATE",
      metadata: { operationId: "x" },
    });
    expect(await verdictOf(waitAll(clients, "x"))).toBe("OPERATION_NOT_FOUND");
  });

  it("concurrent: any number of waits, each answered (decision 17)", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b");
    const waits = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0 ? waitAll(clients, "a", "b") : waitAll(clients, "b"),
    );
    await settle(clients);
    await finish(clients, "a", "b");
    for (const done of await Promise.all(waits)) expect(done.allEnded).toBe(true);
  });

  it("watcher_count: who waits and who watches, until they go or it ends", async () => {
    const clients = await clientsOfRuntime();
    const { operations } = clients;
    await operate(clients, "tool", "a", "b");
    const counts = async () => {
      const { operations: all } = await operations.listOperations({ runtimeId });
      return all.map(({ operationId, watcherCount }) => `${operationId} ${watcherCount}`);
    };
    expect(await counts()).toEqual(["a 0", "b 0"]);
    const leaving = new AbortController();
    const request = { runtimeId, operationId: "a" };
    const watched = operations.watchOperation(request, { signal: leaving.signal });
    const messages = watched[Symbol.asyncIterator]();
    const first: { readonly value?: WatchOperationResponse } = await messages.next();
    expect(first.value?.message.value).toMatchObject({ operation: { watcherCount: 1 } });
    const waiting = waitAll(clients, "a", "b");
    await expect.poll(counts).toEqual(["a 2", "b 1"]);
    leaving.abort();
    await expect.poll(counts).toEqual(["a 1", "b 1"]);
    await finish(clients, "a");
    expect(await counts()).toEqual(["a 0", "b 1"]);
    await finish(clients, "b");
    expect((await waiting).operations.map(({ watcherCount }) => watcherCount)).toEqual([0, 0]);
  });

  it("drop cancels: a caller that goes leaves the others waiting", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    const leaving = new AbortController();
    const request = { runtimeId, operationIds: ["a"] };
    const dropped = clients.operations.waitAll(request, { signal: leaving.signal });
    const staying = waitAll(clients, "a");
    await settle(clients);
    leaving.abort();
    await expect(dropped).rejects.toSatisfy(
      (error) => ConnectError.from(error).code === Code.Canceled,
    );
    await finish(clients, "a");
    expect((await staying).allEnded).toBe(true);
  });

  it("pinned: what is evicted or collected while others are awaited is not lost", async () => {
    const clients = await clientsOfRuntime({ completedRetention: 1 });
    await operate(clients, "tool", "a", "b", "c");
    const waiting = waitAll(clients, "a", "b", "c");
    await settle(clients);
    await finish(clients, "a", "b");
    await clients.operations.collectCompleted({ runtimeId });
    await finish(clients, "c");
    expect(await waiting).toMatchObject({ allEnded: true });
    expect(await waitAll(clients, "a", "b", "c")).toMatchObject({ allEnded: true });
  });

  it("deadline: answers what has ended by then", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b");
    await finish(clients, "a");
    const request = { runtimeId, operationIds: ["b", "a"], timeout: { nanos: 20_000_000 } };
    const { operations, allEnded } = await clients.operations.waitAll(request);
    expect(allEnded).toBe(false);
    expect(operations.map(({ status }) => status)).toEqual([
      OperationStatus.RUNNING,
      OperationStatus.COMPLETED,
    ]);
  });

  it("a wait ends with the registration of its runtime", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    const waiting = verdictOf(waitAll(clients, "a"));
    await settle(clients);
    await clients.runtimes.unregisterRuntime({ runtimeId });
    expect(await waiting).toBe("RUNTIME_NOT_REGISTERED");
  });
});

describe("wait_any", () => {
  it("answers with the first that ends, and at once when one has", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b", "c");
    const waiting = clients.operations.waitAny({ runtimeId, operationIds: ["c", "b", "a"] });
    await settle(clients);
    await finish(clients, "b");
    expect(idsOf(await waiting)).toEqual(["b"]);
    await finish(clients, "c");
    const now = await clients.operations.waitAny({ runtimeId, operationIds: ["c", "b", "a"] });
    expect(idsOf(now)).toEqual(["c", "b"]);
  });

  it("answers nothing when the time is up, and wants something to wait for", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    const timeout = { nanos: 10_000_000 };
    const shortly = { runtimeId, operationIds: ["a"], timeout };
    expect(idsOf(await clients.operations.waitAny(shortly))).toEqual([]);
    const nothing = clients.operations.waitAny({ runtimeId, operationIds: [] });
    expect(await verdictOf(nothing)).toBe("INVALID_FIELD");
  });
});

describe("the feed", () => {
  it("wait_for_advance: is woken by the next completion, and misses none", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b");
    const first = clients.operations.waitCompletions({ runtimeId });
    await settle(clients);
    await finish(clients, "a");
    expect(idsOf({ operations: (await first).completions })).toEqual(["a"]);
    await finish(clients, "b");
    const second = await clients.operations.waitCompletions({ runtimeId, afterSequence: 1n });
    expect(idsOf({ operations: second.completions })).toEqual(["b"]);
    expect(second.registry?.watermark).toBe(2n);
  });

  it("waits past what it was told of, and answers empty when the time is up", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a", "b");
    const ahead = clients.operations.waitCompletions({ runtimeId, afterSequence: 1n });
    await settle(clients);
    await finish(clients, "a", "b");
    expect(idsOf({ operations: (await ahead).completions })).toEqual(["b"]);
    const request = { runtimeId, afterSequence: 2n, timeout: { nanos: 10_000_000 } };
    expect((await clients.operations.waitCompletions(request)).completions).toEqual([]);
  });
});

describe("a watch", () => {
  it("multi-listener: every watcher sees the operation to its end, once", async () => {
    const clients = await clientsOfRuntime();
    await operate(clients, "tool", "a");
    async function watch(): Promise<WatchOperationResponse["message"][]> {
      const messages = [];
      const stream = clients.operations.watchOperation({ runtimeId, operationId: "a" });
      for await (const { message } of stream) messages.push(message);
      return messages;
    }
    const watching = [watch(), watch(), watch()];
    await settle(clients);
    await clients.operations.reportProgress({ runtimeId, operationId: "a", percent: 5 });
    await finish(clients, "a");
    for (const messages of await Promise.all(watching)) {
      const statuses = messages.map((message) =>
        message.case === "state" ? message.value.operation?.status : undefined,
      );
      const ends = statuses.filter((status) => status === OperationStatus.COMPLETED);
      expect(ends).toHaveLength(1);
      expect(messages.at(-1)).toMatchObject({
        case: "end",
        value: { reason: WatchOperationEndReason.OPERATION_ENDED },
      });
    }
  });

  it("of an operation that nobody registered is refused", async () => {
    const clients = await clientsOfRuntime();
    const stream = clients.operations.watchOperation({ runtimeId, operationId: "x" });
    const first = stream[Symbol.asyncIterator]().next();
    expect(await verdictOf(first)).toBe("OPERATION_NOT_FOUND");
  });
});

it("a wait at one replica is answered by a completion at another", async () => {
  const database = openSharedDatabase();
  opened.push(database);
  const first = await database.serve();
  const second = await database.serve();
  await first.runtimes.ensureRuntime({ runtimeId });
  await operate(first, "tool", "a");
  const all = waitAll(second, "a");
  const completions = second.operations.waitCompletions({ runtimeId });
  await settle(second);
  await finish(first, "a");
  expect((await all).allEnded).toBe(true);
  expect((await completions).registry?.watermark).toBe(1n);
});
