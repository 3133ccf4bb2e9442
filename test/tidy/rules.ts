// The house rules that a text search can decide. Each looks at one file and answers a line for
// every place that breaks it. What needs types or the module graph is left to the other checks.
import { longFunctions } from "./function-length.ts";
import type { SourceFile } from "./source-file.ts";

/** One house rule. */
export interface TidyRule {
  /** The rule as a sentence; the name of its test. */
  readonly name: string;
  /** Which files it is about. */
  readonly appliesTo: RegExp;
  /** Files it is not about although they look like it. */
  readonly exceptFor?: RegExp;
  /** Places that break it, as `line: what`. */
  readonly findIn: (file: SourceFile) => readonly string[];
}

const LINE_LENGTH_MAX = 100;
const FILE_LINES_MAX = 500;
const TYPESCRIPT = /^(src|test|bench|examples|scripts)\/.*\.ts$|^[a-z.]+\.ts$/;
const SOURCES = /^src\/.*\.ts$/;
const PRODUCT = /^src\/.*(?<!\.test)\.ts$/;
const ANY_TEXT = /\.(ts|js|mjs|json|jsonc|md|proto|yaml|yml|py|sh|toml)$|Dockerfile$|^\.ci\//;
const MARKDOWN = /\.md$/;
const SKIP = /\b(test|it|describe|suite|context|task)\.(skip|skipIf|runIf|todo)\b/;
const GENERATED = /^gen\/|^docs\/generated\/|^package-lock\.json$/;
const THIS_SUITE = /^test\/tidy\//;

/** Lines that match a pattern, numbered from 1. */
function matchingLines(text: string, pattern: RegExp): string[] {
  return text
    .split("\n")
    .flatMap((line, index) => (pattern.test(line) ? [`${index + 1}: ${line.trim()}`] : []));
}

/** The code of a file with comments and the insides of strings blanked out, line for line. */
function codeOnly(text: string): string {
  const blank = (found: string): string => found.replaceAll(/[^\n]/g, " ");
  return text.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g,
    blank,
  );
}

/** A rule that forbids a pattern in the code of a file; comments and strings do not count. */
function forbiddenInCode(name: string, pattern: RegExp, exceptFor?: RegExp): TidyRule {
  return {
    name,
    appliesTo: TYPESCRIPT,
    exceptFor: exceptFor ?? THIS_SUITE,
    findIn: (file) => matchingLines(codeOnly(file.text), pattern),
  };
}

/** Lines that are longer than they may be; tables, links and data that cannot wrap are let pass. */
function longLines(file: SourceFile): string[] {
  return file.text.split("\n").flatMap((line, index) => {
    const cannotWrap =
      /https?:\/\/\S+/.test(line) ||
      (MARKDOWN.test(file.path) && /^\s*\|/.test(line)) ||
      (file.path.endsWith(".proto") && /^\s*rpc /.test(line));
    const isLong = line.length > LINE_LENGTH_MAX && !cannotWrap;
    return isLong ? [`${index + 1}: ${line.length} columns`] : [];
  });
}

/** Exported declarations without a doc comment right above them. */
function undocumentedExports(file: SourceFile): string[] {
  const lines = file.text.split("\n");
  const isExport =
    /^export (declare |abstract |async )*(const|let|function\*?|type|interface|class) /;
  const documented = new Set<string>();
  return lines.flatMap((line, index) => {
    if (!isExport.test(line)) return [];
    const symbol = line.replace(isExport, "").split(/[^\w$]/)[0] ?? "";
    const isDocumented = /\*\/\s*$/.test(lines[index - 1] ?? "") || documented.has(symbol);
    if (isDocumented) documented.add(symbol);
    return isDocumented ? [] : [`${index + 1}: ${line.trim()}`];
  });
}

/** Skipped cases whose line, or the one above, does not say why in a comment or a text. */
function unexplainedSkips(file: SourceFile): string[] {
  const lines = file.text.split("\n");
  return lines.flatMap((line, index) => {
    if (!SKIP.test(line)) return [];
    const isExplained =
      /\/\/.*\S/.test(lines[index - 1] ?? "") || /\b(context|task)\.skip\(["'`]/.test(line);
    return isExplained ? [] : [`${index + 1}: ${line.trim()}`];
  });
}

/** Top headings of a markdown file outside of code blocks; there must be exactly one. */
function topHeadings(file: SourceFile): string[] {
  const prose = file.text.replaceAll(/^```[\s\S]*?^```/gm, "");
  const count = matchingLines(prose, /^# /).length;
  return count === 1 ? [] : [`1: ${count} top headings`];
}

/** Folder or file names of a path that are not written in kebab-case. */
function oddNames(file: SourceFile): string[] {
  const isKebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/;
  const odd = file.path.split("/").filter((name) => !isKebab.test(name));
  return odd.map((name) => `1: ${name}`);
}

/** The house rules. */
export const TIDY_RULES: readonly TidyRule[] = [
  {
    name: `lines have at most ${LINE_LENGTH_MAX} columns`,
    appliesTo: ANY_TEXT,
    exceptFor: GENERATED,
    findIn: longLines,
  },
  {
    name: `files have at most ${FILE_LINES_MAX} lines`,
    appliesTo: TYPESCRIPT,
    findIn: ({ text }) => {
      const count = text.trimEnd().split("\n").length;
      return count > FILE_LINES_MAX ? [`1: ${count} lines`] : [];
    },
  },
  {
    name: "functions have at most 70 lines of their own",
    appliesTo: TYPESCRIPT,
    exceptFor: /\.test\.ts$/,
    findIn: longFunctions,
  },
  {
    name: "TypeScript files and folders have kebab-case names",
    appliesTo: TYPESCRIPT,
    findIn: oddNames,
  },
  {
    name: "there are no barrels",
    appliesTo: /(^|\/)index\.ts$/,
    findIn: () => ["1: a barrel hides where things live"],
  },
  {
    name: "nothing is left to be done later",
    appliesTo: ANY_TEXT,
    exceptFor: new RegExp(`${GENERATED.source}|${THIS_SUITE.source}|^CONTRIBUTING\\.md$`),
    findIn: ({ text }) => matchingLines(text, /\b(TODO|FIXME|XXX|HACK)\b/),
  },
  {
    name: "files say at their top what they own",
    appliesTo: PRODUCT,
    findIn: ({ text }) =>
      /^(#![^\n]*\n)?(\/\/ |\/\*\*)/.test(text) ? [] : ["1: no header comment"],
  },
  {
    name: "exported symbols have a doc sentence",
    appliesTo: PRODUCT,
    findIn: undocumentedExports,
  },
  forbiddenInCode(
    "there are no default exports",
    /^\s*export default\b|\bexport \{[^}]*\bas default\b/,
    /^(test\/tidy\/|vitest\.config\.ts$)/,
  ),
  forbiddenInCode(
    "there are no enums and no namespaces",
    /^\s*(export )?(declare )?(const )?(enum|namespace) \w/,
  ),
  forbiddenInCode(
    "classes and types are not called manager, helper, util, data or info",
    /\b(class|interface|type) \w*(Manager|Helper|Util|Utils|Data|Info)\b(?!,)/,
  ),
  forbiddenInCode(
    "names are not abbreviated",
    /(?<![.\w$])((ctx|cfg|req|msg|opts|cb|evt|idx|mgr)\b(?!-)|\w+(Ctx|Cfg|Msg|Opts|Evt|Idx)\b)/,
  ),
  {
    name: "only config reads the environment",
    appliesTo: SOURCES,
    exceptFor: /^src\/config\//,
    findIn: ({ text }) => matchingLines(codeOnly(text), /\bprocess\s*\.\s*env\b/),
  },
  {
    name: "only the MongoDB adapter knows the driver",
    appliesTo: SOURCES,
    exceptFor: /^src\/storage\/mongo\//,
    findIn: ({ text }) => matchingLines(text, /(from|import)\s*\(?\s*["'](mongodb|bson)["'/]/),
  },
  {
    name: "sources name no .ts file by path, which the build would not rewrite",
    appliesTo: PRODUCT,
    findIn: ({ text }) => matchingLines(text, /new URL\(\s*["'`][^"'`]*\.ts["'`]/),
  },
  {
    name: "tests use no mocks",
    appliesTo: /\.test\.ts$|^test\//,
    exceptFor: THIS_SUITE,
    findIn: ({ text }) =>
      matchingLines(
        codeOnly(text),
        /\bvi\.(mock|doMock|fn|spyOn|stubGlobal|stubEnv|useFakeTimers)\b/,
      ),
  },
  {
    name: "tests wait for conditions and do not sleep",
    appliesTo: /\.test\.ts$/,
    exceptFor: THIS_SUITE,
    findIn: ({ text }) => matchingLines(codeOnly(text), /\b(setTimeout|sleep|delay)\(/),
  },
  {
    name: "skipped tests say why, and none is focused",
    appliesTo: /\.test\.ts$|^test\/.*\.ts$/,
    exceptFor: THIS_SUITE,
    findIn: (file) => [
      ...unexplainedSkips(file),
      ...matchingLines(codeOnly(file.text), /\b(test|it|describe|suite)\.only\b/),
    ],
  },
  { name: "markdown files have one top heading", appliesTo: MARKDOWN, findIn: topHeadings },
  {
    name: "no file names a place on somebody's machine or a package registry",
    appliesTo: ANY_TEXT,
    exceptFor: THIS_SUITE,
    findIn: ({ text }) =>
      matchingLines(
        text,
        /(?<![\w.~-])\/(work|root|home|Users)\/|registry\.(npmjs|yarnpkg)\.|"resolved":/,
      ),
  },
  {
    name: "versions of packages are exact",
    appliesTo: /^package\.json$/,
    findIn: ({ text }) => matchingLines(text, /^ {4}"(?!node": ">=)[@\w/.-]+": "[~^*<>]/),
  },
];
