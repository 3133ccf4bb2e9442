// What becomes of work when servers are killed, paused and drained.
import { expect, test } from "vitest";
import { WatchEndReason } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { onCluster, SMALL_POOL } from "./support/small-scene.ts";
import { eventually, pauseFor } from "./support/waiting.ts";

const LEASE_TTL_MS = 2_000;
const ALONE = { replicas: ["alone"] };
/** The last item that a stream gives before it ends. */
async function lastOf<Item>(items: AsyncIterable<Item>): Promise<Item | undefined> {
  let last: Item | undefined;
  for await (const item of items) last = item;
  return last;
}

const TWO = { replicas: ["first", "second"] };

test("what was acknowledged survives a server killed before its dispatch", async () => {
  await onCluster(ALONE, async ({ cluster, ensure, send, untilConsumed, judge, recorder }) => {
    const [server] = cluster.replicas;
    await ensure("desk");
    const sending = Promise.all(
      Array.from({ length: 60 }, (_input, index) => send("desk", `early-${index}`)),
    );
    await eventually("a third is acknowledged", 20_000, () => recorder.answerCount() >= 20);
    await server?.kill();
    await server?.start();
    await sending;
    cluster.startExecutor({ executorId: "late", pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS });
    await untilConsumed("desk", 60);
    expect((await judge("desk")).violations).toEqual([]);
  });
});

test("a server paused for longer than a lease lives takes none and counts no attempt", async () => {
  await onCluster(TWO, async ({ cluster, ensure, send, read, untilConsumed, judge }) => {
    const [first] = cluster.replicas;
    await ensure("desk");
    const terms = { pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS, waitMs: LEASE_TTL_MS * 2 };
    cluster.startExecutor({ executorId: "steady", ...terms });
    await send("desk", "long", "wait");
    await eventually("the run is acknowledged", 20_000, async () => {
      return (await read("desk")).currentRun?.acknowledged === true;
    });
    first?.pause();
    await pauseFor(LEASE_TTL_MS * 3);
    first?.resume();
    await untilConsumed("desk", 1);
    await send("desk", "after");
    await untilConsumed("desk", 2);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.inputs.map((input) => input.attemptCount)).toEqual([1, 1]);
    expect(runtimes[0]?.events.map((event) => event.eventCode)).not.toContain(
      "executor.lease_lapsed",
    );
  });
});

test("a drain under load loses nothing, tells the watchers and ends with exit code 0", async () => {
  await onCluster(
    ALONE,
    async ({ cluster, client, ensure, send, untilConsumed, judge, recorder }) => {
      const [server] = cluster.replicas;
      await ensure("desk");
      cluster.startExecutor({ executorId: "busy", pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS });
      const request = { runtimeId: "desk", after: { revision: 0n } };
      const watching = lastOf(client.endpoints.next().runtimes.watchRuntime(request));
      const sending = Promise.all(
        Array.from({ length: 120 }, (_input, index) => send("desk", `busy-${index}`)),
      );
      await eventually("some are acknowledged", 20_000, () => recorder.answerCount() >= 30);
      expect(await server?.terminate()).toBe(0);
      const last = (await watching)?.message;
      expect(last?.case).toBe("end");
      expect(last?.value).toMatchObject({ reason: WatchEndReason.SERVER_DRAINING });
      await server?.start();
      await sending;
      await untilConsumed("desk", 120);
      expect((await judge("desk")).violations).toEqual([]);
    },
  );
});
