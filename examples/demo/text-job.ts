/**
 * The command that a worker runs: reads a run as JSON from stdin, does what each text asks for, and
 * prints the result as its last line. A text that says `explode` fails, every time.
 */
import { text as readAll } from "node:stream/consumers";

/** The part of a run that this job needs. */
interface RunAssignment {
  readonly primitive?: {
    readonly appends?: readonly { readonly content?: { readonly text?: string } }[];
  };
}

const wordsOf = (text: string): readonly string[] => text.toLowerCase().match(/[a-z']+/g) ?? [];

function histogramOf(text: string): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries([...counts].toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

const OPERATIONS: Readonly<Record<string, (text: string) => unknown>> = {
  "count-words": (text) => wordsOf(text).length,
  "longest-word": (text) => wordsOf(text).reduce((a, b) => (b.length > a.length ? b : a), ""),
  "reverse-words": (text) => text.split(" ").toReversed().join(" "),
  "title-case": (text) => text.replace(/\b[a-z]/g, (letter) => letter.toUpperCase()),
  histogram: histogramOf,
  explode: () => {
    throw new Error("this job is poisonous");
  },
};

/** Does one job of the form `operation: text`; notes of events carry a prefix in brackets. */
function perform(content: string): unknown {
  const [, operation = "", text = ""] = /^(?:\[[^\]]*\]\s*)?([a-z-]+): (.*)$/s.exec(content) ?? [];
  const work = OPERATIONS[operation];
  if (!work) throw new Error(`no such operation: ${operation}`);
  return { operation, answer: work(text) };
}

const run = JSON.parse(await readAll(process.stdin)) as RunAssignment;
const contents = (run.primitive?.appends ?? []).flatMap((append) => append.content?.text ?? []);
process.stdout.write(`${JSON.stringify({ results: contents.map(perform) })}\n`);
