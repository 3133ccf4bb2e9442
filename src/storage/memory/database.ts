/**
 * A whole storage in memory. It serves `keelson dev --in-memory`, and it is the ground on which the
 * engine is simulated: several connections share one database, the clock is the caller's, the
 * journaling can be held back and a scheduler can stand between the engine and every effect.
 * Nothing here is durable beyond the process, and it says so in its facts.
 */
import type { Clock, Storage } from "../../engine/ports.ts";
import { makeBlobTable, makeMemoryBlobs } from "./blobs.ts";
import { makeCheckpointTable, makeMemoryCheckpoints } from "./checkpoints.ts";
import { makeMemoryGate, type MemoryScheduler } from "./gate.ts";
import { makeJournalTable, makeMemoryJournal } from "./journal.ts";
import { makeLeaseTable, makeMemoryLeases } from "./leases.ts";
import { makeMemoryRecords, makeRecordTable } from "./records.ts";
import { makeMemoryReplicas, makeReplicaTable } from "./replicas.ts";
import { makeMemorySignals, makeSignalHub } from "./signals.ts";
import { makeMemoryViews, makeViewTable } from "./views.ts";
import { type Journaling, makeWriteLog } from "./write-log.ts";

/** How a memory database behaves. */
export interface MemoryDatabaseOptions {
  /** The database's own time, also for the timeouts of appends. */
  readonly clock: Clock;
  /** `immediate` unless told otherwise; `manual` leaves writes visible but not durable. */
  readonly journaling?: Journaling;
  /** Decides when operations take effect and what becomes of their answers. */
  readonly scheduler?: MemoryScheduler;
}

/** One database with any number of connections. */
export interface MemoryDatabase {
  /** A storage as one replica has it; the label is what a scheduler tells replicas apart by. */
  readonly connect: (label?: string) => Storage;
  /** Makes everything written so far durable. */
  readonly flush: () => void;
  /**
   * Kill and restart: what is not journaled is gone, operations under way fail as `unavailable`,
   * and every subscriber of signals is told of a gap.
   */
  readonly crash: () => void;
  /** How many writes a crash would take back now. */
  readonly unjournaledCount: () => number;
}

/** An empty database. */
export function makeMemoryDatabase(options: MemoryDatabaseOptions): MemoryDatabase {
  const { clock, journaling = "immediate", scheduler } = options;
  const log = makeWriteLog(journaling);
  const journal = makeJournalTable(log);
  const records = makeRecordTable(log);
  const checkpoints = makeCheckpointTable(log);
  const views = makeViewTable(log);
  const leases = makeLeaseTable(log, clock);
  const replicas = makeReplicaTable(log, clock);
  const signals = makeSignalHub();
  const blobs = makeBlobTable(log, clock);
  let operations = 0;
  let connections = 0;
  const setup = {
    log,
    scheduler,
    nextSequence: () => {
      operations += 1;
      return operations;
    },
  };

  function connect(label?: string): Storage {
    connections += 1;
    const gate = makeMemoryGate(label ?? `connection-${connections}`, setup);
    return {
      journal: makeMemoryJournal(journal, gate, log, clock),
      records: makeMemoryRecords(records, gate),
      checkpoints: makeMemoryCheckpoints(checkpoints, gate),
      views: makeMemoryViews(views, gate),
      leases: makeMemoryLeases(leases, gate),
      replicas: makeMemoryReplicas(replicas, gate),
      signals: makeMemorySignals(signals, gate),
      blobs: makeMemoryBlobs(blobs, gate),
      facts: { topology: "memory", version: "1", durabilityTier: "ephemeral" },
      databaseTime: () => gate.run("storage", "databaseTime", false, clock.nowMs),
      close: async () => {
        gate.close();
      },
    };
  }

  return {
    connect,
    flush: log.flush,
    crash: () => {
      log.crash();
      signals.breakOff();
    },
    unjournaledCount: log.unjournaledCount,
  };
}

/** A storage of its own in memory, for one server without a database. */
export function makeMemoryStorage(options: { readonly clock: Clock }): Storage {
  return makeMemoryDatabase(options).connect();
}
