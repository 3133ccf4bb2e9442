/** What `keelson doctor` finds out about this machine and the database; nothing is changed. */
import { createServer } from "node:net";
import type { ServerConfig } from "../config/config.ts";
import { diagnose } from "../embedded/diagnose.ts";
import { StorageError } from "../engine/ports.ts";
import { connectToMongo } from "../storage/mongo/connection.ts";
import {
  schemaCollection,
  schemaVersion,
  type VersionDocument,
  versionDocumentId,
} from "../storage/mongo/schema.ts";

/** One thing that was looked at. */
export interface HealthCheck {
  readonly name: string;
  /** `warning`: works, but worth knowing; `failed`: a server would not work so. */
  readonly status: "ok" | "warning" | "failed";
  /** A sentence for people, with what to do about it. */
  readonly explanation: string;
}

const NODE_MAJOR_MIN = 22;
const NODE_MINOR_MIN = 18;
const DATABASE_TIMEOUT_MS = 3_000;

function checkNode(): HealthCheck {
  const name = "node";
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  const isNewEnough =
    major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN);
  const wanted = `${NODE_MAJOR_MIN}.${NODE_MINOR_MIN}`;
  return isNewEnough
    ? { name, status: "ok", explanation: `Node ${node} is new enough.` }
    : { name, status: "failed", explanation: `Node ${node} is too old; take ${wanted} or newer.` };
}

function checkPort(config: ServerConfig): Promise<HealthCheck> {
  const name = "port";
  const { host, port } = config;
  const place = `${host}:${port}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const explanation = isTaken
        ? `${place} is in use, perhaps by a server that runs already; choose another by --port.`
        : `${place} cannot be listened on (${error.code ?? "unknown"}).`;
      resolve({ name, status: isTaken ? "warning" : "failed", explanation });
    });
    server.listen({ host, port }, () => {
      server.close(() => resolve({ name, status: "ok", explanation: `${place} is free.` }));
    });
  });
}

async function readSchemaVersion(
  config: ServerConfig,
  uri: string,
): Promise<readonly HealthCheck[]> {
  const connection = await connectToMongo({
    uri,
    databaseName: config.databaseName,
    appName: "keelson doctor",
    operationTimeoutMs: DATABASE_TIMEOUT_MS,
    serverSelectionTimeoutMs: DATABASE_TIMEOUT_MS,
    poolSizeMax: 1,
  });
  try {
    const { topology, version } = connection;
    const kind = topology.replaceAll("_", " ");
    const database = `MongoDB ${version} answers (${kind}).`;
    const [found] = await connection.find<VersionDocument>({
      label: "doctor.schema",
      collection: schemaCollection.name,
      filter: { _id: versionDocumentId },
    });
    return [{ name: "database", status: "ok", explanation: database }, judgeSchema(found)];
  } finally {
    await connection.close();
  }
}

function judgeSchema(found: VersionDocument | undefined): HealthCheck {
  const name = "schema";
  if (!found) {
    return { name, status: "ok", explanation: "Nothing is stored yet; a start prepares it." };
  }
  const { version } = found;
  if (version > schemaVersion) {
    const explanation = `Version ${version} is of a newer server; this one knows ${schemaVersion}.`;
    return { name, status: "failed", explanation };
  }
  const explanation =
    version === schemaVersion
      ? `Version ${version}, as this server has it.`
      : `Version ${version}; a start brings it to ${schemaVersion}.`;
  return { name, status: "ok", explanation };
}

async function checkDatabase(config: ServerConfig, uri: string): Promise<readonly HealthCheck[]> {
  try {
    return await readSchemaVersion(config, uri);
  } catch (error) {
    const isTooOld = error instanceof StorageError && error.kind === "incompatible";
    const explanation = isTooOld
      ? error.message
      : "No MongoDB answers at KEELSON_MONGODB_URI; see hosts, credentials, TLS and firewalls.";
    return [{ name: "database", status: "failed", explanation }];
  }
}

/** Looks at everything a server with this configuration depends on. */
export async function checkHealth(config: ServerConfig): Promise<readonly HealthCheck[]> {
  const { database, dataDirectory, runtimeDirectory, cacheDirectory, environment } = config;
  const machine = [checkNode(), await checkPort(config)];
  switch (database.kind) {
    case "memory":
      return machine;
    case "mongodb":
      return [...machine, ...(await checkDatabase(config, database.uri))];
    case "embedded": {
      const places = { dataDirectory, runtimeDirectory, cacheDirectory, environment };
      const checks = await diagnose(places);
      return [...machine, ...checks.map((check) => ({ ...check, name: `embedded ${check.name}` }))];
    }
  }
}
