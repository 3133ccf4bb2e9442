// What the storage adapter relies on, shown on the embedded engine through the official driver.
import { type Collection, type Document, MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cacheMebibytes, usableMemoryBytes } from "../../src/embedded/engine-cache.ts";
import { type EmbeddedFixture, eventually, makeEmbeddedFixture } from "./embedded-fixture.ts";

interface Row extends Document {
  readonly _id: string;
}

const journaled = { w: "majority", journal: true } as const;
const quick = { w: 1, journal: false } as const;

let fixture: EmbeddedFixture;
let client: MongoClient;

beforeAll(async () => {
  fixture = await makeEmbeddedFixture();
  const database = await fixture.start();
  client = await new MongoClient(database.uri, { writeConcern: journaled }).connect();
});

afterAll(async () => {
  await client.close();
  await fixture.remove();
});

function collection(name: string): Collection<Row> {
  return client.db("engine").collection<Row>(name);
}

/** A tailing cursor over a fresh capped collection with one document, which it has read. */
async function tailOf(name: string, maxAwaitTimeMS: number) {
  await client.db("engine").createCollection(name, { capped: true, size: 1024 * 1024 });
  await collection(name).insertOne({ _id: "first" }, { writeConcern: quick });
  const cursor = collection(name).find({}, { tailable: true, awaitData: true, maxAwaitTimeMS });
  expect(await cursor.next()).toEqual({ _id: "first" });
  return cursor;
}

test("an unordered batch inserts everything but its duplicates and names those", async () => {
  const rows = collection("batches");
  await rows.insertMany([{ _id: "a" }, { _id: "b" }]);
  const batch = [{ _id: "a" }, { _id: "c" }, { _id: "b" }, { _id: "d" }];
  const failure = await rows.insertMany(batch, { ordered: false }).catch((error: unknown) => error);
  expect(failure).toMatchObject({
    insertedCount: 2,
    writeErrors: [
      { index: 0, code: 11000 },
      { index: 2, code: 11000 },
    ],
  });
  expect(await rows.distinct("_id")).toEqual(["a", "b", "c", "d"]);
});

test("the host gives the engine a cache that fits the machine", async () => {
  const parameters = { getParameter: 1, wiredTigerEngineRuntimeConfig: 1 };
  const set = JSON.stringify(await client.db("admin").command(parameters));
  expect(set).toContain("eviction_dirty_target=40");
  const status = await client.db("admin").command({ serverStatus: 1 });
  const bytes = cacheMebibytes(usableMemoryBytes()) * 1024 * 1024;
  expect(status).toMatchObject({ wiredTiger: { cache: { "maximum bytes configured": bytes } } });
});

test("unique partial indexes bind only the documents they cover", async () => {
  const rows = collection("partial");
  const partialFilterExpression = { isLive: true };
  await rows.createIndexes([{ key: { key: 1 }, unique: true, partialFilterExpression }]);
  await rows.insertMany([
    { _id: "dead 1", key: 1, isLive: false },
    { _id: "dead 2", key: 1, isLive: false },
    { _id: "live 1", key: 1, isLive: true },
  ]);
  await expect(rows.insertOne({ _id: "live 2", key: 1, isLive: true })).rejects.toMatchObject({
    code: 11000,
  });
});

test("multikey indexes answer a query for one element", async () => {
  const rows = collection("multikey");
  await rows.createIndexes([{ key: { tags: 1, rank: -1 }, name: "tags" }]);
  await rows.insertMany([
    { _id: "a", tags: ["red", "blue"], rank: 1 },
    { _id: "b", tags: ["blue"], rank: 2 },
  ]);
  const query = rows.find({ tags: "blue" }).sort({ rank: -1 });
  expect((await query.clone().toArray()).map((row) => row._id)).toEqual(["b", "a"]);
  expect(JSON.stringify(await query.explain())).toContain('"indexName":"tags"');
});

test("a pipeline update reads the database's clock and compares with it", async () => {
  const rows = collection("leases");
  const renewed = await rows.findOneAndUpdate({ _id: "one" }, [{ $set: { renewedAt: "$$NOW" } }], {
    upsert: true,
    returnDocument: "after",
  });
  expect(renewed?.["renewedAt"]).toBeInstanceOf(Date);
  const isOlderThan = (ms: number) => ({
    $expr: { $lt: ["$renewedAt", { $subtract: ["$$NOW", ms] }] },
  });
  const lapse = [{ $set: { state: "lapsed" } }];
  expect(await rows.findOneAndUpdate({ _id: "one", ...isOlderThan(60_000) }, lapse)).toBeNull();
  expect(await rows.findOneAndUpdate({ _id: "one", ...isOlderThan(-60_000) }, lapse)).toMatchObject(
    { _id: "one" },
  );
});

test("every read concern the adapter may ask for is answered", async () => {
  const rows = collection("concerns");
  await rows.insertOne({ _id: "one" });
  for (const level of ["local", "majority", "linearizable"] as const) {
    expect(await rows.findOne({ _id: "one" }, { readConcern: { level } })).toEqual({ _id: "one" });
  }
});

test("a batch of sixteen megabytes passes, a larger document is refused", async () => {
  const rows = collection("large");
  const megabyte = "x".repeat(1_000_000);
  const batch = Array.from({ length: 16 }, (_, index) => ({ _id: `${index}`, text: megabyte }));
  expect((await rows.insertMany(batch, { ordered: false })).insertedCount).toBe(16);
  const read = await rows.find({}, { batchSize: 16 }).toArray();
  expect(read.map((row): unknown => row["text"])).toEqual(batch.map(() => megabyte));
  const tooLarge = { _id: "large", text: megabyte.repeat(17) };
  await expect(rows.insertOne(tooLarge)).rejects.toMatchObject({ code: 10334 });
});

test("a tailing cursor is answered by the insert it waits for", async () => {
  const cursor = await tailOf("woken", 30_000);
  const next = cursor.next();
  await collection("other").insertOne({ _id: "another collection" });
  await collection("woken").insertOne({ _id: "second" }, { writeConcern: quick });
  expect(await next).toEqual({ _id: "second" });
  await cursor.close();
});

test("a tailing cursor with nothing to read asks once and waits", async () => {
  await tailOf("idle", 30_000).then((cursor) => cursor.close());
  let getMores = 0;
  const observed = new MongoClient((await fixture.start()).uri, { monitorCommands: true });
  observed.on("commandStarted", (event) => {
    getMores += event.commandName === "getMore" ? 1 : 0;
  });
  const rows = observed.db("engine").collection<Row>("idle");
  const cursor = rows.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 30_000 });
  await cursor.next();
  const next = cursor.next();
  await eventually("the cursor has asked", () => getMores === 1);
  for (let reads = 0; reads < 100; reads += 1) {
    await rows.findOne({ _id: "first" });
  }
  expect(getMores).toBe(1);
  await rows.insertOne({ _id: "second" }, { writeConcern: quick });
  expect(await next).toEqual({ _id: "second" });
  await cursor.close();
  await observed.close();
});

test("a tailing cursor gives up waiting when its time is over", async () => {
  const cursor = await tailOf("given-up", 50);
  expect(await cursor.tryNext()).toBeNull();
  await cursor.close();
});

test("forty tailing cursors keep nobody from writing", async () => {
  const cursors = [await tailOf("crowd", 30_000)];
  while (cursors.length < 40) {
    const cursor = collection("crowd").find({}, { tailable: true, awaitData: true });
    await cursor.maxAwaitTimeMS(30_000).next();
    cursors.push(cursor);
  }
  const all = Promise.all(cursors.map((cursor) => cursor.next()));
  await collection("crowd").insertOne({ _id: "second" }, { writeConcern: quick });
  expect(new Set((await all).map((row) => row?._id))).toEqual(new Set(["second"]));
  await Promise.all(cursors.map((cursor) => cursor.close()));
});
