/**
 * What is written but perhaps not journaled yet. A durable database fsyncs its log a moment after a
 * write became visible; this file models exactly that window: a write can be seen at once, its
 * durability comes with the next flush, and a crash takes back everything after the last flush, in
 * order, over all collections.
 */
import { StorageError } from "../../engine/ports.ts";

/**
 * When writes become durable: `immediate` with the write itself, `manual` only when `flush` is
 * called or a barrier is asked for.
 */
export type Journaling = "immediate" | "manual";

/** The one log of a memory database. */
export interface WriteLog {
  /** Notes how to take back a write that was just made. */
  readonly wrote: (undo: Undo) => void;
  /** Resolves when all writes so far are journaled; throws `unavailable` if a crash came first. */
  readonly journaled: () => Promise<void>;
  /** Journals everything written so far. */
  readonly flush: () => void;
  /** Takes back what is not journaled and fails whoever waits for it. */
  readonly crash: () => void;
  /** How many writes a crash would take back now. */
  readonly unjournaledCount: () => number;
  /** Counts crashes; a request born before a crash never takes effect after it. */
  readonly incarnation: () => number;
}

/** Takes one write back. */
type Undo = () => void;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

/** An empty log. */
export function makeWriteLog(journaling: Journaling): WriteLog {
  let undos: Undo[] = [];
  let waiters: Waiter[] = [];
  let incarnation = 0;

  return {
    wrote: (undo) => {
      if (journaling === "manual") undos.push(undo);
    },
    journaled: () => {
      if (undos.length === 0) return Promise.resolve();
      return new Promise((resolve, reject) => waiters.push({ resolve, reject }));
    },
    flush: () => {
      const served = waiters;
      undos = [];
      waiters = [];
      for (const waiter of served) waiter.resolve();
    },
    crash: () => {
      const failed = waiters;
      for (const undo of undos.toReversed()) undo();
      undos = [];
      waiters = [];
      incarnation += 1;
      for (const waiter of failed) {
        waiter.reject(new StorageError("unavailable", "the database crashed before journaling"));
      }
    },
    unjournaledCount: () => undos.length,
    incarnation: () => incarnation,
  };
}
