// The comms drain of the reference, rebuilt at the edge: the drain runs at an executor, which is
// told over Attach and says over NotifyDrainExited how it ended.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExecutorControl } from "../../gen/keelson/executor/v1/messages_pb.ts";
import {
  DrainExitReason,
  DrainMode,
  DrainPhase,
  type PeerIngress,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, identity } from "./support/attached-executor.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { identityOf, readRuntime } from "./support/runs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const endpoint = { address: "inproc://agent", peerName: "agent", peerId: "peer-1" };
const capabilities = ["peer_drain"];
const SHORT = { seconds: 1n };

async function ingressOf(clients: CaseClients): Promise<PeerIngress> {
  const { peerIngress } = await readRuntime(clients, runtimeId);
  if (!peerIngress) throw new Error("a runtime without its ingress");
  return peerIngress;
}

async function untilPhase(clients: CaseClients, phase: DrainPhase): Promise<PeerIngress> {
  await expect.poll(async () => (await ingressOf(clients)).phase, { timeout: 10_000 }).toBe(phase);
  return await ingressOf(clients);
}

/** What an executor was told about drains, in order: `spawn 1` or `abort 1`. */
function drainsTold(controls: readonly ExecutorControl[]): readonly string[] {
  return controls.flatMap(({ control }) => {
    if (control.case === "spawnDrain") return [`spawn ${control.value.drainSequence}`];
    if (control.case === "abortDrain") return [`abort ${control.value.drainSequence}`];
    return [];
  });
}

/** A runtime of a pool that is kept alive, with an executor that drains. */
async function hosted(clients: CaseClients) {
  await clients.runtimes.ensureRuntime({ runtimeId, config: { pool: "p" } });
  const executor = attach(clients.executors, identity("host"), { pool: "p", capabilities });
  await expect.poll(() => executor.messages.length, { timeout: 10_000 }).toBeGreaterThan(0);
  const { spawned } = await clients.runtimes.updatePeerIngress({
    runtimeId,
    keepAlive: true,
    endpoint,
  });
  expect(spawned).toBe(true);
  await untilPhase(clients, DrainPhase.RUNNING);
  return executor;
}

describe("spawning", () => {
  it("idle_non_host_sessions_do_not_spawn_comms_drains", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const request = { runtimeId, keepAlive: false, endpoint };
    const { spawned, peerIngress } = await clients.runtimes.updatePeerIngress(request);
    expect(spawned).toBe(false);
    expect(peerIngress).toMatchObject({ endpoint, phase: DrainPhase.INACTIVE });
  });

  it("attached_sessions_spawn_attached_comms_drains_without_keep_alive", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const terms = { runtimeIds: [runtimeId], capabilities };
    const executor = attach(clients.executors, identity("executor"), terms);
    await expect.poll(() => executor.grants.length, { timeout: 10_000 }).toBe(1);
    const request = { runtimeId, keepAlive: false, endpoint };
    expect((await clients.runtimes.updatePeerIngress(request)).spawned).toBe(true);
    expect((await clients.runtimes.updatePeerIngress(request)).spawned).toBe(false);
    const ingress = await untilPhase(clients, DrainPhase.RUNNING);
    expect(ingress).toMatchObject({
      mode: DrainMode.ATTACHED_SESSION,
      executorId: "executor",
      drainSequence: 1n,
    });
    await expect.poll(() => drainsTold(executor.controls)).toEqual(["spawn 1"]);
    const [told] = executor.controls;
    expect(told?.control.value).toMatchObject({ endpoint, mode: DrainMode.ATTACHED_SESSION });
    executor.disconnect();
  });

  it("waits for an executor that can drain, and never asks one that cannot", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId, config: { pool: "p" } });
    const other = attach(clients.executors, identity("other"), { pool: "p" });
    await expect.poll(() => other.messages.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await clients.runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
    expect((await ingressOf(clients)).phase).toBe(DrainPhase.STARTING);
    const host = attach(clients.executors, identity("host"), { pool: "p", capabilities });
    const { executorId } = await untilPhase(clients, DrainPhase.RUNNING);
    expect(executorId).toBe("host");
    expect(drainsTold(other.controls)).toEqual([]);
    other.disconnect();
    host.disconnect();
  });

  it("a poller is told among its controls", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    await clients.runtimes.updatePeerIngress({ runtimeId, keepAlive: false, endpoint });
    const request = { ...identityOf("poller"), runtimeIds: [runtimeId], capabilities };
    const told: string[] = [];
    await expect
      .poll(
        async () => {
          const { controls } = await clients.executors.pollRun({ ...request, timeout: SHORT });
          told.push(...drainsTold(controls));
          return told;
        },
        { timeout: 20_000 },
      )
      .toEqual(["spawn 1"]);
  });

  it("is told again after a new attach, and of another endpoint at once", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    executor.disconnect();
    const again = attach(clients.executors, executor, { pool: "p", capabilities });
    await expect.poll(() => drainsTold(again.controls), { timeout: 10_000 }).toEqual(["spawn 1"]);
    const moved = { ...endpoint, address: "inproc://elsewhere" };
    const request = { runtimeId, keepAlive: true, endpoint: moved };
    expect((await clients.runtimes.updatePeerIngress(request)).spawned).toBe(false);
    await expect.poll(() => drainsTold(again.controls)).toEqual(["spawn 1", "spawn 1"]);
    expect(again.controls[1]?.control.value).toMatchObject({ endpoint: moved });
    again.disconnect();
  });
});

describe("ending", () => {
  it("dismiss_exit_updates_authority_before_join", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const executor = await hosted(clients);
    const joined = runtimes.waitDrain({ runtimeId, timeout: { seconds: 30n } });
    const reason = DrainExitReason.DISMISSED;
    const { exited } = await runtimes.notifyDrainExited({ runtimeId, reason, drainSequence: 1n });
    expect(exited).toBe(true);
    const answer = await joined;
    expect(answer.ended).toBe(true);
    expect(answer.peerIngress).toMatchObject({ phase: DrainPhase.STOPPED, lastExit: reason });
    expect((await runtimes.notifyDrainExited({ runtimeId, reason })).exited).toBe(false);
    executor.disconnect();
  });

  it("a failed drain comes back at an executor that is there", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    const reason = DrainExitReason.FAILED;
    const { peerIngress } = await clients.runtimes.notifyDrainExited({ runtimeId, reason });
    expect(peerIngress?.phase).toBe(DrainPhase.EXITED_RESPAWNABLE);
    const told = ["spawn 1", "spawn 2"];
    await expect.poll(() => drainsTold(executor.controls), { timeout: 10_000 }).toEqual(told);
    executor.disconnect();
  });

  it("unregister_session_aborts_spawned_drain_and_removes_slot", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    await clients.runtimes.unregisterRuntime({ runtimeId });
    await expect.poll(() => drainsTold(executor.controls)).toEqual(["spawn 1", "abort 1"]);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const ingress = await ingressOf(clients);
    expect(ingress.endpoint).toBeUndefined();
    expect(ingress.phase).toBe(DrainPhase.STOPPED);
    executor.disconnect();
  });

  it("a lost executor counts as failed, and another one takes over", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId, config: { pool: "p" } });
    const terms = { pool: "p", capabilities, leaseTtl: { seconds: 1n } };
    const lost = attach(clients.executors, identity("lost"), terms);
    await expect.poll(() => lost.messages.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await clients.runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
    await untilPhase(clients, DrainPhase.RUNNING);
    lost.disconnect();
    await expect
      .poll(async () => (await ingressOf(clients)).lastExit, { timeout: 20_000 })
      .toBe(DrainExitReason.FAILED);
    const heir = attach(clients.executors, identity("heir"), { pool: "p", capabilities });
    await expect
      .poll(async () => (await ingressOf(clients)).executorId, { timeout: 20_000 })
      .toBe("heir");
    heir.disconnect();
  }, 60_000);

  it("abort ends one drain, abort all those of the namespace, and nothing beyond it", async () => {
    const clients = clientsOf(deployment.url);
    const elsewhere = clientsOf(deployment.url);
    const executor = await hosted(clients);
    const foreign = await hosted(elsewhere);
    await clients.runtimes.ensureRuntime({ runtimeId: "second", config: { pool: "q" } });
    const second = { runtimeId: "second", keepAlive: true, endpoint };
    await clients.runtimes.updatePeerIngress(second);
    expect(await clients.runtimes.abortDrain({ runtimeId })).toMatchObject({ aborted: true });
    expect(await clients.runtimes.abortDrain({ runtimeId })).toMatchObject({ aborted: false });
    await expect.poll(() => drainsTold(executor.controls)).toEqual(["spawn 1", "abort 1"]);
    await clients.runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
    const { runtimeIds } = await clients.runtimes.abortAllDrains({ reason: "maintenance" });
    expect(runtimeIds).toEqual([runtimeId, "second"]);
    expect((await ingressOf(clients)).phase).toBe(DrainPhase.STOPPED);
    expect((await ingressOf(elsewhere)).phase).toBe(DrainPhase.RUNNING);
    executor.disconnect();
    foreign.disconnect();
  });
});

describe("abort all, said again with its request id", () => {
  const request = { reason: "maintenance", requestId: "night" };

  it("is answered the same, and ends nothing that was started since", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const executor = await hosted(clients);
    const first = await runtimes.abortAllDrains(request);
    expect(first.runtimeIds).toEqual([runtimeId]);
    await runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
    await untilPhase(clients, DrainPhase.RUNNING);
    expect(await runtimes.abortAllDrains(request)).toEqual(first);
    expect(await ingressOf(clients)).toMatchObject({
      phase: DrainPhase.RUNNING,
      drainSequence: 2n,
    });
    const other = { ...request, requestId: "the next night" };
    expect((await runtimes.abortAllDrains(other)).runtimeIds).toEqual([runtimeId]);
    await expect
      .poll(() => drainsTold(executor.controls))
      .toEqual(["spawn 1", "abort 1", "spawn 2", "abort 2"]);
    executor.disconnect();
  });

  it("is answered the same where there was nothing to end", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId, config: { pool: "nobody" } });
    const first = await runtimes.abortAllDrains(request);
    expect(first.runtimeIds).toEqual([]);
    await runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
    expect(await runtimes.abortAllDrains(request)).toEqual(first);
    expect((await ingressOf(clients)).phase).toBe(DrainPhase.STARTING);
  });

  it("is refused for another call", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.abortAllDrains(request);
    const other = runtimes.abortAllDrains({ ...request, reason: "another" });
    expect((await wireErrorOf(other)).reason).toBe("REQUEST_ID_REUSED");
  });
});

describe("waiting", () => {
  it("answers at once where no drain is active", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    expect((await clients.runtimes.waitDrain({ runtimeId })).ended).toBe(true);
  });

  it("answers that the drain goes on when the time is up", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    const timeout = { nanos: 20_000_000 };
    expect((await clients.runtimes.waitDrain({ runtimeId, timeout })).ended).toBe(false);
    executor.disconnect();
  });

  it("any number of callers wait, and all are told", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    const waits = Array.from({ length: 20 }, () => clients.runtimes.waitDrain({ runtimeId }));
    await clients.runtimes.abortDrain({ runtimeId });
    const answers = await Promise.all(waits);
    expect(answers.map(({ ended }) => ended)).toEqual(answers.map(() => true));
    executor.disconnect();
  });

  it("is told apart: a runtime that nobody ensured is not found", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const calls = [
      runtimes.updatePeerIngress({ runtimeId }),
      runtimes.notifyDrainExited({ runtimeId, reason: DrainExitReason.FAILED }),
      runtimes.abortDrain({ runtimeId }),
      runtimes.waitDrain({ runtimeId }),
    ];
    const errors = await Promise.all(calls.map((call) => wireErrorOf(call)));
    expect(errors.map(({ reason }) => reason)).toEqual(calls.map(() => "RUNTIME_NOT_REGISTERED"));
  });
});

describe("the event stream", () => {
  it("tells the life of a drain", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await hosted(clients);
    await clients.runtimes.abortDrain({ runtimeId, reason: "enough" });
    const codes: string[] = [];
    const watch = clients.runtimes.watchRuntime({
      runtimeId,
      after: { revision: 0n },
    });
    for await (const { message } of watch) {
      if (message.case !== "event") continue;
      if (message.value.event.case === "drain") codes.push(message.value.eventCode);
      if (message.value.eventCode === "drain.aborted") break;
    }
    expect(codes).toEqual([
      "drain.ingress_updated",
      "drain.started",
      "drain.spawned",
      "drain.aborted",
    ]);
    executor.disconnect();
  });
});
