/**
 * The conformance suite on MongoDB, and after it the plans of every query the suite made the
 * storage ask: each has to use the index that is declared for it.
 */
import type { Document } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collectionsOf } from "../../src/storage/mongo/storage.ts";
import { makeMongoFixture, type MongoFixture } from "./mongo-fixture.ts";
import { explain, explainableOf, shapeOf } from "./query-plans.ts";
import { recordClasses } from "./samples.ts";
import { storageSuite } from "./suite.ts";

/** Which index serves which query; a label missing here fails the suite. */
const indexOfLabel: Readonly<Record<string, string>> = {
  "blobs.begin": "_id_",
  "blobs.chunk": "_id_",
  "blobs.condemn": "_id_",
  "blobs.drop": "_id_",
  "blobs.dropChunks": "_id_",
  "blobs.expired": "expiresAt_1",
  "blobs.find": "key_1",
  "blobs.finish": "_id_",
  "blobs.keep": "key_1",
  "blobs.own": "_id_",
  "blobs.pin": "key_1",
  "blobs.put": "key_1",
  "blobs.renew": "key_1",
  "blobs.renewUpload": "_id_",
  "blobs.unpin": "key_1",
  "checkpoints.chunks": "_id_",
  "checkpoints.newest": "_id_",
  "journal.barrier": "_id_",
  "journal.headOf": "_id_",
  "journal.pointsSince": "at_1__id_1",
  "journal.probe": "_id_",
  "journal.readAfter": "_id_",
  "journal.readAt": "_id_",
  "journal.streamsOfShard": "_id_",
  "leases.close": "_id_",
  "leases.discard": "_id_",
  "leases.get": "_id_",
  "leases.lapse": "_id_",
  "leases.open": "_id_",
  "leases.openNew": "_id_",
  "leases.overdue": "expiresAt_1",
  "leases.renew": "_id_",
  "leases.servedUntil": "serving_serves_1_expiresAt_1",
  "leases.serving": "serving_serves_1_expiresAt_1",
  "leases.settle": "_id_",
  "leases.stillLive": "_id_",
  "leases.unsettled": "unsettledSince_1",
  "records.find": "lookupHashes_1",
  "records.list": "_id_",
  "replicas.bury": "_id_",
  "replicas.heartbeat": "_id_",
  "replicas.list": "_id_",
  "replicas.remove": "_id_",
  "schema.read": "_id_",
  "schema.record": "_id_",
  "views.drains": "kind_1_namespace_1_drain_1_pool_1",
  "views.due": "dueAt_1",
  "views.get": "_id_",
  "views.heldBy": "holder_1",
  "views.lastId": "kind_1_namespace_1_id_1",
  "views.list": "kind_1_namespace_1_id_1",
  "views.listByLabels": "kind_1_namespace_1_labels_1_id_1",
  "views.listLive": "kind_1_namespace_1_state_1_id_1",
  "views.runnable": "kind_1_namespace_1_pool_1_runnableSince_1",
  "views.upsert": "_id_",
};

/** A capped collection is read as it was written: there is no index to use. */
const scansByDesign = new Set(["signals.tail"]);

/** A command of the storage as far as it can be explained. */
interface SentCommand {
  readonly label: string;
  readonly body: Document;
}

/** One command of each shape that the storage sent during the suite. */
const sent = new Map<string, SentCommand>();

function note(command: Document): void {
  const label: unknown = command["comment"];
  const body = explainableOf(command);
  if (typeof label !== "string" || body === undefined) return;
  sent.set(`${label} ${JSON.stringify(shapeOf(body))}`, { label, body });
}

storageSuite("MongoDB", async () => {
  const fixture = await makeMongoFixture();
  const { database } = fixture;
  return {
    connect: () => fixture.connect({ onCommand: ({ command }) => note(command) }),
    breakSignals: async () => {
      await database.createCollection("replacement", { capped: true, size: 1024 * 1024 });
      await database.renameCollection("replacement", "signals", { dropTarget: true });
    },
    dispose: fixture.dispose,
  };
});

describe("the queries that the suite made the storage ask", () => {
  let fixture: MongoFixture;

  beforeAll(async () => {
    fixture = await makeMongoFixture();
    await (await fixture.connect()).close();
  });

  afterAll(async () => {
    await fixture.dispose();
  });

  it("use the index declared for them, without collection scans or sorts in memory", async () => {
    const problems: string[] = [];
    const seen = new Set<string>();
    for (const { label, body } of sent.values()) {
      if (scansByDesign.has(label)) continue;
      seen.add(label);
      const plan = await explain(fixture.database, body);
      const isAsDeclared =
        plan.offences.length === 0 &&
        plan.indexes.length === 1 &&
        plan.indexes[0] === indexOfLabel[label];
      if (!isAsDeclared) problems.push(`${label}: ${JSON.stringify({ ...plan, body })}`);
    }
    expect(problems).toEqual([]);
    expect([...seen].toSorted()).toEqual(Object.keys(indexOfLabel).toSorted());
  });

  it("find every declared index in use, and no other index in the database", async () => {
    const used = new Set(Object.values(indexOfLabel));
    for (const { name, indexes } of collectionsOf(recordClasses)) {
      const found = await fixture.database.collection(name).indexes();
      const declared = ["_id_", ...indexes.map((index) => index.name)];
      expect(new Set(found.map((index) => index.name))).toEqual(new Set(declared));
      const queried = indexes.filter((index) => index.expireAfterSeconds === undefined);
      for (const index of queried) expect(used).toContain(index.name);
    }
  });
});
