// Runs every house rule over every file, and shows for each rule that it finds what it is for.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { filesBelow } from "../../scripts/source-files.ts";
import { TIDY_RULES } from "./rules.ts";
import { BROKEN_SAMPLES, SOUND_SAMPLES } from "./samples.ts";
import type { TidyRule } from "./rules.ts";
import type { SourceFile } from "./source-file.ts";

const paths = filesBelow(".").filter((path) => !path.startsWith("gen/"));

/** Everything a rule has to say about a file, nothing when it is not about that file. */
function problemsIn(rule: TidyRule, file: SourceFile): string[] {
  if (!rule.appliesTo.test(file.path) || rule.exceptFor?.test(file.path) === true) return [];
  return rule.findIn(file).map((problem) => `${file.path}:${problem}`);
}

describe("the repository", () => {
  test.each(TIDY_RULES.map((rule) => [rule.name, rule] as const))("%s", (_name, rule) => {
    const concerned = paths.filter((path) => rule.appliesTo.test(path));
    const problems = concerned.flatMap((path) =>
      problemsIn(rule, { path, text: readFileSync(path, "utf8") }),
    );
    expect(problems).toEqual([]);
  });

  test("has files to look at", () => {
    expect(paths.filter((path) => path.startsWith("src/")).length).toBeGreaterThan(10);
  });
});

describe("the rules", () => {
  test("every rule has a sample that breaks it", () => {
    const covered = new Set(BROKEN_SAMPLES.flatMap((sample) => [...brokenBy(sample)]));
    expect(TIDY_RULES.map((rule) => rule.name).filter((name) => !covered.has(name))).toEqual([]);
  });

  test.each(BROKEN_SAMPLES.map((sample) => [sample.path, sample] as const))(
    "a sample named %s breaks exactly one rule",
    (_path, sample) => {
      expect([...brokenBy(sample)]).toHaveLength(1);
    },
  );

  test.each(SOUND_SAMPLES.map((sample) => [sample.path, sample] as const))(
    "a sound sample named %s breaks none",
    (_path, sample) => {
      expect([...brokenBy(sample)]).toEqual([]);
    },
  );
});

/** Names of the rules that a sample breaks. */
function brokenBy(sample: SourceFile): Set<string> {
  const broken = TIDY_RULES.filter((rule) => problemsIn(rule, sample).length > 0);
  return new Set(broken.map((rule) => rule.name));
}
