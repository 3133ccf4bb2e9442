/**
 * The way of every operation to a memory database and of its answer back. Without a scheduler the
 * way is short; with one, the scheduler stands where the network stands: it decides when an
 * operation takes effect and whether and when its answer arrives.
 */
import { StorageError } from "../../engine/ports.ts";
import type { WriteLog } from "./write-log.ts";

/** One call of a storage port, as a scheduler sees it. */
export interface MemoryOperation {
  /** Label of the connection that asked. */
  readonly connection: string;
  /** Member of `Storage`, such as `journal`; `storage` for its own methods. */
  readonly port: string;
  /** Method of the port, such as `append`. */
  readonly method: string;
  /** Counts the operations of the database, from 1. */
  readonly sequence: number;
}

/**
 * Stands between a caller and the database. It calls `apply` once to let the operation take effect
 * (synchronously, with all its reads and writes) and resolves when the caller shall go on:
 * `answered` delivers the answer; `lost` makes the call fail as `unavailable`, whether `apply` was
 * called before (a lost answer), is called later (it lands late) or never (a lost request).
 */
export type MemoryScheduler = (
  operation: MemoryOperation,
  apply: () => void,
) => Promise<"answered" | "lost">;

/** Runs operations of one connection. */
export interface MemoryGate {
  /**
   * Runs `effect` and answers what it answers, when `durable` only once it is journaled. Throws
   * what `effect` throws, or StorageError `unavailable`.
   */
  readonly run: <Answer>(
    port: string,
    method: string,
    durable: boolean,
    effect: () => Answer,
  ) => Promise<Answer>;
  readonly isClosed: () => boolean;
  /** From now on every operation is refused. */
  readonly close: () => void;
}

/** What the gates of one database share. */
export interface MemoryGateSetup {
  readonly log: WriteLog;
  readonly scheduler: MemoryScheduler | undefined;
  /** The next number of an operation. */
  readonly nextSequence: () => number;
}

type Outcome<Answer> = { readonly answer: Answer } | { readonly thrown: unknown };

/** The gate of one connection. */
export function makeMemoryGate(connection: string, setup: MemoryGateSetup): MemoryGate {
  const { log, scheduler, nextSequence } = setup;
  let closed = false;

  async function scheduled<Answer>(
    schedule: MemoryScheduler,
    operation: MemoryOperation,
    effect: () => Answer,
  ): Promise<Answer> {
    const born = log.incarnation();
    let outcome: Outcome<Answer> | undefined;
    const apply = (): void => {
      if (outcome !== undefined) throw new RangeError("an operation takes effect only once");
      if (log.incarnation() !== born) return;
      try {
        outcome = { answer: effect() };
      } catch (thrown) {
        outcome = { thrown };
      }
    };
    const fate = await schedule(operation, apply);
    if (fate === "lost" || outcome === undefined || log.incarnation() !== born) {
      throw new StorageError("unavailable", "the database did not answer");
    }
    if ("thrown" in outcome) throw outcome.thrown;
    return outcome.answer;
  }

  return {
    run: async (port, method, durable, effect) => {
      if (closed) throw new StorageError("unavailable", "the connection is closed");
      const sequence = nextSequence();
      const answer =
        scheduler === undefined
          ? effect()
          : await scheduled(scheduler, { connection, port, method, sequence }, effect);
      if (durable) await log.journaled();
      return answer;
    },
    isClosed: () => closed,
    close: () => {
      closed = true;
    },
  };
}
