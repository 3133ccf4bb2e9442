/**
 * Composes the inside of a server over an open storage: the engine, the streams of every aggregate,
 * the dispatcher, the flows between streams and the timers. Knows nothing of ports, protocols and
 * configuration files.
 */
import { grantsAggregate } from "../core/grants/aggregate.ts";
import { processAggregate } from "../core/process/aggregate.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import { BATCH_BYTES_MAX, BATCH_INPUTS_MAX } from "../core/runtime/batch.ts";
import { ACKNOWLEDGE_TIMEOUT_MS } from "../core/runtime/summarize.ts";
import { type Dispatcher, makeDispatcher } from "../dispatch/dispatcher.ts";
import { makeDueTimers } from "../dispatch/due-timers.ts";
import { makeLeaseSweeper } from "../dispatch/lease-sweeper.ts";
import { makePayloads, type Payloads } from "../dispatch/payloads.ts";
import { makeProcessLeases, type ProcessLeases } from "../dispatch/process-leases.ts";
import { makeProcessQueue } from "../dispatch/process-queue.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { type Blobs, makeBlobs } from "../engine/blobs.ts";
import { type Engine, makeEngine } from "../engine/engine.ts";
import type { EngineOptions } from "../engine/engine-parts.ts";
import { HEARTBEAT_MS } from "../engine/membership.ts";
import type { Clock } from "../engine/ports.ts";
import type { GrantsStreams } from "../flows/flow-streams.ts";
import { type Flows, makeFlows } from "../flows/flows.ts";
import { CALL_STEPS_CLASS } from "../rpc/recorded-steps.ts";

/** What a control plane is made of. */
export interface ControlPlaneOptions extends EngineOptions {
  /** Told how long a runtime with an executor at hand was runnable before its run was assigned. */
  readonly onAssigned: (waitedMs: number) => void;
  readonly blobBytesMax: number;
  /** How long a blob is kept that nothing refers to. */
  readonly blobGraceMs: number;
}

/** The inside of a server. */
export interface ControlPlane {
  readonly engine: Engine;
  readonly runtimes: RuntimeStreams;
  readonly processes: ProcessStreams;
  readonly grants: GrantsStreams;
  readonly flows: Flows;
  readonly processLeases: ProcessLeases;
  readonly payloads: Payloads;
  readonly dispatcher: Dispatcher;
  readonly blobs: Blobs;
  /** Joins the other replicas; StorageError `unavailable` can be tried again. */
  readonly join: () => Promise<void>;
  /** Starts to hand out work; call once, after `join`. */
  readonly start: () => void;
  /** Takes no new work: ends the sessions of executors; their leases stay. */
  readonly retreat: () => void;
  /** Finishes what is in flight and leaves the other replicas. */
  readonly stop: () => Promise<void>;
}

/** Every record class of every aggregate, and of calls over many streams. */
export const RECORD_CLASSES: readonly string[] = [
  ...runtimeAggregate.recordClasses,
  ...processAggregate.recordClasses,
  ...grantsAggregate.recordClasses,
  CALL_STEPS_CLASS,
];

async function join(engine: Engine, clock: Clock): Promise<void> {
  await engine.start();
  // The others write signals only once they have seen this replica.
  if (engine.membership.hasOthers()) {
    await new Promise<void>((resolve) => clock.after(HEARTBEAT_MS, resolve));
  }
}

/** Makes the inside of a server. */
export function makeControlPlane(options: ControlPlaneOptions): ControlPlane {
  const { storage, clock, observer } = options;
  const { views, leases } = storage;
  const engine = makeEngine(options);
  const blobs = makeBlobs({ ...options, store: storage.blobs });
  const payloads = makePayloads(storage.journal, runtimeAggregate.eventFromJson);
  const runtimes = engine.streamsOf(runtimeAggregate, (stream, commit, standings) => {
    timers.set(stream, standings.after.dueAt);
    dispatcher.advanced(stream, commit, standings);
  });
  const processes = engine.streamsOf(processAggregate, (stream, commit, standings) => {
    timers.set(stream, standings.after.dueAt);
    processQueue.advanced(stream, commit);
    processLeases.advanced(stream, commit);
    flows.processAdvanced(stream, commit);
  });
  const processQueue = makeProcessQueue({ ...options, engine, streams: processes, views });
  const processLeases = makeProcessLeases({
    ...options,
    engine,
    leases,
    streams: processes,
    queue: processQueue,
  });
  const grants = engine.streamsOf(grantsAggregate, (stream, commit, standings) => {
    timers.set(stream, standings.after.dueAt);
    flows.grantsAdvanced(stream, commit);
  });
  const dispatcher = makeDispatcher({
    ...options,
    engine,
    streams: runtimes,
    payloads,
    summarize: runtimeAggregate.summarize,
    batchInputsMax: BATCH_INPUTS_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    acknowledgeTimeoutMs: ACKNOWLEDGE_TIMEOUT_MS,
    openTaskControls: (runtime) => flows.openTaskControls(runtime),
  });
  const { nowMs } = engine.time;
  const { membership } = engine;
  const flows = makeFlows({ ...options, membership, grants, processes, runtimes, nowMs });
  const { steadyForMs } = membership;
  const timers = makeDueTimers({
    views,
    clock,
    time: engine.time,
    observer,
    steadyForMs,
    kinds: new Map([
      [runtimeAggregate.kind, { graceMs: ACKNOWLEDGE_TIMEOUT_MS, tick: dispatcher.tick }],
      ...flows.timedKinds,
    ]),
  });
  const sweeper = makeLeaseSweeper({
    leases,
    views,
    clock,
    observer,
    databaseTime: storage.databaseTime,
    nowMs,
    steadyForMs,
    onLapsed: dispatcher.endSession,
    lapse: async (holder, row) => {
      const teller = row.kind === processAggregate.kind ? processLeases : dispatcher;
      await teller.lapse(holder, row);
    },
  });

  return {
    engine,
    runtimes,
    processes,
    grants,
    flows,
    processLeases,
    payloads,
    dispatcher,
    blobs,
    join: () => join(engine, clock),
    start: () => {
      timers.start();
      blobs.start();
      sweeper.start();
      dispatcher.start();
    },
    retreat: () => {
      timers.stop();
      blobs.stop();
      flows.stop();
      sweeper.stop();
      dispatcher.stop();
    },
    stop: engine.stop,
  };
}
