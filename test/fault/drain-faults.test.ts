// What becomes of drains when their executors and their servers are killed.
import { expect, test } from "vitest";
import {
  DrainExitReason,
  DrainPhase,
  type PeerIngress,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { onCluster, SMALL_POOL, type SmallScene } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const ALONE = { replicas: ["alone"] };
const TWO = { replicas: ["first", "second"] };
const DRAINER = { pool: SMALL_POOL, leaseTtlMs: 1_500, capabilities: ["peer_drain"] };

async function untilHosted({ read }: SmallScene, executorId: string): Promise<PeerIngress> {
  let ingress: PeerIngress | undefined;
  await eventually(`${executorId} runs the drain`, 30_000, async () => {
    ingress = (await read("desk")).peerIngress;
    return ingress?.phase === DrainPhase.RUNNING && ingress.executorId === executorId;
  });
  if (ingress === undefined) throw new Error("a runtime without its ingress");
  return ingress;
}

async function keepAlive({ client, ensure }: SmallScene): Promise<void> {
  await ensure("desk");
  const endpoint = { address: "inproc://desk" };
  const request = { runtimeId: "desk", keepAlive: true, endpoint };
  await client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.updatePeerIngress(request, limits);
  });
}

test("the drain of a killed executor goes to another one, counted as failed", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster } = scene;
    await keepAlive(scene);
    const victim = cluster.startExecutor({ executorId: "victim", ...DRAINER });
    const first = await untilHosted(scene, "victim");
    await victim.kill();
    cluster.startExecutor({ executorId: "heir", ...DRAINER });
    const second = await untilHosted(scene, "heir");
    expect(second.lastExit).toBe(DrainExitReason.FAILED);
    expect(second.drainSequence).toBe(first.drainSequence + 1n);
  });
});

test("the drain of an executor that lives outlasts the server that told it", async () => {
  await onCluster(TWO, async (scene) => {
    const { cluster, read } = scene;
    const [server] = cluster.replicas;
    await keepAlive(scene);
    cluster.startExecutor({ executorId: "steady", ...DRAINER, leaseTtlMs: 5_000 });
    const before = await untilHosted(scene, "steady");
    await server?.kill();
    await server?.start();
    const after = (await read("desk")).peerIngress;
    expect(after).toMatchObject({
      phase: DrainPhase.RUNNING,
      drainSequence: before.drainSequence,
      incarnationId: before.incarnationId,
    });
  });
});
