// Drains whose runtime is spoken of at one replica and whose executor is attached at another.
import { describe, expect, it } from "vitest";
import { DrainExitReason, DrainPhase } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { streamNameOf } from "../../src/core/shared/ids.ts";
import { sampleCommit } from "../storage/samples.ts";
import { type AttachedExecutor, attach, identity, renew } from "./support/attached-executor.ts";
import { makeWorld, type Replica, type World } from "./support/dispatch-world.ts";
import { ensure } from "./support/replica-calls.ts";
import { verdictOf } from "./support/verdict.ts";

const TERMS = { pool: "default", capabilities: ["peer_drain"] };
const INGRESS = { runtimeId: "r", keepAlive: true, endpoint: { address: "inproc://r" } };

async function twoReplicas() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  const b = await world.addReplica("b");
  await world.elapse(3000);
  return { world, a, b };
}

function toldOf(executor: AttachedExecutor): readonly string[] {
  return executor.controls.map(({ control }) => control.case ?? "");
}

async function ingressAt(world: World, { runtimes }: Replica) {
  const { runtime } = await world.pass(runtimes.getRuntime({ runtimeId: "r" }));
  return runtime?.peerIngress;
}

/** A drain that was asked for at replica a and runs at an executor of replica b. */
async function hostedAtB() {
  const { world, a, b } = await twoReplicas();
  const host = attach(b.executors, identity("host"), TERMS);
  await world.elapse(500);
  await world.pass(ensure(a, "r"));
  await world.pass(a.runtimes.updatePeerIngress(INGRESS));
  await world.until(() => toldOf(host).length === 1);
  return { world, a, b, host };
}

describe("a drain asked for at another replica", () => {
  it("is told to the executor with the signal, without time passing", async () => {
    const { world, a, b } = await twoReplicas();
    const host = attach(b.executors, identity("host"), TERMS);
    await world.elapse(500);
    await world.pass(ensure(a, "r"));
    const atMs = world.clock.monotonicMs();
    await world.pass(a.runtimes.updatePeerIngress(INGRESS));
    await world.until(() => toldOf(host).length === 1);
    expect(world.clock.monotonicMs()).toBe(atMs);
    expect(toldOf(host)).toEqual(["spawnDrain"]);
  });

  it("is told within about two seconds when signals are lost", async () => {
    const { world, a, b } = await twoReplicas();
    world.loses = ({ port, method }) => port === "signals" && method === "publish";
    const host = attach(b.executors, identity("host"), TERMS);
    await world.elapse(500);
    await world.pass(ensure(a, "r"));
    const atMs = world.clock.monotonicMs();
    await world.pass(a.runtimes.updatePeerIngress(INGRESS));
    await world.until(() => toldOf(host).length === 1);
    expect(world.clock.monotonicMs() - atMs).toBeLessThanOrEqual(2500);
  });

  it("is aborted from there, and whoever waits there is told", async () => {
    const { world, a, b, host } = await hostedAtB();
    const waits = [a, b].map(({ runtimes }) => runtimes.waitDrain({ runtimeId: "r" }));
    await world.elapse(100);
    await world.pass(a.runtimes.abortDrain({ runtimeId: "r" }));
    await world.until(() => toldOf(host).length === 2);
    expect(toldOf(host)).toEqual(["spawnDrain", "abortDrain"]);
    const answers = await world.pass(Promise.all(waits));
    expect(answers.map(({ ended }) => ended)).toEqual([true, true]);
  });

  it("goes on when its executor attaches at the other replica, and is told there", async () => {
    const { world, a, b, host } = await hostedAtB();
    host.disconnect();
    await world.elapse(500);
    const again = attach(a.executors, host, TERMS);
    await world.until(() => toldOf(again).length === 1);
    await world.pass(b.runtimes.abortDrain({ runtimeId: "r" }));
    await world.until(() => toldOf(again).length === 2);
    expect(toldOf(again)).toEqual(["spawnDrain", "abortDrain"]);
  });

  it("is told to end when it was aborted while its executor was away", async () => {
    const { world, a, b, host } = await hostedAtB();
    host.disconnect();
    await world.elapse(500);
    await world.pass(b.runtimes.abortDrain({ runtimeId: "r" }));
    const heldDrains = [{ runtimeId: "r", drainSequence: 1n }];
    const again = attach(a.executors, host, { ...TERMS, heldDrains });
    await world.until(() => toldOf(again).length === 1);
    expect(toldOf(again)).toEqual(["abortDrain"]);
  });

  it("is told again to a poller that does not name it, because an answer may be lost", async () => {
    const { world, a } = await twoReplicas();
    const request = { ...identity("poller"), ...TERMS, timeout: { seconds: 60n } };
    await world.pass(ensure(a, "r"));
    await world.pass(a.runtimes.updatePeerIngress(INGRESS));
    const poll = async (heldDrains: { runtimeId: string; drainSequence: bigint }[]) => {
      const { controls } = await world.pass(a.executors.pollRun({ ...request, heldDrains }));
      return controls.map(({ control }) => control.case);
    };
    expect(await poll([])).toEqual(["spawnDrain"]);
    await world.elapse(6000);
    expect(await poll([])).toEqual(["spawnDrain"]);
    await world.elapse(6000);
    const held = [{ runtimeId: "r", drainSequence: 1n }];
    expect(await poll(held)).toEqual([]);
    await world.pass(a.runtimes.abortDrain({ runtimeId: "r" }));
    expect(await poll(held)).toEqual(["abortDrain"]);
    await world.elapse(6000);
    expect(await poll(held)).toEqual(["abortDrain"]);
    await world.elapse(6000);
    expect(await poll([])).toEqual([]);
  });

  it("counts as failed once its executor's register lapsed, and goes to another one", async () => {
    const { world, a, host } = await hostedAtB();
    await world.pass(renew(a.executors, host));
    host.disconnect();
    const heir = attach(a.executors, identity("heir"), TERMS);
    await world.elapse(20_000);
    await world.pass(renew(a.executors, heir));
    await world.until(() => toldOf(heir).length === 1);
    const ingress = await ingressAt(world, a);
    expect(ingress).toMatchObject({
      phase: DrainPhase.RUNNING,
      executorId: "heir",
      drainSequence: 2n,
      lastExit: DrainExitReason.FAILED,
    });
  });

  it("is handed on by an executor that detaches", async () => {
    const { world, a, b, host } = await hostedAtB();
    const heir = attach(a.executors, identity("heir"), TERMS);
    await world.elapse(500);
    const { executorId, incarnationId } = host;
    await world.pass(b.executors.detach({ executorId, incarnationId }));
    await world.until(() => toldOf(heir).length === 1);
    const ingress = await ingressAt(world, a);
    expect(ingress?.lastExit).toBe(DrainExitReason.SESSION_SHUTDOWN);
  });
});

describe("the end of all drains", () => {
  it("leaves out a runtime that cannot be read, and ends the others", async () => {
    const { world, a } = await twoReplicas();
    for (const runtimeId of ["broken", "whole"]) {
      await world.pass(ensure(a, runtimeId));
      await world.pass(a.runtimes.updatePeerIngress({ ...INGRESS, runtimeId }));
    }
    const stream = streamNameOf("runtime/default/broken");
    const forged = sampleCommit(stream, 3, { at: world.clock.nowMs() });
    await world.pass(world.database.connect("forger").journal.append([forged], 1000));
    const unreadable = a.runtimes.getRuntime({ runtimeId: "broken" });
    expect(await world.pass(verdictOf(unreadable))).toBe("STREAM_CORRUPT");
    const { runtimeIds } = await world.pass(a.runtimes.abortAllDrains({ requestId: "night" }));
    expect(runtimeIds).toEqual(["whole"]);
  });
});
