import { describe, expect, test } from "vitest";
import type { ProcessCommand } from "../../src/core/process/commands.ts";
import { completeRegistration, type DescribedProcess } from "../../src/core/process/core-types.ts";
import { described, owner, proofOf, success } from "../../src/core/process/testing/story.ts";
import { processIdOf, type StreamName } from "../../src/core/shared/ids.ts";
import type { ClaimedProcess, ClaimTerms } from "../../src/dispatch/process-leases.ts";
import { streamName } from "../../src/engine/stream-name.ts";
import { makeWorld, type Replica, type World } from "./support/dispatch-world.ts";

const TTL_MS = 9_000;

const streamOf = (name: string): StreamName => streamName("process", "default", name);

async function submit(replica: Replica, name: string, command: ProcessCommand) {
  const envelope = { name: command.type, bytes: 500, command };
  return await replica.controlPlane.processes.submit(streamOf(name), envelope);
}

async function register(
  world: World,
  replica: Replica,
  name: string,
  traits: Partial<DescribedProcess> = {},
): Promise<void> {
  const registration = completeRegistration(described(traits));
  const processId = processIdOf(name);
  const named = { processId, registration, registrationHash: `hash of ${name}` };
  await world.pass(submit(replica, name, { type: "register_process", ...named }));
}

function terms(name: string, life = 1, requestId?: string): ClaimTerms {
  return {
    owner: owner(name, life),
    ttlMs: TTL_MS,
    envelopeOf: (command) => ({
      name: command.type,
      bytes: 500,
      command,
      ...(requestId === undefined ? {} : { requestId, bodyHash: requestId }),
    }),
    isRemembered: requestId !== undefined,
  };
}

/** What a promise is refused for, with what is told besides. */
async function refusalOf(
  world: World,
  promise: Promise<unknown>,
): Promise<Readonly<Record<string, string>>> {
  const settled = promise.then(
    () => ({ reason: "none" }),
    (error: unknown) => {
      const { refusal } = error as { refusal: { reason: string; metadata: object } };
      return { reason: refusal.reason, ...refusal.metadata };
    },
  );
  return await world.pass(settled);
}

const claim = (world: World, replica: Replica, name: string, by: ClaimTerms) =>
  world.pass(replica.controlPlane.processLeases.claim(streamOf(name), by));

async function claimNext(
  world: World,
  replica: Replica,
  by: ClaimTerms,
  kinds: readonly string[] = ["indexer"],
): Promise<ClaimedProcess | undefined> {
  const { signal } = new AbortController();
  const search = { namespace: "default", kinds, timeoutMs: 0, signal };
  return await world.pass(replica.controlPlane.processLeases.claimNext(search, by));
}

const idOf = (claimed: ClaimedProcess | undefined): string | undefined => claimed?.state.processId;

async function registers(world: World, replica: Replica, claimed: ClaimedProcess) {
  const holder = `default/process:${claimed.lease.leaseToken}`;
  const { leases } = world.database.connect(`look of ${replica.name} ${Math.random()}`);
  return await world.pass(leases.get(holder));
}

describe("a hold on a process", () => {
  test("is kept by renewals of its register and never touches the stream", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    const held = await claim(world, replica, "p", terms("worker"));
    const proof = proofOf(held.lease);
    for (let round = 0; round < 5; round += 1) {
      await world.elapse(TTL_MS / 2);
      const renewed = await world.pass(
        replica.controlPlane.processLeases.renew(streamOf("p"), proof),
      );
      expect(renewed.remainingMs).toBeGreaterThan(TTL_MS - 1_000);
      expect(renewed.revision).toBe(2);
    }
    expect(replica.failures).toEqual([]);
  });

  test("lapses when it is not renewed; the next one has a higher generation", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    await world.elapse(TTL_MS);
    const first = await claim(world, replica, "p", terms("first"));
    const { processes, processLeases } = replica.controlPlane;
    await world.until(() => processes.peek(streamOf("p"))?.state.lease === null);
    const proof = proofOf(first.lease);
    const lost = await refusalOf(world, processLeases.renew(streamOf("p"), proof));
    expect(lost["reason"]).toBe("LEASE_LOST");
    const second = await claim(world, replica, "p", terms("second"));
    expect([first.lease.generation, second.lease.generation]).toEqual([1, 2]);
    const output = success(1);
    const complete = (by: ClaimedProcess): Promise<unknown> =>
      submit(replica, "p", {
        type: "complete_process",
        processId: processIdOf("p"),
        output,
        bodyHash: "hash",
        by: { type: "lease", ...proofOf(by.lease) },
      });
    expect((await refusalOf(world, complete(first)))["reason"]).toBe("LEASE_LOST");
    await world.pass(complete(second));
    expect(processes.peek(streamOf("p"))?.state.end?.status).toBe("completed");
  });

  test("is told to others with the time that is left", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    await claim(world, replica, "p", terms("first"));
    await world.elapse(3_000);
    const { processLeases } = replica.controlPlane;
    const met = await refusalOf(world, processLeases.claim(streamOf("p"), terms("second")));
    expect(met).toMatchObject({ reason: "LEASE_HELD", ownerId: "first", generation: "1" });
    expect(Number(met["remainingMs"])).toBeLessThanOrEqual(6_000);
    expect(Number(met["remainingMs"])).toBeGreaterThan(5_000);
  });

  test("is the same when its owner claims again, at any replica, also for longer", async () => {
    const world = makeWorld();
    const [one, other] = [await world.addReplica("a"), await world.addReplica("b")];
    await register(world, one, "p");
    const first = await claim(world, one, "p", terms("worker"));
    const again = await claim(world, other, "p", terms("worker"));
    const longer = await claim(world, other, "p", { ...terms("worker"), ttlMs: 60_000 });
    expect([again, longer].map(({ extended, lease }) => [extended, lease.leaseToken])).toEqual([
      [true, first.lease.leaseToken],
      [true, first.lease.leaseToken],
    ]);
    await world.elapse(30_000);
    expect((await registers(world, other, first))?.state).toBe("live");
    const next = refusalOf(world, claim(world, one, "p", terms("worker", 2)));
    expect((await next)["reason"]).toBe("LEASE_HELD");
  });

  test("that was claimed with an idempotency id is answered again, and is one hold", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    const first = await claim(world, replica, "p", terms("worker", 1, "call-1"));
    const again = await claim(world, replica, "p", terms("worker", 1, "call-1"));
    expect([again.lease, again.extended, again.revision]).toEqual([
      first.lease,
      false,
      first.revision,
    ]);
  });

  test("leaves no register behind, however it ends", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    const held = await claim(world, replica, "p", terms("worker"));
    const lease = proofOf(held.lease);
    const processId = processIdOf("p");
    await world.pass(submit(replica, "p", { type: "release_lease", processId, lease }));
    await world.elapse(2_000);
    expect(await registers(world, replica, held)).toBeUndefined();
    const { processLeases } = replica.controlPlane;
    const lost = await refusalOf(world, processLeases.renew(streamOf("p"), lease));
    expect(lost["reason"]).toBe("LEASE_LOST");
  });

  test("that lapsed without the process knowing gives way to the next claim", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "p");
    const first = await claim(world, replica, "p", terms("first"));
    const { leases } = world.database.connect("operator");
    await world.pass(leases.close(`default/process:${first.lease.leaseToken}`));
    const second = await claim(world, replica, "p", terms("second"));
    expect(second.lease).toMatchObject({ generation: 2, owner: owner("second") });
  });
});

describe("the next work", () => {
  test("is the oldest process of the kinds asked for, each handed out once", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    const kinds = ["indexer", "mail", "indexer", "other", "mail"];
    for (const [index, kind] of kinds.entries()) {
      await world.elapse(10);
      await register(world, replica, `p${index}`, { identity: { kind } });
    }
    const wanted = ["mail", "indexer"];
    const claimed: (string | undefined)[] = [];
    for (let round = 0; round < 5; round += 1) {
      claimed.push(idOf(await claimNext(world, replica, terms("worker"), wanted)));
    }
    expect(claimed).toEqual(["p0", "p1", "p2", "p4", undefined]);
    expect(replica.failures).toEqual([]);
  });

  test("is never what is owned outside, waits, or was started by its owner", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "outside", { disposition: "externally_owned" });
    await register(world, replica, "waiting");
    const wait = { signalName: "go", eventType: "progress", ordinal: 1 };
    const processId = processIdOf("waiting");
    await world.pass(submit(replica, "waiting", { type: "set_wait", processId, wait }));
    await register(world, replica, "bound", { disposition: "owner_bound" });
    const bound = await claim(world, replica, "bound", terms("first"));
    const lease = proofOf(bound.lease);
    const release = { type: "release_lease", processId: processIdOf("bound"), lease } as const;
    await world.pass(submit(replica, "bound", release));
    expect(await claimNext(world, replica, terms("worker"))).toBeUndefined();
  });

  test("is shared by workers at several replicas without one process going twice", async () => {
    const world = makeWorld();
    const [one, other] = [await world.addReplica("a"), await world.addReplica("b")];
    for (let index = 0; index < 40; index += 1) await register(world, one, `p${index}`);
    await world.elapse(1_000);
    const rounds = Array.from({ length: 48 }, (_, index) => {
      const { processLeases } = (index % 2 === 0 ? one : other).controlPlane;
      const { signal } = new AbortController();
      const search = { namespace: "default", kinds: ["indexer"], timeoutMs: 0, signal };
      return processLeases.claimNext(search, terms(`worker-${index}`));
    });
    const claimed = await world.pass(Promise.all(rounds));
    const ids = claimed.map(idOf).filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toHaveLength(40);
  });

  test("comes to who waits for it, also when it is registered at another replica", async () => {
    const world = makeWorld();
    const [one, other] = [await world.addReplica("a"), await world.addReplica("b")];
    const { signal } = new AbortController();
    const search = { namespace: "default", kinds: ["indexer"], timeoutMs: 30_000, signal };
    const waiting = one.controlPlane.processLeases.claimNext(search, terms("worker"));
    await world.elapse(5_000);
    await register(world, other, "late");
    expect(idOf(await world.pass(waiting))).toBe("late");
  });

  test("does not come when the time is up or the caller is gone", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    const controller = new AbortController();
    const { signal } = controller;
    const search = { namespace: "default", kinds: ["indexer"], timeoutMs: 2_000, signal };
    const { processLeases } = replica.controlPlane;
    expect(await world.pass(processLeases.claimNext(search, terms("worker")))).toBeUndefined();
    const gone = processLeases.claimNext({ ...search, timeoutMs: 60_000 }, terms("worker"));
    controller.abort();
    expect(await world.pass(gone)).toBeUndefined();
  });

  test("comes back when its worker is lost, before what is younger", async () => {
    const world = makeWorld();
    const replica = await world.addReplica("a");
    await register(world, replica, "old");
    await world.elapse(TTL_MS);
    await register(world, replica, "young");
    expect(idOf(await claimNext(world, replica, terms("first")))).toBe("old");
    const { processes } = replica.controlPlane;
    await world.until(() => processes.peek(streamOf("old"))?.state.lease === null);
    const claimed = await claimNext(world, replica, terms("second"));
    expect([idOf(claimed), claimed?.lease.generation]).toEqual(["old", 2]);
  });
});
