/**
 * The calls of a server: before its storage is there only health and reflection are served; then
 * every service, over the inside that has come up.
 */
import { grantsAggregate } from "../core/grants/aggregate.ts";
import { processAggregate } from "../core/process/aggregate.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import { BATCH_BYTES_MAX, BATCH_INPUTS_MAX } from "../core/runtime/batch.ts";
import type { RuntimeConfig } from "../core/runtime/state.ts";
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { ServerConfig } from "../config/config.ts";
import type { Storage } from "../engine/ports.ts";
import type { Streams } from "../engine/streams.ts";
import { makeHandleCalls } from "../flows/handle-calls.ts";
import { makeTaskCalls } from "../flows/task-calls.ts";
import type { CallObserver } from "../observability/rpc-observer.ts";
import type { AdminStreams } from "../rpc/admin-options.ts";
import { makeCompletionWaits } from "../rpc/completion-waits.ts";
import { makeEventSchemas } from "../rpc/event-schemas.ts";
import { makeRpcHandler } from "../rpc/http-handler.ts";
import type { NodeRequestHandler } from "../rpc/node-request.ts";
import { INGEST_STREAM_PATH, makeIngestExchanges } from "../rpc/ingest-exchange.ts";
import { makeOperationWaits } from "../rpc/operation-waits.ts";
import { makeProcessWaits } from "../rpc/process-waits.ts";
import {
  BINARY_READ_OPTIONS,
  type RouteOptions,
  registerRoutes,
  registerStartingRoutes,
} from "../rpc/routes.ts";
import type { RpcLimits } from "../rpc/runtime-options.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ByteBudget } from "./in-flight-budget.ts";
import type { ServerState } from "./server-state.ts";
import type { OpenStorage } from "./storage-source.ts";
import { systemClock, systemEntropy } from "./system-clock.ts";
import { SERVER_VERSION } from "./version.ts";

const MIB = 1024 * 1024;
/** Bytes of one message on the wire; a batch of the largest size fits, however it is written. */
const MESSAGE_BYTES_MAX = 32 * MIB;

/** What the calls of a server work with before there is an inside. */
export interface RpcCallsOptions {
  readonly config: ServerConfig;
  readonly replicaId: string;
  readonly calls: CallObserver;
  readonly budget: ByteBudget;
  readonly state: ServerState;
  /** Aborts when the server begins to stop. */
  readonly drainSignal: AbortSignal;
  /** Aborts when calls have had their time to end. */
  readonly cutSignal: AbortSignal;
}

function runtimeDefaultsOf(config: ServerConfig): RuntimeConfig {
  return {
    labels: {},
    pool: "default",
    queueLimit: config.queueLimit,
    attemptLimit: config.attemptLimit,
    retryBackoffInitialMs: 1_000,
    retryBackoffMaxMs: 60_000,
    leaseTtlMs: config.leaseTtlMs,
    keepAlive: false,
    operationLimit: config.operationLimit,
    completedRetention: config.completedRetention,
  };
}

function limitsOf(config: ServerConfig): RpcLimits {
  return {
    inputPayloadBytesMax: config.inputPayloadBytesMax,
    inlineContentBytesMax: config.inlineContentBytesMax,
    blobBytesMax: config.blobBytesMax,
    blobGraceMs: config.blobGraceMs,
    batchInputsMax: config.batchInputsMax,
    batchBytesMax: config.batchBytesMax,
    queueLimitMax: config.queueLimitMax,
    attemptLimitMax: config.attemptLimitMax,
    longPollMaxMs: config.longPollMs,
    watchBufferEventsMax: config.watchBufferEventsMax,
    watchBufferBytesMax: config.watchBufferBytesMax,
    runResultBytesMax: config.runResultBytesMax,
    inFlightBytesMax: config.inFlightBytesMax,
    runtimeDefaults: runtimeDefaultsOf(config),
  };
}

function handlerOf(
  options: RpcCallsOptions,
  routes: Parameters<typeof makeRpcHandler>[0]["routes"],
  shortWays: ReadonlyMap<string, NodeRequestHandler> = new Map(),
): NodeRequestHandler {
  const { state, calls, budget, cutSignal } = options;
  return makeRpcHandler({
    routes,
    shortWays,
    gate: state.gate,
    onTurnedAway: calls.turnedAway,
    shutdownSignal: cutSignal,
    budget,
    requestTimeoutMs: options.config.requestTimeoutMs,
    messageBytesMax: MESSAGE_BYTES_MAX,
    onBroken: calls.itemFailed,
  });
}

function healthOf({ state, drainSignal }: RpcCallsOptions): RouteOptions["health"] {
  return { isReady: state.isReady, clock: systemClock, drainSignal };
}

/** The calls of a server that has no storage yet. */
export function makeStartingCalls(options: RpcCallsOptions): NodeRequestHandler {
  const { calls: observer } = options;
  return handlerOf(options, (register) =>
    registerStartingRoutes(register, { health: healthOf(options), observer }),
  );
}

function adminStreamsOf<State, Command, Event, Reply>(
  aggregate: Pick<Aggregate<State, Command, Event, Reply>, "foldVersion">,
  streams: Streams<State, Command, Event, Reply>,
): AdminStreams {
  return {
    foldVersion: aggregate.foldVersion,
    isCached: (stream) => streams.peek(stream) !== undefined,
    isQuarantined: (stream) => streams.refusalOf(stream)?.reason === "STREAM_QUARANTINED",
  };
}

function kindsOf({ runtimes, processes, grants }: ControlPlane): ReadonlyMap<string, AdminStreams> {
  return new Map([
    [runtimeAggregate.kind, adminStreamsOf(runtimeAggregate, runtimes)],
    [processAggregate.kind, adminStreamsOf(processAggregate, processes)],
    [grantsAggregate.kind, adminStreamsOf(grantsAggregate, grants)],
  ]);
}

function processOptionsOf(
  { replicaId, drainSignal }: RpcCallsOptions,
  { engine, runtimes, processes: streams, processLeases, grants, flows }: ControlPlane,
  storage: Storage,
  limits: RpcLimits,
): RouteOptions["process"] {
  const { membership, time, tail, views } = engine;
  const handles = makeHandleCalls({ grants, processes: streams, flows });
  return {
    streams,
    grants,
    handles,
    tasks: makeTaskCalls({ runtimes, grants, processes: streams, handles, flows }),
    views: storage.views,
    flushViews: views.flush,
    journal: storage.journal,
    tail,
    membership,
    replicaId,
    nowMs: time.nowMs,
    clock: systemClock,
    entropy: systemEntropy,
    limits,
    facts: storage.facts,
    schemas: makeEventSchemas(),
    leases: processLeases,
    waits: makeProcessWaits({ streams, clock: systemClock, drainSignal }),
    drainSignal,
  };
}

/** What the admin service is made of. */
interface AdminParts {
  readonly options: RpcCallsOptions;
  readonly controlPlane: ControlPlane;
  readonly opened: OpenStorage;
  readonly startedAt: number;
  readonly limits: RpcLimits;
}

function adminOptionsOf(parts: AdminParts): RouteOptions["admin"] {
  const { options, controlPlane, opened, startedAt, limits } = parts;
  const { storage, isEmbedded, databaseName } = opened;
  const { membership, time, repair, views: backlog } = controlPlane.engine;
  const { replicaId } = options;
  return {
    clock: systemClock,
    nowMs: time.nowMs,
    flushViews: backlog.flush,
    observer: options.calls,
    server: {
      version: SERVER_VERSION,
      replicaId,
      nodeVersion: process.versions.node,
      startedAt,
      isDatabaseEmbedded: isEmbedded,
      databaseName,
    },
    facts: storage.facts,
    limits,
    kinds: kindsOf(controlPlane),
    rebuild: repair.rebuild,
    journal: storage.journal,
    views: storage.views,
    checkpoints: storage.checkpoints,
    replicas: storage.replicas,
    membership,
  };
}

function routeOptionsOf(
  options: RpcCallsOptions,
  controlPlane: ControlPlane,
  opened: OpenStorage,
  startedAt: number,
): RouteOptions {
  const { config, replicaId, budget, drainSignal, calls: observer } = options;
  const { engine, runtimes: streams, payloads, dispatcher, blobs } = controlPlane;
  const { storage } = opened;
  const { membership, time, views: backlog } = engine;
  const limits = limitsOf(config);
  const shared = { clock: systemClock, nowMs: time.nowMs, flushViews: backlog.flush, observer };
  const process = processOptionsOf(options, controlPlane, storage, limits);
  return {
    runtime: {
      ...shared,
      streams,
      blobs,
      views: storage.views,
      records: storage.records,
      membership,
      replicaId,
      entropy: systemEntropy,
      limits,
      dispatcher,
      waits: makeCompletionWaits({ streams, clock: systemClock, drainSignal }),
      drainSignal,
      budget,
    },
    executor: {
      ...shared,
      dispatcher,
      streams,
      payloads,
      blobs,
      leaseTtlMs: config.leaseTtlMs,
      batchInputsMax: BATCH_INPUTS_MAX,
      batchBytesMax: BATCH_BYTES_MAX,
      limits,
    },
    operation: {
      streams,
      entropy: systemEntropy,
      limits,
      clock: systemClock,
      drainSignal,
      waits: makeOperationWaits({ streams, clock: systemClock, drainSignal }),
    },
    process,
    task: { ...process, records: storage.records },
    blob: { blobs },
    admin: adminOptionsOf({ options, controlPlane, opened, startedAt, limits }),
    health: healthOf(options),
    observer,
  };
}

/** The calls of a server over its inside. */
export function makeServingCalls(
  options: RpcCallsOptions,
  controlPlane: ControlPlane,
  opened: OpenStorage,
): NodeRequestHandler {
  const startedAt = controlPlane.engine.time.nowMs();
  const routes = routeOptionsOf(options, controlPlane, opened, startedAt);
  const exchanges = makeIngestExchanges({
    ...routes.runtime,
    budget: options.budget,
    cutSignal: options.cutSignal,
    messageBytesMax: MESSAGE_BYTES_MAX,
    requestTimeoutMs: options.config.requestTimeoutMs,
    binaryOptions: BINARY_READ_OPTIONS,
  });
  const shortWays = new Map([[INGEST_STREAM_PATH, exchanges]]);
  return handlerOf(options, (register) => registerRoutes(register, routes), shortWays);
}
