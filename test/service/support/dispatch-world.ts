// Replicas of a control plane over one memory database, with a clock that the case moves. Callers
// speak to them through the real services; only sockets are left out.
import { type Client, createClient, createRouterTransport } from "@connectrpc/connect";
import { ExecutorService } from "../../../gen/keelson/executor/v1/service_pb.ts";
import { OperationService } from "../../../gen/keelson/operation/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { BATCH_BYTES_MAX, BATCH_INPUTS_MAX } from "../../../src/core/runtime/batch.ts";
import type { RuntimeConfig } from "../../../src/core/runtime/state.ts";
import type { RuntimeStreams } from "../../../src/dispatch/runtime-streams.ts";
import { type EngineObserver, silentObserver } from "../../../src/engine/observer.ts";
import type { Storage } from "../../../src/engine/ports.ts";
import { makeCompletionWaits } from "../../../src/rpc/completion-waits.ts";
import { makeExecutorService } from "../../../src/rpc/executor-service.ts";
import { makeCallInterceptor } from "../../../src/rpc/interceptor.ts";
import { makeOperationService } from "../../../src/rpc/operation-service.ts";
import { makeOperationWaits } from "../../../src/rpc/operation-waits.ts";
import { makeRuntimeService } from "../../../src/rpc/runtime-service.ts";
import { type ControlPlane, makeControlPlane } from "../../../src/server/control-plane.ts";
import { type MemoryDatabase, makeMemoryDatabase } from "../../../src/storage/memory/database.ts";
import type { MemoryOperation } from "../../../src/storage/memory/gate.ts";
import { type ManualClock, makeManualClock } from "../../property/support/manual-clock.ts";
import { makeSeededEntropy } from "../../property/support/seeded-entropy.ts";
import { pass, passUntil } from "../../property/support/wait.ts";

const MIB = 1024 * 1024;

const RUNTIME_DEFAULTS: RuntimeConfig = {
  labels: {},
  pool: "default",
  queueLimit: 10_000,
  attemptLimit: 3,
  retryBackoffInitialMs: 1_000,
  retryBackoffMaxMs: 60_000,
  leaseTtlMs: 30_000,
  keepAlive: false,
  operationLimit: 10_000,
  completedRetention: 256,
};

/** One replica with clients that speak to it. */
export interface Replica {
  readonly name: string;
  readonly controlPlane: ControlPlane;
  readonly executors: Client<typeof ExecutorService>;
  readonly runtimes: Client<typeof RuntimeControlPlaneService>;
  readonly operations: Client<typeof OperationService>;
  /** In how many streams callers of this replica wait for something. */
  readonly awaitedStreams: () => number;
  /** Failures that were logged in the background. */
  readonly failures: readonly { readonly task: string; readonly error: unknown }[];
}

/** A database and the replicas over it. */
export interface World {
  readonly clock: ManualClock;
  /** The clock of the database; the same as that of the replicas unless the case steps it. */
  readonly databaseClock: ManualClock;
  readonly database: MemoryDatabase;
  /** Starts another replica and waits until it serves. */
  readonly addReplica: (name: string) => Promise<Replica>;
  /** Operations for which this answers true are lost on their way to the database. */
  loses: (operation: MemoryOperation) => boolean;
  /** Operations wait on their way to the database for what this answers. */
  holds: (operation: MemoryOperation) => Promise<void> | undefined;
  /** How many operations of a port and method took effect, such as `views.runnable`. */
  readonly operations: ReadonlyMap<string, number>;
  /** Lets time pass until the promise has an outcome. */
  readonly pass: <Result>(promise: Promise<Result>) => Promise<Result>;
  /** Lets time pass until the condition holds. */
  readonly until: (condition: () => boolean) => Promise<void>;
  /** Lets so much time pass, in small steps. */
  readonly elapse: (durationMs: number) => Promise<void>;
}

function observerOf(failures: { task: string; error: unknown }[]): EngineObserver {
  return {
    ...silentObserver,
    backgroundFailed: (task, error) => {
      failures.push({ task, error });
    },
  };
}

const LIMITS = {
  inputPayloadBytesMax: MIB,
  inlineContentBytesMax: 64 * 1024,
  blobBytesMax: 64 * MIB,
  blobGraceMs: 10_000,
  batchInputsMax: 1000,
  batchBytesMax: 4 * MIB,
  queueLimitMax: 100_000,
  attemptLimitMax: 100,
  longPollMaxMs: 60_000,
  watchBufferEventsMax: 1000,
  watchBufferBytesMax: 16 * MIB,
  runResultBytesMax: MIB,
  inFlightBytesMax: 256 * MIB,
  runtimeDefaults: RUNTIME_DEFAULTS,
};

/** Streams that count who listens to them. */
function countedStreams(streams: RuntimeStreams) {
  let listeners = 0;
  const listen: RuntimeStreams["listen"] = (stream, listener) => {
    const stop = streams.listen(stream, listener);
    listeners += 1;
    return () => {
      listeners -= 1;
      stop();
    };
  };
  return { streams: { ...streams, listen }, listeners: () => listeners };
}

function servicesOf(
  name: string,
  controlPlane: ControlPlane,
  streams: RuntimeStreams,
  { views, records }: Pick<Storage, "views" | "records">,
  clock: ManualClock,
) {
  const { engine, payloads, dispatcher, blobs } = controlPlane;
  const drainSignal = new AbortController().signal;
  const observer = { rpcFinished: () => undefined, itemFailed: () => undefined };
  const executor = makeExecutorService({
    dispatcher,
    streams,
    payloads,
    blobs,
    clock,
    nowMs: engine.time.nowMs,
    leaseTtlMs: RUNTIME_DEFAULTS.leaseTtlMs,
    batchInputsMax: BATCH_INPUTS_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    limits: LIMITS,
  });
  const runtime = makeRuntimeService({
    streams,
    blobs,
    views,
    records,
    flushViews: engine.views.flush,
    membership: engine.membership,
    replicaId: name,
    nowMs: engine.time.nowMs,
    clock,
    entropy: makeSeededEntropy(name.length + 1000),
    limits: LIMITS,
    dispatcher,
    waits: makeCompletionWaits({ streams, clock, drainSignal }),
    drainSignal,
    budget: { take: () => undefined, release: () => undefined },
    observer,
  });
  const operation = makeOperationService({
    streams,
    entropy: makeSeededEntropy(name.length + 2000),
    limits: LIMITS,
    clock,
    drainSignal,
    waits: makeOperationWaits({ streams, clock, drainSignal }),
  });
  return createRouterTransport(
    (router) => {
      router
        .service(ExecutorService, executor)
        .service(RuntimeControlPlaneService, runtime)
        .service(OperationService, operation);
    },
    { router: { interceptors: [makeCallInterceptor(observer)] } },
  );
}

/** Makes an empty world. */
export function makeWorld(): World {
  const clock = makeManualClock();
  const databaseClock = makeSteppedClock(clock);
  const operations = new Map<string, number>();
  const database = makeMemoryDatabase({
    clock: databaseClock,
    scheduler: async (operation, apply) => {
      await Promise.resolve();
      await world.holds(operation);
      if (world.loses(operation)) return "lost";
      const kind = `${operation.port}.${operation.method}`;
      operations.set(kind, (operations.get(kind) ?? 0) + 1);
      apply();
      return "answered";
    },
  });
  let replicas = 0;

  async function addReplica(name: string): Promise<Replica> {
    replicas += 1;
    const failures: { task: string; error: unknown }[] = [];
    const storage = database.connect(name);
    const controlPlane = makeControlPlane({
      storage,
      clock,
      entropy: makeSeededEntropy(replicas),
      observer: observerOf(failures),
      replicaId: name,
      address: name,
      version: "0.0.0",
      cacheBytesMax: 256 * MIB,
      answerTimeoutMs: 5000,
      blobBytesMax: 64 * MIB,
      blobGraceMs: 10_000,
      onAssigned: () => undefined,
    });
    await pass(clock, controlPlane.join());
    controlPlane.start();
    const { streams, listeners } = countedStreams(controlPlane.runtimes);
    const transport = servicesOf(name, controlPlane, streams, storage, clock);
    return {
      name,
      controlPlane,
      failures,
      executors: createClient(ExecutorService, transport),
      runtimes: createClient(RuntimeControlPlaneService, transport),
      operations: createClient(OperationService, transport),
      awaitedStreams: listeners,
    };
  }

  const world: World = {
    clock,
    databaseClock,
    database,
    operations,
    addReplica,
    loses: () => false,
    holds: () => undefined,
    pass: (promise) => pass(clock, promise),
    until: (condition) => passUntil(clock, condition),
    elapse: async (durationMs) => {
      const endMs = clock.monotonicMs() + durationMs;
      await passUntil(clock, () => clock.monotonicMs() >= endMs);
    },
  };
  return world;
}

/** The same time as another clock, but for the steps of its own wall clock. */
function makeSteppedClock(clock: ManualClock): ManualClock {
  let steppedMs = 0;
  return {
    ...clock,
    nowMs: () => clock.nowMs() + steppedMs,
    stepWall: (stepMs) => {
      steppedMs += stepMs;
    },
  };
}
