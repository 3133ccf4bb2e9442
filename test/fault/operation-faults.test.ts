// What becomes of operations, of who waits for them and of the wake when servers are killed.
import { expect, test } from "vitest";
import { OperationKind } from "../../gen/keelson/operation/v1/messages_pb.ts";
import type { Endpoints } from "./support/endpoints.ts";
import { onCluster, SMALL_POOL } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const ALONE = { replicas: ["alone"] };
const TWO = { replicas: ["first", "second"] };
const EXECUTOR = { executorId: "late", pool: SMALL_POOL, leaseTtlMs: 2_000 };
const OPERATIONS = 40;
const WAIT_SECONDS = 2n;

const namesOf = (round: string): readonly string[] =>
  Array.from({ length: OPERATIONS }, (_operation, index) => `${round}-${index}`);

/** Registers background operations and has them run. */
async function operate(
  { call }: Endpoints,
  runtimeId: string,
  names: readonly string[],
): Promise<void> {
  const kind = OperationKind.BACKGROUND_TOOL_OP;
  await Promise.all(
    names.map(async (operationId) => {
      const spec = { operationId, kind, displayName: operationId };
      const registration = { runtimeId, spec, requestId: `register ${operationId}` };
      await call(({ operations }, limits) => operations.registerOperation(registration, limits));
      const name = { runtimeId, operationId, requestId: `provision ${operationId}` };
      await call(({ operations }, limits) => operations.markProvisioned(name, limits));
    }),
  );
}

/** Completes an operation; the call is repeated until it is answered. */
async function complete({ call }: Endpoints, runtimeId: string, operationId: string) {
  const requestId = `complete ${operationId}`;
  const request = { runtimeId, operationId, requestId, result: { content: operationId } };
  await call(({ operations }, limits) => operations.completeOperation(request, limits));
}

/** Completes operations at once, and kills a server in the middle. */
async function completeWhileKilled(
  endpoints: Endpoints,
  runtimeId: string,
  names: readonly string[],
  kill: () => Promise<void>,
): Promise<void> {
  let answered = 0;
  const completing = names.map(async (name) => {
    await complete(endpoints, runtimeId, name);
    answered += 1;
  });
  await eventually("some are answered", 20_000, () => answered >= OPERATIONS / 8);
  await kill();
  await Promise.all(completing);
}

/** The registry of a runtime and its whole feed. */
async function feedOf({ call }: Endpoints, runtimeId: string) {
  const request = { runtimeId, pageSize: 1_000, includeResults: true };
  return await call(({ operations }, limits) => operations.listCompletions(request, limits));
}

/** The inputs that tell an agent of completions. */
async function continuations({ call }: Endpoints, runtimeId: string) {
  const request = { runtimeId, includePayload: true, pageSize: 1_000 };
  const { inputs } = await call(({ runtimes }, limits) => runtimes.listInputs(request, limits));
  return inputs.filter(({ input }) => {
    const { kind } = input ?? {};
    return kind?.case === "continuation" && kind.value.reason.startsWith("detached");
  });
}

/** Every operation ended once, in some order, with its own result, and none is missing. */
async function expectAllCompleted(endpoints: Endpoints, runtimeId: string, count: number) {
  const { completions, registry } = await feedOf(endpoints, runtimeId);
  expect(completions.map(({ completionSequence: sequence }) => sequence)).toEqual(
    Array.from({ length: count }, (_completion, index) => BigInt(index + 1)),
  );
  expect(new Set(completions.map(({ operationId }) => operationId)).size).toBe(count);
  for (const { operationId, outcome } of completions) {
    expect(outcome).toMatchObject({ outcome: { value: { result: { content: operationId } } } });
  }
  return registry?.cursors;
}

test("completions and their wake are one commit: a killed server tears nothing apart", async () => {
  await onCluster(ALONE, async ({ cluster, client, ensure, untilConsumed }) => {
    const [server] = cluster.replicas;
    const { endpoints } = client;
    await ensure("desk");
    const names = namesOf("idle");
    await operate(endpoints, "desk", names);
    await completeWhileKilled(endpoints, "desk", names, async () => {
      await server?.kill();
      await server?.start();
    });
    const told = await expectAllCompleted(endpoints, "desk", OPERATIONS);
    expect(told?.runtimeInjected).toBe(BigInt(OPERATIONS));
    expect(await continuations(endpoints, "desk")).toHaveLength(1);
    cluster.startExecutor(EXECUTOR);
    await untilConsumed("desk", 1);
    expect(await continuations(endpoints, "desk")).toHaveLength(1);
  });
});

test("a wake put off by other work comes once, from whichever server ends that work", async () => {
  await onCluster(ALONE, async ({ cluster, client, ensure, send, untilConsumed }) => {
    const [server] = cluster.replicas;
    const { endpoints } = client;
    await ensure("desk");
    const names = namesOf("busy");
    await operate(endpoints, "desk", names);
    await send("desk", "work");
    await completeWhileKilled(endpoints, "desk", names, async () => {
      await server?.kill();
      await server?.start();
    });
    expect(await continuations(endpoints, "desk")).toEqual([]);
    cluster.startExecutor(EXECUTOR);
    await untilConsumed("desk", 2);
    expect(await continuations(endpoints, "desk")).toHaveLength(1);
    const told = await expectAllCompleted(endpoints, "desk", OPERATIONS);
    expect(told).toMatchObject({
      runtimeObserved: BigInt(OPERATIONS),
      runtimeInjected: BigInt(OPERATIONS),
    });
  });
});

test("who waits is answered at another server when theirs is killed", async () => {
  await onCluster(TWO, async ({ cluster, client, ensure }) => {
    const [first] = cluster.replicas;
    const { endpoints } = client;
    await ensure("desk");
    const names = namesOf("awaited");
    await operate(endpoints, "desk", names);
    const timeout = { seconds: WAIT_SECONDS };
    const waiting = names.map(async (name) => {
      const request = { runtimeId: "desk", operationIds: [name], timeout };
      for (;;) {
        const { allEnded, operations } = await endpoints.call((endpoint, limits) =>
          endpoint.operations.waitAll(request, limits),
        );
        if (allEnded) return operations[0]?.operationId;
      }
    });
    await completeWhileKilled(endpoints, "desk", names, async () => {
      await first?.kill();
    });
    expect(await Promise.all(waiting)).toEqual(names);
    await expectAllCompleted(endpoints, "desk", OPERATIONS);
  });
});
