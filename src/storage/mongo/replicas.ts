/** The collection `replicas`: one register per running server, timed by the database's clock. */
import {
  type BusyPool,
  type ReplicaFacts,
  type ReplicaRow,
  type ReplicaStore,
  StorageError,
} from "../../engine/ports.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { requireWriteConcern, requireWrites, type WriteReply } from "./errors.ts";

/** See the header of this file. Rows are few and read all at once. */
export const replicaCollection: CollectionDefinition = { name: "replicas", indexes: [] };

/** One register as a document. */
interface ReplicaDocument {
  readonly _id: string;
  readonly address: string;
  readonly version: string;
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
  readonly lowWatermark: Date;
  /** Absent in rows of earlier versions. */
  readonly busyPools?: readonly BusyPool[];
  readonly buried: boolean;
}

/** The members of the answer to `findAndModify` that are read. */
interface ModifyReply extends WriteReply {
  readonly value: ReplicaDocument | null;
}

const replicasMax = 1_000;

function rowFromDocument(document: ReplicaDocument): ReplicaRow {
  return {
    replicaId: document._id,
    address: document.address,
    version: document.version,
    startedAt: document.startedAt.getTime(),
    heartbeatAt: document.heartbeatAt.getTime(),
    lowWatermark: document.lowWatermark.getTime(),
    busyPools: document.busyPools ?? [],
    buried: document.buried,
  };
}

/** The registers of one connection. */
export function makeMongoReplicas(connection: MongoConnection): ReplicaStore {
  const collection = replicaCollection.name;

  async function heartbeat(row: ReplicaFacts): Promise<number> {
    const label = "replicas.heartbeat";
    const reply = await connection.command<ModifyReply>(label, {
      findAndModify: collection,
      query: { _id: row.replicaId },
      update: [
        {
          $set: {
            address: { $literal: row.address },
            version: { $literal: row.version },
            startedAt: new Date(row.startedAt),
            lowWatermark: new Date(row.lowWatermark),
            busyPools: { $literal: row.busyPools },
            heartbeatAt: "$$NOW",
            buried: { $literal: false },
          },
        },
      ],
      upsert: true,
      new: true,
      writeConcern: connection.writeConcerns.replicated,
    });
    requireWriteConcern(label, reply);
    if (reply.value === null) throw new StorageError("unavailable", `${label}: nothing written`);
    return reply.value.heartbeatAt.getTime();
  }

  async function bury({ replicaId, heartbeatAt }: ReplicaRow): Promise<void> {
    const label = "replicas.bury";
    const query = { _id: replicaId, heartbeatAt: new Date(heartbeatAt) };
    const reply = await connection.command<WriteReply>(label, {
      update: collection,
      updates: [{ q: query, u: { $set: { buried: true } } }],
      writeConcern: connection.writeConcerns.replicated,
    });
    requireWrites(label, reply);
  }

  async function list(): Promise<readonly ReplicaRow[]> {
    const documents = await connection.find<ReplicaDocument>({
      label: "replicas.list",
      collection,
      filter: {},
      sort: { _id: 1 },
      limit: replicasMax,
    });
    return documents.map(rowFromDocument);
  }

  async function remove(replicaId: string): Promise<void> {
    const label = "replicas.remove";
    const reply = await connection.command<WriteReply>(label, {
      delete: collection,
      deletes: [{ q: { _id: replicaId }, limit: 1 }],
      writeConcern: connection.writeConcerns.replicated,
    });
    requireWrites(label, reply);
  }

  return { heartbeat, bury, list, remove };
}
