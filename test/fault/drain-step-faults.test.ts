// Drains whose server is killed between two steps of their lives, each at the very place: a gate to
// the database holds the message that the next step rests on, and the server dies while it waits.
import { expect, test } from "vitest";
import type { ExecutorControl } from "../../gen/keelson/executor/v1/messages_pb.ts";
import {
  DrainExitReason,
  DrainPhase,
  type PeerIngress,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, type AttachTerms, identity } from "../service/support/attached-executor.ts";
import { commanded, committed } from "./support/database-gate.ts";
import { useGatedStage } from "./support/gated-stage.ts";
import { SMALL_POOL } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const SETTLED_MS = 30_000;

const stage = useGatedStage();

async function ingressOf(runtimeId: string): Promise<PeerIngress> {
  const { peerIngress } = await stage().read(runtimeId);
  if (peerIngress === undefined) throw new Error("a runtime without its ingress");
  return peerIngress;
}

async function keepAlive(runtimeId: string): Promise<void> {
  const endpoint = { address: `inproc://${runtimeId}` };
  const request = { runtimeId, keepAlive: true, endpoint };
  await stage().client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.updatePeerIngress(request, limits);
  });
}

/** An executor that drains and notes what it is told of one runtime. */
function makeDrainer(runtimeId: string) {
  const self = identity(`host of ${runtimeId}`);
  const told: string[] = [];
  let attached: ReturnType<typeof attach> | undefined;

  const tell = (controls: readonly ExecutorControl[]): readonly string[] => {
    return controls.flatMap(({ runtimeId: about, control }) => {
      if (about !== runtimeId) return [];
      if (control.case === "spawnDrain") return [`spawn ${control.value.drainSequence}`];
      if (control.case === "abortDrain") return [`abort ${control.value.drainSequence}`];
      return [];
    });
  };

  return {
    /** Attaches, for the first time or again, naming the drains that it runs. */
    attach: (heldDrains: AttachTerms["heldDrains"] = []): void => {
      told.push(...tell(attached?.controls ?? []));
      const terms = { pool: SMALL_POOL, capabilities: ["peer_drain"], heldDrains };
      attached = attach(stage().client.endpoints.next().executors, self, terms);
    },
    /** What it was told of drains in all its attachments, in order. */
    told: (): readonly string[] => [...told, ...tell(attached?.controls ?? [])],
    leave: async (): Promise<void> => {
      attached?.disconnect();
      await stage().client.endpoints.call(({ executors }, limits) =>
        executors.detach(self, limits),
      );
    },
  };
}

async function untilTold(
  drainer: ReturnType<typeof makeDrainer>,
  ...words: readonly string[]
): Promise<void> {
  await eventually(
    `told ${words.join()}`,
    SETTLED_MS,
    () => drainer.told().join() === words.join(),
  );
}

test("a drain that was started, its server killed before it had a host, gets one", async () => {
  await stage().ensure("spawn");
  const drainer = makeDrainer("spawn");
  drainer.attach();
  const place = { place: "before", sought: committed("spawn", "drain_spawned") } as const;
  const look = async (): Promise<void> => {
    expect(await ingressOf("spawn")).toMatchObject({
      phase: DrainPhase.STARTING,
      drainSequence: 1n,
    });
    expect(drainer.told()).toEqual([]);
  };
  await stage().dyingAt({ ...place, look }, () => keepAlive("spawn"));
  expect(await ingressOf("spawn")).toMatchObject({ phase: DrainPhase.STARTING });
  drainer.attach();
  await untilTold(drainer, "spawn 1");
  expect(await ingressOf("spawn")).toMatchObject({
    phase: DrainPhase.RUNNING,
    drainSequence: 1n,
    executorId: "host of spawn",
  });
  expect(await stage().historyOf("spawn", "drain_")).toEqual(["drain_started", "drain_spawned"]);
  await drainer.leave();
});

test("the abort of a drain that was committed, and nobody told, is told after all", async () => {
  await stage().ensure("abort");
  const drainer = makeDrainer("abort");
  drainer.attach();
  await keepAlive("abort");
  await untilTold(drainer, "spawn 1");
  const request = { runtimeId: "abort", requestId: "abort-it", reason: "enough" };
  const abort = () => {
    return stage().client.endpoints.call(({ runtimes }, limits) => {
      return runtimes.abortDrain(request, limits);
    });
  };
  let isAnswered = false;
  const look = (): void => {
    expect([isAnswered, drainer.told()]).toEqual([false, ["spawn 1"]]);
  };
  const place = { place: "after", sought: committed("abort", "drain_aborted") } as const;
  const answer = await stage().dyingAt({ ...place, look }, async () => {
    const answered = await abort();
    isAnswered = true;
    return answered;
  });
  expect(answer.aborted).toBe(true);
  expect(await abort()).toEqual(answer);
  drainer.attach([{ runtimeId: "abort", drainSequence: 1n }]);
  await untilTold(drainer, "spawn 1", "abort 1");
  expect(await stage().historyOf("abort", "drain_")).toEqual([
    "drain_started",
    "drain_spawned",
    "drain_aborted",
  ]);
  await drainer.leave();
});

test("a drain that failed comes back once, killed in its backoff and at its end", async () => {
  await stage().ensure("respawn");
  const drainer = makeDrainer("respawn");
  drainer.attach();
  await keepAlive("respawn");
  await untilTold(drainer, "spawn 1");
  const failed = { runtimeId: "respawn", reason: DrainExitReason.FAILED, drainSequence: 1n };
  // From here on no second drain gets into the history unseen.
  const sought = committed("respawn", "drain_started");
  const guard = stage().stopAt("before", sought);
  await stage().client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.notifyDrainExited(failed, limits);
  });
  const { phase, notBefore } = await ingressOf("respawn");
  await stage().server.kill();
  expect([phase, guard.isReached()]).toEqual([DrainPhase.EXITED_RESPAWNABLE, false]);
  guard.lift();
  await stage().dyingAt({ place: "before", sought, look: () => undefined }, async () => {
    await stage().server.start();
    drainer.attach();
  });
  expect(await ingressOf("respawn")).toMatchObject({
    phase: DrainPhase.EXITED_RESPAWNABLE,
    drainSequence: 1n,
    notBefore,
  });
  drainer.attach();
  await untilTold(drainer, "spawn 1", "spawn 2");
  const { since, ...after } = await ingressOf("respawn");
  expect(after).toMatchObject({ phase: DrainPhase.RUNNING, drainSequence: 2n });
  expect(Number(since?.seconds)).toBeGreaterThanOrEqual(Number(notBefore?.seconds));
  const lives = "drain_started drain_spawned drain_exited drain_started drain_spawned";
  expect((await stage().historyOf("respawn", "drain_")).join(" ")).toBe(lives);
  await drainer.leave();
});

test("the end of all drains, killed half-way, goes on where it was and names all", async () => {
  const { endpoints } = stage().client;
  const headers = { "keelson-namespace": "crowd" };
  const names = Array.from({ length: 520 }, (_runtime, index) => `crowd-${1_000 + index}`);
  const endpoint = { address: "inproc://crowd" };
  const reach = (runtimeId: string) => {
    return endpoints.call(({ runtimes }, limits) => {
      const request = { runtimeId, keepAlive: true, endpoint };
      return runtimes.updatePeerIngress(request, { ...limits, headers });
    });
  };
  for (let from = 0; from < names.length; from += 65) {
    const some = names.slice(from, from + 65).map(async (runtimeId) => {
      await endpoints.call(({ runtimes }, limits) => {
        return runtimes.ensureRuntime({ runtimeId }, { ...limits, headers });
      });
      await reach(runtimeId);
    });
    await Promise.all(some);
  }
  const phases = async (): Promise<Readonly<Record<string, number>>> => {
    const { runtimes: all } = await endpoints.call(({ runtimes }, limits) => {
      return runtimes.listRuntimes({ pageSize: 1_000 }, { ...limits, headers });
    });
    const count = (phase: DrainPhase): number => {
      return all.filter(({ peerIngress }) => peerIngress?.phase === phase).length;
    };
    return { starting: count(DrainPhase.STARTING), stopped: count(DrainPhase.STOPPED) };
  };
  const abortAll = () => {
    return endpoints.call(({ runtimes }, limits) => {
      const request = { requestId: "night", reason: "maintenance" };
      return runtimes.abortAllDrains(request, { ...limits, headers });
    });
  };
  const look = async (): Promise<void> => {
    expect(await phases()).toEqual({ starting: 20, stopped: 500 });
  };
  // A step of 500 drains is over, and what the next one is to end is about to be noted.
  const sought = commanded("insert", "call_steps", "crowd/night:000000000002");
  const place = { place: "before", sought } as const;
  const told = await stage().dyingAt({ ...place, look }, abortAll);
  expect(told.runtimeIds).toEqual(names);
  expect(await phases()).toEqual({ starting: 0, stopped: 520 });
  await reach("crowd-1007");
  expect(await abortAll()).toEqual(told);
  expect(await phases()).toEqual({ starting: 1, stopped: 519 });
});
