/** What kind of MongoDB is at the other end, and whether this version can work with it. */
import { StorageError, type StorageFacts } from "../../engine/ports.ts";

/** How the database is deployed. */
export type MongoTopology = Exclude<StorageFacts["topology"], "memory">;

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

/** Throws StorageError `incompatible` for a server that is too old. */
export function requireServerVersion(build: BuildReply): void {
  const major = build.versionArray[0] ?? 0;
  if (major >= majorVersionMin) return;
  throw new StorageError(
    "incompatible",
    `MongoDB ${build.version} is too old: version ${majorVersionMin}.0 or newer is needed`,
  );
}
