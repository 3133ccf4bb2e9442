/**
 * Reading the journal so that what was read cannot vanish. On a standalone server a commit of
 * another replica is visible before it is journaled and a crash can take it back; so a barrier
 * write follows the read, and the token of the database's life must be the same before and after.
 */
import type { CommitPage, JournalStore, StreamPoint } from "./ports.ts";

/** Reads of commits that are durable when the promise resolves. */
export interface DurableReads {
  readonly readAfter: (points: readonly StreamPoint[]) => Promise<CommitPage>;
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

  async function readAfter(points: readonly StreamPoint[]): Promise<CommitPage> {
    if (journal.readsAreDurable) return await journal.readAfter(points);
    for (;;) {
      life ??= await barrier();
      const lifeBefore = life;
      const page = await journal.readAfter(points);
      if (page.commits.length === 0) return page;
      const lifeAfter = await barrier();
      if (lifeAfter === lifeBefore) return page;
      life = lifeAfter;
    }
  }

  return { readAfter };
}
