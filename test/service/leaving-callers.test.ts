// Callers that wait and leave: nothing is kept for them at the server, whatever they waited for.
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { OperationKind } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { makeWorld, type Replica } from "./support/dispatch-world.ts";
import { ensure, ingest } from "./support/replica-calls.ts";

const runtimeId = "r";
const operationId = "o";
const INGRESS = { runtimeId, keepAlive: true, endpoint: { address: "inproc://r" } };

/** A replica with something to wait for of every kind: an operation, an input, a drain. */
async function serving() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  await world.pass(ensure(a, runtimeId));
  const kind = OperationKind.BACKGROUND_TOOL_OP;
  const spec = { operationId, kind, displayName: "tool" };
  await world.pass(a.operations.registerOperation({ runtimeId, spec }));
  await world.pass(a.runtimes.updatePeerIngress(INGRESS));
  const inputId = await world.pass(ingest(a, runtimeId));
  return { world, a, inputId };
}

interface Leaving {
  readonly signal: AbortSignal;
}

async function watch({ operations }: Replica, options: Leaving): Promise<void> {
  const watched = operations.watchOperation({ runtimeId, operationId }, options);
  for await (const { message } of watched) {
    if (message.case === "end") throw new Error("the operation is not over");
  }
}

const operationIds = [operationId];

type Wait = (replica: Replica, options: Leaving, inputId: string) => unknown;

const WAITS: readonly [string, Wait][] = [
  ["WaitAll", ({ operations }, how) => operations.waitAll({ runtimeId, operationIds }, how)],
  ["WaitAny", ({ operations }, how) => operations.waitAny({ runtimeId, operationIds }, how)],
  ["WaitCompletions", ({ operations }, how) => operations.waitCompletions({ runtimeId }, how)],
  ["WatchOperation", watch],
  ["WaitDrain", ({ runtimes }, how) => runtimes.waitDrain({ runtimeId }, how)],
  [
    "AwaitInput",
    ({ runtimes }, how, inputId) =>
      runtimes.awaitInput({ runtimeId, target: { case: "inputId", value: inputId } }, how),
  ],
];

it.each(WAITS)("%s: a caller that leaves leaves nothing behind", async (_name, wait) => {
  const { world, a, inputId } = await serving();
  const leaving = new AbortController();
  const waited = Promise.resolve(wait(a, { signal: leaving.signal }, inputId)).then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  );
  await world.until(() => a.awaitedStreams() === 1);
  leaving.abort();
  expect(await world.pass(waited)).toBe(Code.Canceled);
  await world.until(() => a.awaitedStreams() === 0);
});

it("of two callers who wait for one thing, the one that stays is told", async () => {
  const { world, a } = await serving();
  const leaving = new AbortController();
  const request = { runtimeId, operationIds };
  const left = a.operations.waitAll(request, { signal: leaving.signal }).catch(() => "left");
  const stayed = a.operations.waitAll(request);
  await world.until(() => a.awaitedStreams() === 1);
  leaving.abort();
  expect(await world.pass(left)).toBe("left");
  expect(a.awaitedStreams()).toBe(1);
  await world.pass(a.operations.abortProvisioning({ runtimeId, operationId }));
  expect((await world.pass(stayed)).allEnded).toBe(true);
  expect(a.awaitedStreams()).toBe(0);
});
