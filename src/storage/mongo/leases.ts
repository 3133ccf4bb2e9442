/**
 * The collection `leases`: one register per executor incarnation, timed by the database's clock
 * alone (`$$NOW`), updated in place. `lapsed` is for good: renewals and lapses meet in one
 * document, and whichever comes first there has decided.
 *
 * A lapsed register stays for thirty days after all its streams know, so that a holder that wakes
 * up late is told; after that it is told the same because there is no register.
 */
import type { AttachmentTerms, LeaseRow, LeaseStore } from "../../engine/ports.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import type { WriteConcerns } from "./topology.ts";
import { requireWriteConcern, requireWrites, type WriteReply } from "./errors.ts";

const expiryIndexName = "expiresAt_1";
const unsettledIndexName = "unsettledSince_1";
const servingIndexName = "serving_serves_1_expiresAt_1";
const settledSecondsMax = 30 * 24 * 60 * 60;

/** See the header of this file. */
export const leaseCollection: CollectionDefinition = {
  name: "leases",
  indexes: [
    {
      name: expiryIndexName,
      key: { expiresAt: 1 },
      partialFilter: { state: "live" },
      serves: "overdue: live registers whose time is over, longest first",
    },
    {
      name: unsettledIndexName,
      key: { unsettledSince: 1 },
      partialFilter: { unsettledSince: { $exists: true } },
      serves: "unsettled: lapsed registers whose streams may not all know, oldest first",
    },
    {
      name: servingIndexName,
      key: { serves: 1, expiresAt: 1 },
      partialFilter: { serves: { $gt: "" } },
      serves: "serving, servedUntil: registers of the executors of one pool, live and past",
    },
    {
      name: "settledAt_1",
      key: { settledAt: 1 },
      expireAfterSeconds: settledSecondsMax,
      serves: "the removal of registers that everybody knows to be lapsed",
    },
  ],
};

/** One register as a document. */
interface LeaseDocument {
  readonly _id: string;
  readonly state: "live" | "lapsed";
  readonly ttlMs: number;
  readonly renewedAt: Date;
  /** When it is over without another renewal, or was over. */
  readonly expiresAt: Date;
  readonly attachments: number;
  /** What the last stream serves; empty or absent when nothing was said. */
  readonly serves?: string;
  /** Set by the lapse, gone once every stream knows of it. */
  readonly unsettledSince?: Date;
  readonly settledAt?: Date;
}

/** The members of the answer to `update` that are read. */
interface UpdateReply extends WriteReply {
  readonly n: number;
}

/** The members of the answer to `findAndModify` that are read. */
interface ModifyReply extends WriteReply {
  readonly value: LeaseDocument | null;
}

/** Settings of an update pipeline that lapse a register: by its time, or before it. */
const lapseStage = {
  $set: {
    state: "lapsed",
    unsettledSince: "$$NOW",
    expiresAt: { $min: ["$expiresAt", "$$NOW"] },
  },
} as const;

/** Settings of an update pipeline that renew a register with the TTL it has by then. */
const renewStage = {
  $set: { renewedAt: "$$NOW", expiresAt: { $add: ["$$NOW", "$ttlMs"] } },
} as const;

function rowFromDocument(document: LeaseDocument): LeaseRow {
  return {
    holder: document._id,
    state: document.state,
    ttlMs: document.ttlMs,
    renewedAt: document.renewedAt.getTime(),
    attachments: document.attachments,
  };
}

/** A value, or what the register has when it is lapsed. */
function unlessLapsed(field: string, value: unknown): unknown {
  return { $cond: [{ $eq: ["$state", "lapsed"] }, `$${field}`, value] };
}

/** The registers of one connection. */
export function makeMongoLeases(connection: MongoConnection): LeaseStore {
  const collection = leaseCollection.name;

  async function update(
    label: string,
    filter: Readonly<Record<string, unknown>>,
    pipeline: readonly unknown[],
    durability: keyof WriteConcerns,
  ): Promise<number> {
    const reply = await connection.command<UpdateReply>(label, {
      update: collection,
      updates: [{ q: filter, u: pipeline, multi: false }],
      writeConcern: connection.writeConcerns[durability],
    });
    requireWrites(label, reply);
    return reply.n;
  }

  async function open(
    holder: string,
    ttlMs: number,
    attachment?: AttachmentTerms,
  ): Promise<number | "lapsed"> {
    const label = "leases.open";
    const reply = await connection.command<ModifyReply>(label, {
      findAndModify: collection,
      query: { _id: holder },
      update: [
        {
          $set: {
            state: { $ifNull: ["$state", "live"] },
            ttlMs: unlessLapsed("ttlMs", ttlMs),
            renewedAt: unlessLapsed("renewedAt", "$$NOW"),
            expiresAt: unlessLapsed("expiresAt", { $add: ["$$NOW", ttlMs] }),
            attachments: unlessLapsed("attachments", {
              $add: [{ $ifNull: ["$attachments", 0] }, attachment === undefined ? 0 : 1],
            }),
            ...(attachment === undefined
              ? {}
              : { serves: unlessLapsed("serves", { $literal: attachment.serves }) }),
          },
        },
      ],
      upsert: true,
      new: true,
      writeConcern: connection.writeConcerns.durable,
    });
    requireWriteConcern(label, reply);
    return reply.value?.state === "live" ? reply.value.attachments : "lapsed";
  }

  async function findIn(
    label: string,
    filter: Readonly<Record<string, unknown>>,
    order: { readonly sort?: Readonly<Record<string, 1 | -1>>; readonly hint: string } | undefined,
    limit: number | undefined,
  ): Promise<readonly LeaseDocument[]> {
    return await connection.find<LeaseDocument>({
      label,
      collection,
      filter,
      ...order,
      ...(limit === undefined ? {} : { limit }),
    });
  }

  async function renew(holders: readonly string[]): Promise<readonly string[]> {
    if (holders.length === 0) return [];
    const label = "leases.renew";
    const reply = await connection.command<UpdateReply>(label, {
      update: collection,
      updates: [{ q: { _id: { $in: holders }, state: "live" }, u: [renewStage], multi: true }],
      writeConcern: connection.writeConcerns.replicated,
    });
    requireWrites(label, reply);
    if (reply.n === new Set(holders).size) return [];
    const filter = { _id: { $in: holders }, state: "live" };
    const live = await findIn("leases.stillLive", filter, undefined, undefined);
    const liveHolders = new Set(live.map((document) => document._id));
    return holders.filter((holder) => !liveHolders.has(holder));
  }

  async function lapse(holder: string): Promise<boolean> {
    const filter = {
      _id: holder,
      state: "live",
      $expr: { $lt: ["$expiresAt", "$$NOW"] },
    };
    return (await update("leases.lapse", filter, [lapseStage], "durable")) === 1;
  }

  async function overdue(limit: number): Promise<readonly LeaseRow[]> {
    const filter = { state: "live", $expr: { $lt: ["$expiresAt", "$$NOW"] } };
    const order = { sort: { expiresAt: 1 }, hint: expiryIndexName } as const;
    return (await findIn("leases.overdue", filter, order, limit)).map(rowFromDocument);
  }

  async function unsettled(limit: number): Promise<readonly LeaseRow[]> {
    const filter = { unsettledSince: { $exists: true } };
    const order = { sort: { unsettledSince: 1 }, hint: unsettledIndexName } as const;
    return (await findIn("leases.unsettled", filter, order, limit)).map(rowFromDocument);
  }

  return {
    open,
    renew,
    lapse,
    close: async (holder) => {
      const filter = { _id: holder, state: "live" };
      await update("leases.close", filter, [lapseStage], "durable");
    },
    overdue,
    unsettled,
    settle: async (holder) => {
      const pipeline = [{ $set: { settledAt: "$$NOW" } }, { $unset: "unsettledSince" }];
      const filter = { _id: holder, unsettledSince: { $exists: true } };
      await update("leases.settle", filter, pipeline, "replicated");
    },
    get: async (holder) => {
      const [document] = await findIn("leases.get", { _id: holder }, undefined, undefined);
      return document === undefined ? undefined : rowFromDocument(document);
    },
    serving: async (serves, limit) => {
      const filter = { serves, state: "live", $expr: { $gte: ["$expiresAt", "$$NOW"] } };
      const order = { hint: servingIndexName };
      return (await findIn("leases.serving", filter, order, limit)).map(rowFromDocument);
    },
    servedUntil: async (serves) => {
      const order = { sort: { expiresAt: -1 }, hint: servingIndexName } as const;
      const [last] = await findIn("leases.servedUntil", { serves }, order, 1);
      return last?.expiresAt.getTime();
    },
    openNew: async (registers) => {
      if (registers.length === 0) return;
      const label = "leases.openNew";
      const reply = await connection.command<UpdateReply>(label, {
        update: collection,
        updates: registers.map(({ holder, ttlMs }) => ({
          q: { _id: holder },
          u: [
            {
              $set: {
                state: "live",
                ttlMs,
                attachments: 0,
                renewedAt: "$$NOW",
                expiresAt: { $add: ["$$NOW", ttlMs] },
              },
            },
          ],
          upsert: true,
        })),
        ordered: false,
        writeConcern: connection.writeConcerns.durable,
      });
      requireWrites(label, reply);
    },
    discard: async (holders) => {
      if (holders.length === 0) return;
      const label = "leases.discard";
      const reply = await connection.command<UpdateReply>(label, {
        delete: collection,
        deletes: [{ q: { _id: { $in: holders } }, limit: 0 }],
        writeConcern: connection.writeConcerns.replicated,
      });
      requireWrites(label, reply);
    },
  };
}
