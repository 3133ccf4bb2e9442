/**
 * Puts a server together and takes it apart: the port first, so that supervisors hear something
 * from the first moment on; then the storage, however long that takes; then the inside; then the
 * calls.
 *
 *   listen -> storage -> join -> serve          (retried while the database is away)
 *   drain  -> end streams -> calls in flight end -> finish commits and views -> leave
 */
import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import type { ServerConfig } from "../config/config.ts";
import { makeEngineObserver } from "../observability/engine-observer.ts";
import { loggerOf } from "../observability/logger.ts";
import { makeMetrics, type Metrics } from "../observability/metrics.ts";
import { type CallObserver, makeCallObserver } from "../observability/rpc-observer.ts";
import type { Storage } from "../engine/ports.ts";
import type { NodeRequestHandler } from "../rpc/node-request.ts";
import { type ControlPlane, makeControlPlane, RECORD_CLASSES } from "./control-plane.ts";
import { addControlPlaneGauges, addListenerGauges } from "./gauges.ts";
import { type ByteBudget, makeByteBudget } from "./in-flight-budget.ts";
import { listen, type Listener, type TlsFiles } from "./listener.ts";
import { answerNotFound, makeOperationsHandler } from "./operations-endpoint.ts";
import { makeServingCalls, makeStartingCalls } from "./rpc-calls.ts";
import { makeServerState, type ReadinessReport, type ServerState } from "./server-state.ts";
import { openStorage, type OpenStorage, whileUnavailable } from "./storage-source.ts";
import { systemClock, systemEntropy } from "./system-clock.ts";
import { SERVER_VERSION } from "./version.ts";

/** What a server is given besides its configuration. */
export interface ServerOptions {
  readonly logger: Logger;
  /** Gets lines for people when the first start takes long. */
  readonly onProgress?: (line: string) => void;
  /** Changes the opened storage before anything uses it; for measurements. */
  readonly wrapStorage?: (storage: Storage) => Storage;
}

/** A server that listens. */
export interface RunningServer {
  readonly replicaId: string;
  /** `host:port` of what it listens on. */
  readonly address: string;
  /** Base address for clients, such as `http://127.0.0.1:7420`. */
  readonly url: string;
  /** Resolves when it first serves; rejects with what makes that impossible. */
  readonly serving: Promise<void>;
  readonly readiness: () => ReadinessReport;
  /** Drains and ends; may be called at any moment, and more than once. Never rejects. */
  readonly stop: () => Promise<void>;
}

/** What the steps of a start and a stop share. */
interface Parts {
  readonly config: ServerConfig;
  readonly options: ServerOptions;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly calls: CallObserver;
  readonly budget: ByteBudget;
  readonly state: ServerState;
  readonly replicaId: string;
  /** Aborted when the server begins to stop. */
  readonly draining: AbortController;
  /** Aborted when calls have had their time to end. */
  readonly cutting: AbortController;
}

/** The inside of a server that has come up. */
interface Inside {
  readonly opened: OpenStorage;
  readonly controlPlane: ControlPlane;
}

const START_PATIENCE_MS = 2_000;

async function readTls(config: ServerConfig): Promise<TlsFiles | undefined> {
  const { tlsCertificateFile, tlsKeyFile } = config;
  if (tlsCertificateFile === undefined || tlsKeyFile === undefined) return undefined;
  const [certificate, key] = await Promise.all([
    readFile(tlsCertificateFile),
    readFile(tlsKeyFile),
  ]);
  return { certificate, key };
}

function hostForUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

async function openPort(parts: Parts, handlers: () => readonly NodeRequestHandler[]) {
  const { config, metrics } = parts;
  const { host, port, connectionsMax, connectionStreamsMax } = config;
  const { headerTimeoutMs, requestTimeoutMs, idleTimeoutMs } = config;
  const tls = await readTls(config);
  return listen({
    host,
    port,
    connectionsMax,
    connectionStreamsMax,
    headerTimeoutMs,
    requestTimeoutMs,
    idleTimeoutMs,
    ...(tls === undefined ? {} : { tls }),
    onRefused: (cause) => metrics.refusedConnections.inc({ cause }),
    handle: (request, response) => {
      if (!handlers().some((handle) => handle(request, response))) answerNotFound(response);
    },
  });
}

/** Brings the inside up; repeats what the database's absence hinders. */
async function bringUp(parts: Parts, address: string): Promise<Inside> {
  const { config, logger, metrics, state, replicaId, draining } = parts;
  const source = {
    logger,
    clock: systemClock,
    entropy: systemEntropy,
    signal: draining.signal,
    onMissed: state.databaseMissed,
  };
  const found = await openStorage({
    ...source,
    config,
    recordClasses: RECORD_CLASSES,
    logger: loggerOf(parts.options.logger, "embedded"),
    onRestarted: () => metrics.databaseRestarts.inc(),
    onProgress: parts.options.onProgress ?? ((line) => logger.info({ line }, "database prepares")),
  });
  const storage = parts.options.wrapStorage?.(found.storage) ?? found.storage;
  const opened = { ...found, storage };
  const controlPlane = makeControlPlane({
    storage,
    clock: systemClock,
    entropy: systemEntropy,
    observer: makeEngineObserver(metrics, loggerOf(parts.options.logger, "engine")),
    replicaId,
    address: config.advertisedAddress ?? address,
    version: SERVER_VERSION,
    cacheBytesMax: config.cacheBytesMax,
    answerTimeoutMs: config.answerTimeoutMs,
    blobBytesMax: config.blobBytesMax,
    blobGraceMs: config.blobGraceMs,
    onAssigned: (waitedMs) => metrics.dispatchSeconds.observe(waitedMs / 1000),
  });
  try {
    await whileUnavailable(source, controlPlane.join);
  } catch (error) {
    await controlPlane.stop().catch(() => undefined);
    await opened.close();
    throw error;
  }
  addControlPlaneGauges(metrics, controlPlane);
  return { opened, controlPlane };
}

/** Runs a step of the stop; what it throws is logged and stops nothing. */
async function attempt(logger: Logger, step: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    logger.warn({ step, err: error }, "a step of the stop failed");
  }
}

/** Lets the calls in flight end, and cuts those that take too long. */
async function endCalls(parts: Parts, listener: Listener): Promise<void> {
  const { config, logger, cutting } = parts;
  listener.drain();
  const late = Promise.withResolvers<"late">();
  const cancel = systemClock.after(config.drainTimeoutMs, () => late.resolve("late"));
  const outcome = await Promise.race([listener.drained(), late.promise]);
  cancel();
  if (outcome === "late") {
    logger.warn({ connections: listener.connectionCount() }, "calls in flight are cut");
  }
  cutting.abort();
  await listener.close();
}

/** Ends a wait for something that may take minutes, such as the first start of a database. */
function patience(): Promise<undefined> {
  return new Promise((resolve) => {
    systemClock.after(START_PATIENCE_MS, () => resolve(undefined));
  });
}

async function takeDown(
  parts: Parts,
  listener: Listener,
  inside: Promise<Inside | undefined>,
): Promise<void> {
  const { logger, state, draining } = parts;
  const startedMs = systemClock.monotonicMs();
  logger.info("server drains");
  state.drain();
  draining.abort();
  const came = await Promise.race([inside, patience()]);
  came?.controlPlane.retreat();
  await attempt(logger, "calls", () => endCalls(parts, listener));
  if (came) {
    await attempt(logger, "engine", came.controlPlane.stop);
    await attempt(logger, "storage", came.opened.close);
  }
  const durationMs = Math.round(systemClock.monotonicMs() - startedMs);
  logger.info({ durationMs }, "server stopped");
}

/** Opens the port and begins to start; rejects when the port or the certificate cannot be had. */
export async function startServer(
  config: ServerConfig,
  options: ServerOptions,
): Promise<RunningServer> {
  const logger = loggerOf(options.logger, "server");
  const metrics = makeMetrics();
  const budget = makeByteBudget(config.inFlightBytesMax);
  const state = makeServerState(budget.isExhausted);
  const parts: Parts = {
    config,
    options,
    logger,
    metrics,
    budget,
    state,
    calls: makeCallObserver(metrics, loggerOf(options.logger, "rpc")),
    replicaId: systemEntropy.freshId(),
    draining: new AbortController(),
    cutting: new AbortController(),
  };
  const operations = makeOperationsHandler(state, metrics);
  const callsOptions = {
    ...parts,
    drainSignal: parts.draining.signal,
    cutSignal: parts.cutting.signal,
  };
  let rpc = makeStartingCalls(callsOptions);
  const listener = await openPort(parts, () => [operations, rpc]);
  addListenerGauges(metrics, listener, budget, state);
  const address = `${hostForUrl(listener.host)}:${listener.port}`;

  const coming = bringUp(parts, address).then((inside) => {
    const { engine } = inside.controlPlane;
    rpc = makeServingCalls(callsOptions, inside.controlPlane, inside.opened);
    inside.controlPlane.start();
    state.serve({
      isDatabaseReachable: engine.membership.isReachable,
      isTimeTrusted: engine.time.isTrusted,
    });
    const { topology, version } = inside.opened.storage.facts;
    logger.info({ address, topology, databaseVersion: version }, "server serves");
    return inside;
  });
  const inside = coming.catch(() => undefined);
  const serving = coming.then(() => undefined);
  // Whoever does not ask is not told; the process must not die of a rejection nobody waits for.
  serving.catch(() => undefined);
  let stopping: Promise<void> | undefined;
  return {
    replicaId: parts.replicaId,
    address,
    url: `${config.tlsKeyFile === undefined ? "http" : "https"}://${address}`,
    serving,
    readiness: state.report,
    stop: () => (stopping ??= takeDown(parts, listener, inside)),
  };
}
