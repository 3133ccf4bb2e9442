/**
 * What the adapter does differently on replica sets and sharded clusters, as far as a server of any
 * kind can show it: the connection is told to be one of them, the commands are real.
 */
import { afterEach, describe, expect, it } from "vitest";
import { StorageError } from "../../src/engine/ports.ts";
import {
  connectToMongo,
  type MongoCommand,
  type MongoConnection,
} from "../../src/storage/mongo/connection.ts";
import { makeMongoJournal } from "../../src/storage/mongo/journal.ts";
import { migrate } from "../../src/storage/mongo/migration.ts";
import { makeServerLife } from "../../src/storage/mongo/server-life.ts";
import { collectionsOf } from "../../src/storage/mongo/storage.ts";
import { makeMongoFixture, type MongoFixture } from "./mongo-fixture.ts";
import { freshStream, recordClasses, sampleCommits } from "./samples.ts";

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function startFixture(): Promise<MongoFixture> {
  const fixture = await makeMongoFixture();
  cleanups.push(fixture.dispose);
  return fixture;
}

async function connectAs(
  topology: MongoConnection["topology"],
  fixture: MongoFixture,
  onCommand: (command: MongoCommand) => void,
): Promise<MongoConnection> {
  const connection = await connectToMongo({
    uri: fixture.uri,
    databaseName: fixture.databaseName,
    appName: "keelson-test",
    operationTimeoutMs: 5_000,
    serverSelectionTimeoutMs: 2_000,
    poolSizeMax: 8,
    onCommand,
  });
  cleanups.push(connection.close);
  return { ...connection, topology };
}

describe("on a replica set", () => {
  it("probes every point by a linearizable read of its own", async () => {
    const fixture = await startFixture();
    const finds: Readonly<Record<string, unknown>>[] = [];
    const connection = await connectAs("replica_set", fixture, ({ command }) => {
      if ("find" in command) finds.push(command);
    });
    const journal = makeMongoJournal(connection, makeServerLife(connection));
    expect(journal.readsAreDurable).toBe(true);
    const stream = freshStream();
    await journal.append(sampleCommits(stream, 1, 20), 5_000);
    const points = [1, 20, 21, 22].map((revision) => ({ stream, revision }));
    expect(await journal.probe(points)).toEqual(points.slice(0, 2));
    expect(finds).toHaveLength(points.length);
    for (const find of finds) {
      expect(find).toMatchObject({ limit: 1, readConcern: { level: "linearizable" } });
    }
  });

  it("answers one token from all barriers: nothing that is read can vanish", async () => {
    const fixture = await startFixture();
    const connection = await connectAs("replica_set", fixture, () => undefined);
    const life = makeServerLife(connection);
    expect(await life.barrier()).toBe(await makeServerLife(connection).barrier());
  });
});

describe("on a sharded cluster", () => {
  /** Opens the collections as a router would whose journal has this shard key. */
  async function migrateSharded(key: Readonly<Record<string, unknown>>): Promise<unknown> {
    const fixture = await startFixture();
    const connection = await connectAs("sharded", fixture, () => undefined);
    const journalName = `${fixture.databaseName}.journal`;
    const routed: MongoConnection = {
      ...connection,
      find: async (query) => {
        if (query.databaseName !== "config") return await connection.find(query);
        // What a router keeps is written to a collection of the same shape and read from there.
        const sharded = fixture.database.collection<{ _id: string; key: object }>("sharded");
        await sharded.insertOne({ _id: journalName, key });
        return await connection.find({
          ...query,
          databaseName: fixture.databaseName,
          collection: "sharded",
        });
      },
    };
    try {
      await migrate(routed, fixture.databaseName, collectionsOf(recordClasses));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  it("takes a journal that is sharded by its key", async () => {
    expect(await migrateSharded({ _id: 1 })).toBeUndefined();
  });

  it("refuses a journal whose shard key lets two documents have one revision", async () => {
    const error = await migrateSharded({ stream: 1, _id: 1 });
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ kind: "incompatible" });
  });
});
