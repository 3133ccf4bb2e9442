// What becomes of work when the database is killed, paused and away for long.
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { reasonOf } from "./support/endpoints.ts";
import { makeInput, textFor } from "./support/made-inputs.ts";
import { onCluster, SMALL_POOL, type SmallScene } from "./support/small-scene.ts";
import { eventually, pauseFor } from "./support/waiting.ts";

const LEASE_TTL_MS = 2_000;
const ALONE = { replicas: ["alone"] };
const CALL_TIMEOUT_MS = 20_000;

/** Sends one prompt once, patiently; answers what it was refused with, or nothing. */
async function sendOnce({ client }: SmallScene, name: string): Promise<unknown> {
  const plan = { shape: "prompt", key: name, text: textFor("complete", name), scope: "" } as const;
  client.noteSent("desk", plan);
  try {
    const request = { runtimeId: "desk", input: makeInput(plan) };
    const limits = { timeoutMs: CALL_TIMEOUT_MS };
    const { outcome } = await client.endpoints.next().runtimes.ingest(request, limits);
    client.noteAnswer("desk", plan, outcome);
    return undefined;
  } catch (error) {
    return error;
  }
}

test("a database killed in the middle of batches loses nothing that was acknowledged", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, ensure, send, recorder, judge, untilConsumed } = scene;
    await ensure("desk");
    const refusals: unknown[] = [];
    let count = 0;
    let isOver = false;
    const lane = async (): Promise<void> => {
      while (!isOver) {
        count += 1;
        const name = `batch-${count}`;
        const refusal = await sendOnce(scene, name);
        if (refusal === undefined) continue;
        refusals.push(refusal);
        await send("desk", name);
      }
    };
    const lanes = Promise.all(Array.from({ length: 24 }, lane));
    for (const answered of [100, 200, 300]) {
      await eventually("inputs are answered", 60_000, () => recorder.answerCount() >= answered);
      await cluster.database.kill();
    }
    await eventually("answers go on", 60_000, () => recorder.answerCount() >= 400);
    isOver = true;
    await lanes;
    for (const refusal of refusals) {
      expect(reasonOf(refusal)).toBe("DATABASE_UNAVAILABLE");
      expect(ConnectError.from(refusal).code).toBe(Code.Unavailable);
      expect(ConnectError.from(refusal).findDetails(RetryInfoSchema)).toHaveLength(1);
    }
    const terms = { pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS, workMs: 0 };
    cluster.startExecutor({ executorId: "late", ...terms });
    await untilConsumed("desk", count);
    expect((await judge("desk")).violations).toEqual([]);
  });
});

test("an outage longer than a lease lives takes no lease and counts no attempt", async () => {
  await onCluster(ALONE, async ({ cluster, ensure, send, read, untilConsumed, judge }) => {
    await ensure("desk");
    const terms = { pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS, waitMs: LEASE_TTL_MS * 5 };
    cluster.startExecutor({ executorId: "steady", ...terms });
    await send("desk", "long", "wait");
    await eventually("the run is acknowledged", 20_000, async () => {
      return (await read("desk")).currentRun?.acknowledged === true;
    });
    await cluster.database.pause();
    await pauseFor(LEASE_TTL_MS * 4);
    await cluster.database.resume();
    await untilConsumed("desk", 1);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.inputs.map((input) => input.attemptCount)).toEqual([1]);
    const codes = runtimes[0]?.events.map((event) => event.eventCode);
    expect(codes).not.toContain("executor.lease_lapsed");
    expect(codes?.filter((code) => code === "run.started")).toHaveLength(1);
  });
});

test("a server finds its database again however often it was paused and killed", async () => {
  const replicas = ["first", "second"];
  await onCluster(
    { replicas },
    async ({ cluster, ensure, send, untilConsumed, judge, recorder }) => {
      await ensure("desk");
      for (let round = 0; round < 8; round += 1) {
        const sending = Promise.all(
          Array.from({ length: 10 }, (_input, index) => send("desk", `round-${round}-${index}`)),
        );
        await cluster.database.pause();
        await pauseFor(300);
        await cluster.database.resume();
        await cluster.database.kill();
        await sending;
      }
      for (const { name, isReady } of cluster.replicas) {
        await eventually(`${name} is ready again`, 20_000, isReady);
      }
      expect(recorder.answerCount()).toBe(80);
      cluster.startExecutor({ executorId: "late", pool: SMALL_POOL, workMs: 0 });
      await untilConsumed("desk", 80);
      expect((await judge("desk")).violations).toEqual([]);
    },
  );
});
