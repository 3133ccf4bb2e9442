// What becomes of inputs when clients give up in the middle of their calls.
import { expect, test } from "vitest";
import { makeInput, textFor } from "./support/made-inputs.ts";
import { onCluster, SMALL_POOL, type SmallScene } from "./support/small-scene.ts";
import { makeSeededRandom } from "../property/support/seeded-entropy.ts";

const CALLS = 150;

/** Gives up a call after a while, sends the same input again, and notes what it was told. */
async function giveUpAndRepeat(scene: SmallScene, name: string, afterMs: number): Promise<void> {
  const { client, send } = scene;
  const plan = { shape: "prompt", key: name, text: textFor("complete", name), scope: "" } as const;
  client.noteSent("desk", plan);
  const request = { runtimeId: "desk", input: makeInput(plan) };
  const limits = { signal: AbortSignal.timeout(afterMs) };
  const first = await client.endpoints
    .next()
    .runtimes.ingest(request, limits)
    .catch(() => undefined);
  if (first !== undefined) client.noteAnswer("desk", plan, first.outcome);
  await send("desk", name);
}

test("calls that were given up count once when they are repeated", async () => {
  await onCluster({ replicas: ["alone"] }, async (scene) => {
    const { cluster, ensure, untilConsumed, judge } = scene;
    const random = makeSeededRandom(1);
    await ensure("desk");
    cluster.startExecutor({ executorId: "busy", pool: SMALL_POOL, workMs: 0 });
    await Promise.all(
      Array.from({ length: CALLS }, (_call, index) => {
        return giveUpAndRepeat(scene, `hasty-${index}`, 1 + Math.floor(random() * 40));
      }),
    );
    await untilConsumed("desk", CALLS);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.counts.accepted).toBe(CALLS);
  });
});

test("streams that were torn down are no fault of the server", async () => {
  await onCluster({ replicas: ["alone"] }, async (scene) => {
    const { client, cluster, ensure, send } = scene;
    await ensure("desk");
    async function* endless(signal: AbortSignal) {
      for (let count = 0; !signal.aborted; count += 1) {
        const key = `torn-${count}`;
        const plan = { shape: "prompt", key, text: textFor("complete", key), scope: "" } as const;
        yield { clientSequence: BigInt(count), runtimeId: "desk", input: makeInput(plan) };
        if (count > 20) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      }
    }
    for (let round = 0; round < 5; round += 1) {
      const tearing = new AbortController();
      const { runtimes } = client.endpoints.next();
      const answers = runtimes.ingestStream(endless(tearing.signal), { signal: tearing.signal });
      await expect(async () => {
        for await (const { clientSequence } of answers) if (clientSequence === 20n) tearing.abort();
      }).rejects.toThrow(/abort|cancel/i);
    }
    await send("desk", "after");
    const log = cluster.replicas[0]?.log() ?? "";
    expect(log.split("\n").filter((line) => line.includes("INTERNAL"))).toEqual([]);
  });
});
