/**
 * What becomes of a storage on MongoDB when its database dies, stands still or is not the one it
 * should be. The database is always an embedded one, started here: it is killed for real.
 */
import { createHash, randomUUID } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { type StreamName, streamNameOf } from "../../src/core/shared/ids.ts";
import { type Storage, StorageError, type StoredCommit } from "../../src/engine/ports.ts";
import { makeEmbeddedFixture } from "./embedded-fixture.ts";
import { fixtureAt, type MongoFixture } from "./mongo-fixture.ts";
import { freshStream, sampleCommit, sampleRow } from "./samples.ts";
import { eventually } from "./waiting.ts";

const appendTimeoutMs = 5_000;
const shortTimeoutMs = 500;

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A database of its own whose process can be signalled. */
async function startDatabase(): Promise<MongoFixture & { readonly pid: () => number }> {
  const embedded = await makeEmbeddedFixture();
  const { uri, pid } = await embedded.start();
  const fixture = await fixtureAt(uri, embedded.remove);
  cleanups.push(fixture.dispose);
  return { ...fixture, pid };
}

async function openStorage(
  fixture: MongoFixture,
  changes: Parameters<MongoFixture["connect"]>[0] = {},
): Promise<Storage> {
  const storage = await fixture.connect(changes);
  cleanups.push(storage.close);
  return storage;
}

async function failureOf(work: Promise<unknown>): Promise<StorageError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
}

/** Appends until told to stop; keeps what was acknowledged and sends the unknown again. */
function makeAppender(storage: Storage, streams: readonly StreamName[]) {
  const acknowledged: StoredCommit[] = [];
  let unknownCount = 0;
  let isStopped = false;

  /** An earlier try landed: visible is not durable before two barriers of one life agree. */
  async function isDurable(commit: StoredCommit): Promise<boolean> {
    const before = await storage.journal.barrier();
    const found = await storage.journal.probe([commit]);
    return found.length === 1 && (await storage.journal.barrier()) === before;
  }

  /** True when the commit is known to be there for good; false when that is not known. */
  async function tryAppend(commit: StoredCommit): Promise<boolean> {
    try {
      const [outcome] = await storage.journal.append([commit], appendTimeoutMs);
      return outcome === "stored" || (await isDurable(commit));
    } catch (error) {
      if (error instanceof StorageError && error.kind === "unavailable") return false;
      throw error;
    }
  }

  async function appendFor(stream: StreamName): Promise<void> {
    for (let revision = 1; !isStopped; revision += 1) {
      const commit = sampleCommit(stream, revision);
      while (!(await tryAppend(commit))) unknownCount += 1;
      acknowledged.push(commit);
    }
  }

  const running = Promise.all(streams.map(appendFor));
  return {
    acknowledged,
    unknownCount: () => unknownCount,
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}

describe("a database that is killed", () => {
  it("loses nothing that was acknowledged, however often it is killed", async () => {
    const fixture = await startDatabase();
    const storage = await openStorage(fixture);
    const streams = Array.from({ length: 12 }, () => freshStream());
    const appender = makeAppender(storage, streams);
    for (let kill = 0; kill < 4; kill += 1) {
      const before = appender.acknowledged.length;
      await eventually("more commits", () => appender.acknowledged.length > before + 300);
      const unknownBefore = appender.unknownCount();
      process.kill(fixture.pid(), "SIGKILL");
      await eventually("the kill is noticed", () => appender.unknownCount() > unknownBefore);
    }
    const afterKills = appender.acknowledged.length;
    await eventually("commits again", () => appender.acknowledged.length > afterKills + 100);
    await appender.stop();

    const stored = new Map<string, string>();
    for (const stream of streams) {
      const { commits, complete } = await storage.journal.readAfter([{ stream, revision: 0 }]);
      expect(complete).toBe(true);
      for (const commit of commits) {
        stored.set(`${commit.stream}@${commit.revision}`, commit.commitId);
      }
    }
    const lost = appender.acknowledged.filter(
      (commit) => stored.get(`${commit.stream}@${commit.revision}`) !== commit.commitId,
    );
    expect(lost).toEqual([]);
  });

  it("answers another token from the barriers of its next life", async () => {
    const fixture = await startDatabase();
    const { journal } = await openStorage(fixture);
    const [first, second] = [await journal.barrier(), await journal.barrier()];
    expect(second).toBe(first);
    process.kill(fixture.pid(), "SIGKILL");
    let third = first;
    await eventually("a barrier of the next life", async () => {
      const failure = await failureOf(journal.barrier().then((token) => (third = token)));
      return failure === undefined;
    });
    expect(third).not.toBe(first);
    expect(await journal.barrier()).toBe(third);
  });

  it("tells subscribers of a gap and serves them again", async () => {
    const fixture = await startDatabase();
    const storage = await openStorage(fixture);
    const heard: string[] = [];
    let gapCount = 0;
    const subscription = await storage.signals.subscribe(
      "listener",
      (signal) => heard.push(signal.replicaId),
      () => {
        gapCount += 1;
      },
    );
    process.kill(fixture.pid(), "SIGKILL");
    await eventually("a gap", () => gapCount > 0);
    await storage.signals.publish({ replicaId: "speaker", shards: [], runnable: [], attached: [] });
    await eventually("a signal", () => heard.length > 0);
    expect(heard).toEqual(["speaker"]);
    await subscription.close();
  });
});

describe("a collector of blobs that dies", () => {
  it("between taking a blob away and removing its chunks is continued by the next", async () => {
    const fixture = await startDatabase();
    const { blobs } = await openStorage(fixture);
    let isDead = false;
    const dying = await openStorage(fixture, {
      onCommand: ({ command }) => {
        if (command["comment"] !== "blobs.dropChunks" || isDead) return;
        isDead = true;
        process.kill(fixture.pid(), "SIGKILL");
      },
    });
    const pieces = ["first piece", "second piece"].map((text) => Buffer.from(text));
    const content = Buffer.concat(pieces);
    const key = {
      namespace: "default",
      digest: createHash("sha256").update(content).digest("hex"),
    };
    const uploadId = randomUUID();
    await blobs.begin(uploadId, key.namespace, 60_000);
    for (const [index, piece] of pieces.entries()) {
      await blobs.append(uploadId, index, piece, 60_000);
    }
    await blobs.finish(uploadId, { ...key, bytes: content.length, chunkCount: 2 }, -1);
    expect((await failureOf(dying.blobs.collect(10)))?.kind).toBe("unavailable");
    await eventually("the database serves again", async () => {
      return (await failureOf(blobs.stat(key))) === undefined;
    });
    const [documents, chunks] = ["blobs", "blobChunks"].map((name) => {
      return fixture.database.collection<{ _id: string }>(name);
    });
    expect(await documents?.findOne({ _id: uploadId })).toMatchObject({ state: "condemned" });
    expect(await blobs.pin([key], "pin")).toEqual([key]);
    const stored = await blobs.put(key, content, 60_000);
    await eventually("the rest is removed", async () => {
      await blobs.collect(10);
      return (await chunks?.countDocuments({})) === 0;
    });
    expect(await documents?.findOne({ _id: uploadId })).toBeNull();
    expect(await blobs.stat(key)).toEqual(stored);
  });
});

describe("a database that stands still", () => {
  it("makes every operation unavailable within its deadline, and serves again after", async () => {
    const fixture = await startDatabase();
    const storage = await openStorage(fixture, { operationTimeoutMs: shortTimeoutMs });
    const stream = freshStream();
    await storage.journal.append([sampleCommit(stream, 1)], appendTimeoutMs);
    process.kill(fixture.pid(), "SIGSTOP");
    const point = { stream, revision: 1 };
    const operations: Readonly<Record<string, () => Promise<unknown>>> = {
      append: () => storage.journal.append([sampleCommit(stream, 2)], shortTimeoutMs),
      readAfter: () => storage.journal.readAfter([point]),
      readAt: () => storage.journal.readAt([point]),
      probe: () => storage.journal.probe([point]),
      barrier: () => storage.journal.barrier(),
      headOf: () => storage.journal.headOf(stream),
      pointsSince: () => storage.journal.pointsSince(0, 10),
      streamsOfShard: () => storage.journal.streamsOfShard("0".repeat(16)),
      find: () => storage.records.find(stream, "inputs", ["key"]),
      latest: () => storage.checkpoints.latest([stream], 1),
      due: () => storage.views.due(0, 10),
      lastId: () => storage.views.lastId("runtime", "n"),
      renew: () => storage.leases.renew(["holder"]),
      openNew: () => storage.leases.openNew([{ holder: "holder", ttlMs: 1_000 }]),
      discard: () => storage.leases.discard(["holder"]),
      lapse: () => storage.leases.lapse("holder"),
      replicas: () => storage.replicas.list(),
      publish: () =>
        storage.signals.publish({ replicaId: "a", shards: [], runnable: [], attached: [] }),
      databaseTime: () => storage.databaseTime(),
    };
    const failures = await Promise.all(
      Object.entries(operations).map(async ([name, run]) => {
        return [name, (await failureOf(run()))?.kind] as const;
      }),
    );
    process.kill(fixture.pid(), "SIGCONT");
    expect(Object.fromEntries(failures)).toEqual(
      Object.fromEntries(Object.keys(operations).map((name) => [name, "unavailable"])),
    );
    await eventually("the database serves again", async () => {
      return (await failureOf(storage.databaseTime())) === undefined;
    });
    const [outcome] = await storage.journal.append([sampleCommit(stream, 3)], appendTimeoutMs);
    expect(outcome).toBe("stored");
  });
});

describe("a database that is not there or not the right one", () => {
  it("cannot be opened where nobody listens", async () => {
    const fixture = await startDatabase();
    const failure = await failureOf(
      fixture.connect({ uri: "mongodb://127.0.0.1:1/", serverSelectionTimeoutMs: 300 }),
    );
    expect(failure?.kind).toBe("unavailable");
  });

  it("refuses an address that is none", async () => {
    const fixture = await startDatabase();
    const failure = await failureOf(fixture.connect({ uri: "nonsense" }));
    expect(failure?.kind).toBe("rejected");
  });

  it("refuses a database with a newer schema and leaves it as it is", async () => {
    const fixture = await startDatabase();
    await (await fixture.connect()).close();
    const schema = fixture.database.collection<{ _id: string; version: number }>("schema");
    await schema.updateOne({ _id: "version" }, { $set: { version: 999 } });
    const failure = await failureOf(fixture.connect());
    expect(failure?.kind).toBe("incompatible");
    expect(failure?.message).toContain("999");
    expect(await schema.findOne({ _id: "version" })).toMatchObject({ version: 999 });
  });

  it("brings a database of the first version up to date, with the rows that it has", async () => {
    const fixture = await startDatabase();
    const first = await openStorage(fixture);
    const stream = streamNameOf("process/n/live");
    const row = { ...sampleRow("n", "live", { state: "running" }), kind: "process", stream };
    await first.views.upsert([row]);
    const liveIndex = "kind_1_namespace_1_state_1_id_1";
    const streams = fixture.database.collection("streams");
    await streams.dropIndex(liveIndex);
    const schema = fixture.database.collection<{ _id: string; version: number }>("schema");
    await schema.updateOne({ _id: "version" }, { $set: { version: 1 } });
    const { views } = await openStorage(fixture);
    expect((await streams.indexes()).map(({ name }) => name)).toContain(liveIndex);
    expect(await schema.findOne({ _id: "version" })).toMatchObject({ version: 2 });
    const live = { kind: "process", namespace: "n", states: ["running"], includeGone: false };
    expect(await views.list({ ...live, limit: 10 })).toEqual([row]);
  });

  it("refuses a database whose index of the same name is another", async () => {
    const fixture = await startDatabase();
    await fixture.database.collection("streams").createIndex({ at: 1 }, { name: "dueAt_1" }, {});
    expect((await failureOf(fixture.connect()))?.kind).toBe("incompatible");
  });

  it("brings the same database up to date from several servers at once", async () => {
    const fixture = await startDatabase();
    const storages = await Promise.all([1, 2, 3, 4].map(() => openStorage(fixture)));
    const stream = freshStream();
    for (const [index, storage] of storages.entries()) {
      const commit = sampleCommit(stream, index + 1);
      expect(await storage.journal.append([commit], appendTimeoutMs)).toEqual(["stored"]);
    }
  });

  it("refuses records of a class that was not declared", async () => {
    const fixture = await startDatabase();
    const { records } = await openStorage(fixture);
    const failure = await failureOf(records.find(freshStream(), randomUUID(), ["key"]));
    expect(failure?.kind).toBe("rejected");
  });

  it("gives a commit that contradicts its place a hash that none has", async () => {
    const fixture = await startDatabase();
    const { journal } = await openStorage(fixture);
    const [moved, torn, sound] = [freshStream(), freshStream(), freshStream()];
    await journal.append(
      [moved, torn, sound].map((stream) => sampleCommit(stream, 1)),
      5_000,
    );
    const documents = fixture.database.collection("journal");
    await documents.updateOne({ stream: moved }, { $set: { revision: 2 } });
    await documents.updateOne({ stream: torn }, { $unset: { hash: 1, events: 1 } });
    const page = await journal.readAfter(
      [moved, torn, sound].map((stream) => ({ stream, revision: 0 })),
    );
    const hashBytes = new Map(page.commits.map(({ stream, hash }) => [stream, hash.length]));
    expect(hashBytes).toEqual(
      new Map([
        [moved, 0],
        [torn, 0],
        [sound, 32],
      ]),
    );
    expect(page.commits.map((commit) => commit.revision)).toEqual([1, 1, 1]);
  });
});
