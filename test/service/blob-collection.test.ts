// What is collected and what is kept, with time in the hands of the case, and failures between the
// steps of storing, referring and committing.
import { hash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { prompt } from "./support/inputs.ts";
import { makeWorld, type Replica, type World } from "./support/dispatch-world.ts";
import { ensure } from "./support/replica-calls.ts";
import { wireErrorOf } from "./support/wire-error.ts";

/** The grace of the replicas of these cases. */
const GRACE_MS = 10_000;
const NAMESPACE = "default";

async function serving() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  await world.pass(ensure(a, "r"));
  return { world, a };
}

function image(data: Uint8Array) {
  return { block: { case: "image" as const, value: { mediaType: "image/png", data } } };
}

function ingestOf({ runtimes }: Replica, data: Uint8Array) {
  const input = prompt("look", { idempotencyKey: "k" }, [image(data)]);
  return runtimes.ingest({ runtimeId: "r", input });
}

function isThere(world: World, { controlPlane }: Replica, data: Uint8Array): Promise<boolean> {
  const stat = controlPlane.blobs.stat({ namespace: NAMESPACE, digest: hash("sha256", data) });
  const answered = stat.then(
    () => true,
    () => false,
  );
  return world.pass(answered);
}

async function admittedCount(world: World, { runtimes }: Replica): Promise<bigint | undefined> {
  const { runtime } = await world.pass(runtimes.getRuntime({ runtimeId: "r" }));
  return runtime?.inputCounts?.accepted;
}

describe("the collector", () => {
  it("takes what nobody referred to in time, and leaves what an input refers to", async () => {
    const { world, a } = await serving();
    const [unused, used] = [randomBytes(10), randomBytes(100_000)];
    await world.pass(a.controlPlane.blobs.put(NAMESPACE, [unused], {}));
    await world.pass(ingestOf(a, used));
    await world.elapse(GRACE_MS - 2_000);
    expect(await isThere(world, a, unused)).toBe(true);
    await world.elapse(GRACE_MS + 4_000);
    expect(await isThere(world, a, unused)).toBe(false);
    expect(await isThere(world, a, used)).toBe(true);
  });

  it("takes an upload whose client went away, and refuses what it still sends", async () => {
    const { world, a } = await serving();
    const { promise: resumed, resolve: resume } = Promise.withResolvers<undefined>();
    async function* halting() {
      yield randomBytes(3 * 1024 * 1024);
      await resumed;
      yield randomBytes(2 * 1024 * 1024);
    }
    const refused = wireErrorOf(a.controlPlane.blobs.put(NAMESPACE, halting(), {}));
    await world.elapse(2 * GRACE_MS + 2_000);
    resume(undefined);
    expect((await world.pass(refused)).code).toBeDefined();
    expect(world.operations.get("blobs.finish") ?? 0).toBe(0);
  });

  it("never takes what a reference waits to be committed for, however long it takes", async () => {
    const { world, a } = await serving();
    const data = randomBytes(100_000);
    world.loses = ({ port, method }) => port === "journal" && method === "append";
    const refused = wireErrorOf(ingestOf(a, data));
    await world.elapse(15_000);
    expect((await world.pass(refused)).reason).toBe("DATABASE_UNAVAILABLE");
    await world.elapse(3 * GRACE_MS);
    expect(await isThere(world, a, data)).toBe(true);
    world.loses = () => false;
    await world.elapse(10_000);
    await world.pass(ingestOf(a, data));
    expect(await admittedCount(world, a)).toBe(1n);
    expect(await isThere(world, a, data)).toBe(true);
  });
});

describe("a failure", () => {
  it.each(["put", "pin"])(
    "of %s admits nothing, and the same call succeeds later",
    async (step) => {
      const { world, a } = await serving();
      const data = randomBytes(100_000);
      world.loses = ({ port, method }) => port === "blobs" && method === step;
      const error = await world.pass(wireErrorOf(ingestOf(a, data)));
      expect(error).toMatchObject({ reason: "DATABASE_UNAVAILABLE", hasRetryDelay: true });
      world.loses = () => false;
      expect(await admittedCount(world, a)).toBe(0n);
      const answer = await world.pass(ingestOf(a, data));
      expect(answer.outcome.case).toBe("accepted");
    },
  );

  it("of the store of blobs does not keep a repetition from its answer", async () => {
    const { world, a } = await serving();
    const data = randomBytes(100_000);
    await world.pass(ingestOf(a, data));
    world.loses = ({ port }) => port === "blobs";
    const { outcome } = await world.pass(ingestOf(a, data));
    expect(outcome).toMatchObject({ case: "deduplicated", value: { sameContent: true } });
  });

  it("of the last mark loses nothing: the blob stays", async () => {
    const { world, a } = await serving();
    const data = randomBytes(100_000);
    world.loses = ({ port, method }) => port === "blobs" && method === "keep";
    expect((await world.pass(ingestOf(a, data))).outcome.case).toBe("accepted");
    await world.elapse(3 * GRACE_MS);
    expect(await isThere(world, a, data)).toBe(true);
  });
});
