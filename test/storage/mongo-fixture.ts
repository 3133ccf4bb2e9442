/**
 * A MongoDB for a test file: the one that KEELSON_TEST_MONGODB_URI names, else an embedded one of
 * its own. Every fixture has a database of a fresh name and drops it at its end.
 */
import { randomUUID } from "node:crypto";
import { type Db, MongoClient } from "mongodb";
import { openMongoStorage, type MongoStorageOptions } from "../../src/storage/mongo/storage.ts";
import type { Storage } from "../../src/engine/ports.ts";
import { makeEmbeddedFixture } from "./embedded-fixture.ts";
import { recordClasses } from "./samples.ts";

/** A database and the ways into it. */
export interface MongoFixture {
  readonly uri: string;
  readonly databaseName: string;
  /** Opens a storage on the database. */
  readonly connect: (changes?: Partial<MongoStorageOptions>) => Promise<Storage>;
  /** The database past the storage, for looking and for breaking things. */
  readonly database: Db;
  /** Drops the database and ends the server if it was started here. */
  readonly dispose: () => Promise<void>;
}

/** Finds or starts a server and makes a fixture on it. */
export async function makeMongoFixture(): Promise<MongoFixture> {
  const given = process.env["KEELSON_TEST_MONGODB_URI"];
  if (given !== undefined && given !== "") return await fixtureAt(given, async () => undefined);
  const embedded = await makeEmbeddedFixture();
  const { uri } = await embedded.start();
  return await fixtureAt(uri, embedded.remove);
}

/** Makes a fixture on a server that is there; `end` is called when it is disposed of. */
export async function fixtureAt(uri: string, end: () => Promise<void>): Promise<MongoFixture> {
  const databaseName = `keelson-test-${randomUUID()}`;
  const client = new MongoClient(uri);
  await client.connect();
  const database = client.db(databaseName);
  return {
    uri,
    databaseName,
    connect: (changes) => openMongoStorage({ uri, databaseName, recordClasses, ...changes }),
    database,
    dispose: async () => {
      await database.dropDatabase();
      await client.close();
      await end();
    },
  };
}
