/**
 * The freshness rule: an answer that rests on no commit of its own is given only after the head of
 * the stream was confirmed. One probe per tick serves all streams; a request joins only a probe
 * that starts after the request arrived.
 */
import type { JournalStore, StreamPoint } from "./ports.ts";

const PROBE_MAX = 500;

/** Asks whether commits exist at points, many questions in one query. */
export interface Prober {
  /** True when a commit exists at the point, as of some moment after the call. */
  readonly exists: (point: StreamPoint) => Promise<boolean>;
}

/** A question with those who wait for its answer. */
interface Question {
  readonly point: StreamPoint;
  readonly resolve: (exists: boolean) => void;
  readonly reject: (error: unknown) => void;
}

const keyOf = (point: StreamPoint): string => `${point.stream}:${point.revision}`;

/** Makes the prober of a process. */
export function makeProber(journal: JournalStore): Prober {
  let questions: Question[] = [];

  async function ask(group: readonly Question[]): Promise<void> {
    try {
      const points = new Map(group.map((question) => [keyOf(question.point), question.point]));
      const found = await journal.probe([...points.values()]);
      const existing = new Set(found.map(keyOf));
      for (const question of group) question.resolve(existing.has(keyOf(question.point)));
    } catch (error) {
      for (const question of group) question.reject(error);
    }
  }

  function flush(): void {
    const asked = questions;
    questions = [];
    for (let start = 0; start < asked.length; start += PROBE_MAX) {
      void ask(asked.slice(start, start + PROBE_MAX));
    }
  }

  return {
    exists: (point) =>
      new Promise((resolve, reject) => {
        questions.push({ point, resolve, reject });
        if (questions.length === 1) setImmediate(flush);
      }),
  };
}
