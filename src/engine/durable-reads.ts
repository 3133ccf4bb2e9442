/**
 * Reading the journal so that what was read cannot vanish. On a standalone server a commit of
 * another replica is visible before it is journaled and a crash can take it back; so a barrier
 * write follows the read, and the token of the database's life must be the same before and after.
 */
import type { Revision } from "../core/shared/ids.ts";
import type { CommitPage, JournalStore, StoredCommit, StreamPoint } from "./ports.ts";

/** A range scan that runs while commits land may miss one it has passed: look again. */
export const HOLE_READS_MAX = 3;

/** Reads of commits that are durable when the promise resolves. */
export interface DurableReads {
  readonly readAfter: (points: readonly StreamPoint[]) => Promise<CommitPage>;
  /**
   * Commits after one point without a gap; one that stays when read again is answered as it is. Up
   * to `durableTo` they are known to be durable: when there are no others, no barrier is needed.
   */
  readonly readTail: (point: StreamPoint, durableTo?: Revision) => Promise<CommitPage>;
  /** The commit at a point; `undefined` when there is none. */
  readonly readAt: (point: StreamPoint) => Promise<StoredCommit | undefined>;
}

/** Shares a running piece of work among callers that came before it started. */
export function makeCoalesced<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let running: Promise<Result> | null = null;
  let next: Promise<Result> | null = null;
  function start(): Promise<Result> {
    const started = work();
    running = started;
    next = null;
    const clear = (): void => {
      if (running === started && next === null) running = null;
    };
    started.then(clear, clear);
    return started;
  }
  return () => {
    if (running === null) return start();
    next ??= running.then(start, start);
    return next;
  };
}

/** Makes the durable reads of a process; one barrier serves all reads that wait for it. */
export function makeDurableReads(journal: JournalStore): DurableReads {
  const barrier = makeCoalesced(() => journal.barrier());
  let life: string | null = null;

  /** What `read` shows may vanish while `isSafe` is false. */
  async function durably<Result>(
    read: () => Promise<Result>,
    isSafe: (result: Result) => boolean,
  ): Promise<Result> {
    if (journal.readsAreDurable) return await read();
    for (;;) {
      life ??= await barrier();
      const lifeBefore = life;
      const result = await read();
      if (isSafe(result)) return result;
      const lifeAfter = await barrier();
      if (lifeAfter === lifeBefore) return result;
      life = lifeAfter;
    }
  }

  const readAfter = (points: readonly StreamPoint[], durableTo: Revision): Promise<CommitPage> =>
    durably(
      () => journal.readAfter(points),
      (page) => page.commits.every((commit) => commit.revision <= durableTo),
    );

  return {
    readAfter: (points) => readAfter(points, 0),
    readTail: async (point, durableTo = 0) => {
      for (let reread = 0; ; reread += 1) {
        const page = await readAfter([point], durableTo);
        const { commits } = page;
        const gap = commits.findIndex((it, index) => it.revision !== point.revision + 1 + index);
        if (gap < 0 || reread >= HOLE_READS_MAX) return page;
        if (gap > 0) return { commits: commits.slice(0, gap), complete: false };
      }
    },
    readAt: async (point) => {
      const found = await durably(
        () => journal.readAt([point]),
        (commits) => commits.length === 0,
      );
      return found[0];
    },
  };
}
