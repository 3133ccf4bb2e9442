// What becomes of runs that callers took with their inputs when servers and callers are killed.
import { randomUUID } from "node:crypto";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { onCluster, SMALL_POOL, type SmallScene } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const LEASE_TTL_MS = 2_000;
const ALONE = { replicas: ["alone"] };

function takingRequest(key: string) {
  return {
    runtimeId: "desk",
    executorId: "caller",
    incarnationId: randomUUID(),
    leaseTtl: durationFromMs(LEASE_TTL_MS),
    requestId: key,
    input: {
      idempotencyKey: key,
      kind: { case: "prompt" as const, value: { text: key } },
    },
  };
}

async function attemptsOf({ client }: SmallScene): Promise<readonly number[]> {
  const { inputs } = await client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.listInputs({ runtimeId: "desk" }, limits);
  });
  return inputs.map((input) => input.attemptCount);
}

test("a caller that is gone after its server was killed loses its lease alone", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, client, ensure, read, untilConsumed, judge } = scene;
    const [server] = cluster.replicas;
    await ensure("desk");
    const request = takingRequest("abandoned");
    const { run } = await client.endpoints.call(({ runtimes }, limits) => {
      return runtimes.ingestAndRun(request, limits);
    });
    await server?.kill();
    await server?.start();
    expect((await read("desk")).currentRun?.runId).toBe(run?.runId);
    await eventually("the lease has lapsed", 30_000, async () => {
      return (await read("desk")).currentRun === undefined;
    });
    cluster.startExecutor({ executorId: "heir", pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS });
    await untilConsumed("desk", 1);
    expect(await attemptsOf(scene)).toEqual([2]);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    const codes = runtimes[0]?.events.map((event) => event.eventCode);
    expect(codes).toContain("executor.lease_lapsed");
  });
});
