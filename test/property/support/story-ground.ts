// What every simulated story stands on: stepping the world, torn batches, counting, and the last
// look at journal and rows.
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { type EngineObserver, silentObserver } from "../../../src/engine/observer.ts";
import { type Storage, StorageError, type StoredCommit } from "../../../src/engine/ports.ts";
import type { Tape } from "./tape.ts";
import type { World } from "./world.ts";

/** More steps than any story needs. */
export const STEPS_MAX = 40_000;
/** How long everybody gets to hear of everything, once all trouble is over. */
export const AFTERMATH_MS = 8000;
/** Patrols come every minute, and a stepped clock may hide a dead replica for another. */
const REPAIR_MS_MAX = 200_000;

/** How a story went. */
export interface StoryEnd {
  readonly violations: readonly string[];
  /** How often what happened. */
  readonly adventures: ReadonlyMap<string, number>;
  readonly answers: number;
}

/** Steps until a promise has an outcome; false when it never comes. */
export async function stepUntil(
  world: World<unknown>,
  promise: Promise<unknown>,
  stepsMax: number,
): Promise<boolean> {
  const seen = { isSettled: false };
  const note = (): void => {
    seen.isSettled = true;
  };
  promise.then(note, note);
  for (let steps = 0; steps < stepsMax && !seen.isSettled; steps += 1) await world.step();
  return seen.isSettled;
}

/** Lets time pass. */
export async function rest(world: World<unknown>, durationMs: number): Promise<void> {
  const untilMs = world.clock.monotonicMs() + durationMs;
  while (world.clock.monotonicMs() < untilMs) await world.step();
}

/** The whole journal of some streams. */
export async function readJournal(
  world: World<unknown>,
  streams: readonly StreamName[],
): Promise<ReadonlyMap<StreamName, readonly StoredCommit[]>> {
  const storage = world.database.connect("judge");
  const journal = new Map<StreamName, readonly StoredCommit[]>();
  for (const stream of streams) {
    const reading = storage.journal.readAfter([{ stream, revision: 0 }]);
    await stepUntil(world, reading, STEPS_MAX);
    journal.set(stream, (await reading).commits);
  }
  return journal;
}

/** The rows must show the heads in the end, whoever died with rows unwritten; else which do not. */
export async function rowsBehind(
  world: World<unknown>,
  journal: ReadonlyMap<StreamName, readonly StoredCommit[]>,
): Promise<readonly StreamName[]> {
  const { views } = world.database.connect("views");
  const untilMs = world.clock.monotonicMs() + REPAIR_MS_MAX;
  for (;;) {
    const reading = views.get([...journal.keys()]);
    await stepUntil(world, reading, STEPS_MAX);
    const shown = new Map((await reading).map((row) => [row.stream, row.revision]));
    const behind = [...journal].filter(
      ([stream, commits]) => (shown.get(stream) ?? 0) !== commits.length,
    );
    if (behind.length === 0 || world.clock.monotonicMs() > untilMs) {
      return behind.map(([stream]) => stream);
    }
    await rest(world, AFTERMATH_MS);
  }
}

/** Counts what the engines went through, so that a story that was too easy shows. */
export function makeCountingObserver(count: (kind: string) => void): EngineObserver {
  return {
    ...silentObserver,
    batchRetried: () => {
      count("batch sent again");
    },
    conflict: () => {
      count("conflict");
    },
    checkpointStored: () => {
      count("checkpoint");
    },
    streamRepaired: () => {
      count("row repaired");
    },
  };
}

/**
 * A storage as a replica set is one: what its reads show is durable, but may be a moment old; only
 * probes show the very head.
 */
export function asReplicaSet(storage: Storage, tape: Tape): Storage {
  const { journal } = storage;

  /** Nothing that a crash can take back is shown. */
  async function durable<Result>(read: () => Promise<Result>): Promise<Result> {
    for (;;) {
      const lifeBefore = await journal.barrier();
      const result = await read();
      if ((await journal.barrier()) === lifeBefore) return result;
    }
  }

  return {
    ...storage,
    journal: {
      ...journal,
      readsAreDurable: true,
      probe: (points) => durable(() => journal.probe(points)),
      readAt: async (points) => {
        const found = await durable(() => journal.readAt(points));
        return tape.chance(200) ? [] : found;
      },
      readAfter: async (points) => {
        const page = await durable(() => journal.readAfter(points));
        if (!tape.chance(250)) return page;
        const newest = Math.max(0, ...page.commits.map((commit) => commit.revision));
        const missed = newest - tape.pick(3);
        return { ...page, commits: page.commits.filter((commit) => commit.revision <= missed) };
      },
    },
  };
}

/** Batches of inserts of which only the first part takes effect before the connection breaks. */
export function tearBatches(storage: Storage, tape: Tape): Storage {
  const { journal } = storage;
  return {
    ...storage,
    journal: {
      ...journal,
      append: async (commits, timeoutMs) => {
        const isTorn = commits.length > 1 && tape.chance(100);
        if (!isTorn) return await journal.append(commits, timeoutMs);
        await journal.append(commits.slice(0, tape.pick(commits.length)), timeoutMs);
        throw new StorageError("unavailable", "the connection broke within the batch");
      },
    },
  };
}
