// Judges the events of one process: what was acknowledged is there once, as it was sent and in
// order; the sequence has no gap; it ended once, and whoever waited was told so.
import {
  type FinalProcess,
  type FinalProcessEvent,
  type ProcessEntry,
  processEntriesOf,
  type ProcessEntryOf,
} from "./process-history.ts";
import type { ProcessBlame } from "./process-violation.ts";
import { grouped } from "./violation.ts";

function judgeSequences({ processId, events, lastSequence }: FinalProcess, blame: ProcessBlame) {
  let before = { sequence: 0, revision: 0 };
  const keys = new Set<string>();
  for (const { sequence, revision, key } of events) {
    if (sequence !== before.sequence + 1) {
      blame("sequence_gap", processId, `${sequence} after ${before.sequence}`);
    }
    if (revision < before.revision) {
      blame("event_out_of_order", processId, `event ${sequence} is of an earlier commit`);
    }
    if (key !== "" && keys.has(key)) blame("event_doubled", processId, `key ${key}`);
    keys.add(key);
    before = { sequence, revision };
  }
  if (before.sequence !== lastSequence) {
    blame("sequence_gap", processId, `the last is ${before.sequence}, told ${lastSequence}`);
  }
}

function judgeEnd({ processId, state, end, events }: FinalProcess, blame: ProcessBlame): void {
  const ends = events.filter(({ terminalState }) => terminalState !== "");
  const [first] = ends;
  if (first === undefined || end === undefined) {
    blame("process_not_finished", processId, state);
    return;
  }
  const told = `${state}, ${end.state} by event ${end.sequence}`;
  const isOne = ends.length === 1 && first.sequence === end.sequence;
  if (!isOne || first.terminalState !== state || end.state !== state) {
    const found = ends.map(({ sequence, terminalState }) => `${terminalState} by ${sequence}`);
    blame("ended_twice", processId, `${told}; the events say ${found.join(" and ")}`);
  }
}

function judgeAppend(
  append: ProcessEntryOf<"appended">,
  event: FinalProcessEvent | undefined,
  blame: ProcessBlame,
): void {
  const { processId, key, sequence, content, revision } = append;
  const name = `key ${key} as event ${sequence}`;
  if (event?.key !== key || event.revision !== revision) {
    blame("event_lost", processId, `${name}: ${JSON.stringify(event)}`);
  } else if (event.content !== content) {
    blame("event_altered", processId, `${name}: ${event.content} instead of ${content}`);
  }
}

/** What one writer was told to be new came one after the other, and each key once. */
function judgeWriters(appends: readonly ProcessEntryOf<"appended">[], blame: ProcessBlame): void {
  const news = appends.filter(({ replayed }) => !replayed);
  for (const [writer, written] of grouped(news, (append) => append.writer)) {
    let last = 0;
    for (const { processId, sequence } of written) {
      const order = `${writer}: event ${sequence} after ${last}`;
      if (sequence <= last) blame("event_out_of_order", processId, order);
      last = sequence;
    }
  }
  for (const [key, written] of grouped(news, (append) => append.key)) {
    const [first, ...others] = written;
    if (first === undefined || others.length === 0) continue;
    blame("event_doubled", first.processId, `key ${key} was new ${written.length} times`);
  }
}

/** Judges the log of one process and what was told of it. */
export function judgeLog(
  entries: readonly ProcessEntry[],
  process: FinalProcess,
  blame: ProcessBlame,
): void {
  judgeSequences(process, blame);
  judgeEnd(process, blame);
  const { processId, end } = process;
  const bySequence = new Map(process.events.map((event) => [event.sequence, event]));
  const appends = processEntriesOf(entries, "appended");
  for (const append of appends) judgeAppend(append, bySequence.get(append.sequence), blame);
  judgeWriters(appends, blame);
  for (const { state, output, sequence } of processEntriesOf(entries, "awaited")) {
    const isRight = end?.state === state && end.output === output && end.sequence === sequence;
    if (isRight) continue;
    const told = JSON.stringify({ state, output, sequence });
    blame("wrong_await", processId, `told ${told}, is ${JSON.stringify(end)}`);
  }
}
