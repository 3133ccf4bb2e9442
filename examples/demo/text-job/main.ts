// The command of the demo's workers. It gets a run as JSON on stdin, does what the texts of its
// inputs ask for, and leaves the results, one per input, as its last line. A text that cannot be
// processed ends it with exit code 1, so that the run is tried again until no attempt is left.
import { text } from "node:stream/consumers";
import { jobOf, perform } from "./tasks.ts";

interface Append {
  readonly content?: { readonly text?: string };
}

/** The part of a run that this command looks at. */
interface Run {
  readonly runId: string;
  readonly primitive?: { readonly appends?: readonly Append[] };
}

function isRun(value: unknown): value is Run {
  return typeof value === "object" && value !== null && "runId" in value;
}

const run: unknown = JSON.parse(await text(process.stdin));
if (!isRun(run)) throw new Error("stdin has no run");
const appends = run.primitive?.appends ?? [];
const results = appends.map(({ content }) => perform(jobOf(content?.text ?? "")));
process.stdout.write(`${JSON.stringify({ results })}\n`);
