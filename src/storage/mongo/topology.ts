/** What kind of MongoDB is at the other end, and whether this version can work with it. */
import { StorageError, type StorageFacts } from "../../engine/ports.ts";

/** How the database is deployed. */
export type MongoTopology = Exclude<StorageFacts["topology"], "memory">;

/** How durable a write is before it is acknowledged. */
export interface WriteConcerns {
  /** Journaled by a majority: cannot be lost any more. */
  readonly durable: WriteConcern;
  /** Known to a majority: survives the loss of a member, perhaps not a crash of all. */
  readonly replicated: WriteConcern;
  /** Known to the primary. */
  readonly fleeting: WriteConcern;
}

/** A write concern with nothing left to defaults. */
interface WriteConcern {
  readonly w: "majority" | 1;
  readonly j: boolean;
}

const majorVersionMin = 8;

/** The members of the answer to `hello` that are read. */
export interface HelloReply {
  /** Present on members of a replica set. */
  readonly setName?: string;
  /** `isdbgrid` on the router of a sharded cluster. */
  readonly ["msg"]?: string;
  /** Names the life of the server process, where the server tells. */
  readonly topologyVersion?: { readonly processId: { readonly toHexString: () => string } };
}

/** The members of the answer to `buildInfo` that are read. */
export interface BuildReply {
  readonly version: string;
  readonly versionArray: readonly number[];
}

/** The deployment that answered `hello`. */
export function topologyOf(hello: HelloReply): MongoTopology {
  if (hello["msg"] === "isdbgrid") return "sharded";
  return hello.setName === undefined ? "standalone" : "replica_set";
}

/**
 * The write concerns of a deployment. One server alone is its own majority and is asked as one: the
 * embedded one was seen to answer `w: "majority", j: true` before it had journaled the write.
 */
export function writeConcernsOf(topology: MongoTopology): WriteConcerns {
  const w = topology === "standalone" ? 1 : "majority";
  return { durable: { w, j: true }, replicated: { w, j: false }, fleeting: { w: 1, j: false } };
}

/** Throws StorageError `incompatible` for a server that is too old. */
export function requireServerVersion(build: BuildReply): void {
  const major = build.versionArray[0] ?? 0;
  if (major >= majorVersionMin) return;
  throw new StorageError(
    "incompatible",
    `MongoDB ${build.version} is too old: version ${majorVersionMin}.0 or newer is needed`,
  );
}
