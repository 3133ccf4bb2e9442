/**
 * Lines of a run on their way to those who watch its runtime. Every event is a commit, so lines
 * travel together, at most so many per event and one event per interval; what is too much is
 * counted and left out. Progress is best effort: it never holds up the run.
 */
import type { OutputLine } from "./line-splitter.ts";

const EVENT_LINES_MAX = 50;
const LINE_CHARACTERS_MAX = 1_000;

/** Lines that are published together. */
export interface ProgressLines {
  readonly lines: readonly string[];
  /** Lines left out before these because there were too many. */
  readonly omitted: number;
}

/** The way of a run's lines. */
export interface ProgressFeed {
  readonly push: (line: OutputLine) => void;
  /** Publishes what waits, but not a last line that is the result; resolves when all is sent. */
  readonly finish: (isLastLineResult: boolean) => Promise<void>;
  /** Drops what waits. */
  readonly cancel: () => void;
}

/** What a feed works with. */
export interface ProgressFeedOptions {
  /** Shortest time between two events, in milliseconds. */
  readonly intervalMs: number;
  /** Sends one event; must not reject. */
  readonly publish: (progress: ProgressLines) => Promise<void>;
}

function shown({ text, isCut }: OutputLine): string {
  if (!isCut && text.length <= LINE_CHARACTERS_MAX) return text;
  return `${text.slice(0, LINE_CHARACTERS_MAX - 1).toWellFormed()}…`;
}

/** Makes the feed of one run. */
export function makeProgressFeed({ intervalMs, publish }: ProgressFeedOptions): ProgressFeed {
  let waiting: string[] = [];
  let omitted = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending = Promise.resolve();
  let isSending = false;
  let isOver = false;

  function send(): void {
    timer = undefined;
    if (waiting.length === 0 && omitted === 0) return;
    const progress = { lines: waiting, omitted };
    waiting = [];
    omitted = 0;
    isSending = true;
    sending = sending.then(async () => {
      await publish(progress);
      isSending = false;
      if (!isOver && waiting.length > 0) schedule();
    });
  }

  function schedule(): void {
    if (timer === undefined && !isSending) timer = setTimeout(send, intervalMs);
  }

  return {
    push: (line) => {
      if (isOver || line.text === "") return;
      waiting.push(shown(line));
      if (waiting.length > EVENT_LINES_MAX) {
        waiting.shift();
        omitted += 1;
      }
      schedule();
    },
    finish: async (isLastLineResult) => {
      isOver = true;
      clearTimeout(timer);
      if (isLastLineResult) waiting.pop();
      send();
      await sending;
    },
    cancel: () => {
      isOver = true;
      clearTimeout(timer);
      waiting = [];
    },
  };
}
