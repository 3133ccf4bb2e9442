// `npm run check`: everything that can be said about the sources without running the product. The
// steps run side by side, as many as the machine has cores, the longest first; the output of a step
// is shown only when it fails. Arguments pick steps by name: `npm run check -- lint types`.
import { availableParallelism } from "node:os";
import { runCommand } from "./processes.ts";

interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const STEPS: readonly Step[] = [
  { name: "generated", command: ["node", "scripts/generate.ts", "--check"] },
  { name: "tidy", command: ["vitest", "run", "--project", "tidy", "--reporter=dot"] },
  { name: "dead-code", command: ["knip", "--no-progress"] },
  { name: "imports", command: ["node", "scripts/check-imports.ts"] },
  { name: "lint", command: ["oxlint", "--deny-warnings"] },
  { name: "types", command: ["tsc", "--project", "tsconfig.json"] },
  { name: "proto-breaking", command: ["node", "scripts/check-breaking.ts"] },
  { name: "proto-lint", command: ["buf", "lint"] },
  { name: "format", command: ["biome", "format", "."] },
];

/** Runs one step and prints its verdict; answers whether it passed. */
async function runStep(step: Step): Promise<boolean> {
  const [command, ...words] = step.command;
  const result = await runCommand(command, words);
  const passed = result.exitCode === 0;
  const seconds = (result.durationMs / 1000).toFixed(1).padStart(5);
  console.log(`${passed ? "ok    " : "FAILED"} ${seconds} s  ${step.name}`);
  if (!passed) console.log(`\n$ ${step.command.join(" ")}\n${result.output.trimEnd()}\n`);
  return passed;
}

/** Takes steps from the queue until none is left; answers the names of those that failed. */
async function work(queue: Step[]): Promise<string[]> {
  const failed: string[] = [];
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    if (!(await runStep(step))) failed.push(step.name);
  }
  return failed;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  const known = STEPS.map((step) => step.name).join(", ");
  console.error(`no such step: ${unknown.join(", ")}; the steps are ${known}`);
  process.exit(2);
}

process.env["NO_COLOR"] = "1";
const startedAtMs = performance.now();
const queue = STEPS.filter((step) => wanted.length === 0 || wanted.includes(step.name));
const workers = Array.from({ length: availableParallelism() }, () => work(queue));
const failed = (await Promise.all(workers)).flat();
const totalSeconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
console.log(
  failed.length === 0 ? "all passed" : `failed: ${failed.join(", ")}`,
  `(${totalSeconds} s)`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
