// Checks the import rules of .dependency-cruiser.mjs and that the tool really looked at every
// source file: a parser that silently finds nothing must not pass for a clean result.
import { existsSync } from "node:fs";
import { z } from "zod";
import { runCommand } from "./processes.ts";
import { TYPESCRIPT_FOLDERS, typescriptFiles } from "./source-files.ts";

const cruiseReport = z.object({
  summary: z.object({
    violations: z.array(
      z.object({
        from: z.string(),
        to: z.string(),
        rule: z.object({ name: z.string() }),
        comment: z.string().optional(),
      }),
    ),
  }),
  modules: z.array(z.object({ source: z.string(), dependencies: z.array(z.unknown()) })),
});

const folders = TYPESCRIPT_FOLDERS.filter((folder) => existsSync(folder));
const words = ["--config", ".dependency-cruiser.mjs", "--output-type", "json", ...folders];
const result = await runCommand("depcruise", words);
const jsonStart = result.output.indexOf("{");
if (jsonStart < 0) throw new Error(`depcruise gave no report:\n${result.output}`);
const report = cruiseReport.parse(JSON.parse(result.output.slice(jsonStart)));

const cruised = new Set(report.modules.map((module) => module.source));
const missed = typescriptFiles().filter((path) => !cruised.has(path));
const edges = report.modules.reduce((total, module) => total + module.dependencies.length, 0);

for (const violation of report.summary.violations) {
  const why = violation.comment === undefined ? "" : ` (${violation.comment})`;
  console.error(`${violation.rule.name}: ${violation.from} -> ${violation.to}${why}`);
}
for (const path of missed) console.error(`not looked at: ${path}`);
if (edges === 0) console.error("no import was found at all: the parser does not work");
console.log(`${cruised.size} modules, ${edges} imports`);
const isClean = report.summary.violations.length === 0 && missed.length === 0 && edges > 0;
process.exitCode = isClean ? 0 : 1;
