// Small files that break exactly one house rule each, and sound ones that look suspicious.
import type { SourceFile } from "./source-file.ts";

const HEADER = "// Owns a sample.\n";

/** A source file with a header, so that only its body can be at fault. */
function source(path: string, body: string): SourceFile {
  return { path, text: `${HEADER}${body}\n` };
}

/** Each breaks one rule and no other. */
export const BROKEN_SAMPLES: readonly SourceFile[] = [
  source("src/long-line.ts", `const text = "${"x".repeat(100)}";`),
  source("src/long-file.ts", "\n".repeat(501) + "const last = 1;"),
  source("src/long-function.ts", `function long(): void {${"\n".repeat(70)}}`),
  source("src/camelCase.ts", "const one = 1;"),
  source("src/engine/index.ts", "const one = 1;"),
  source("src/later.ts", "// FIXME: the other half"),
  { path: "src/headless.ts", text: "const one = 1;\n" },
  source("src/undocumented.ts", "export const one = 1;"),
  source("src/standard.ts", "/** One. */\nconst one = 1;\nexport default one;"),
  source("src/colour.ts", "enum Colour { Red }"),
  source("src/room.ts", "namespace Room { }"),
  source("src/run-manager.ts", "class RunManager { }"),
  source("src/short.ts", "function reply(ctx: string): string { return ctx; }"),
  source("src/core/greedy.ts", "const home = process.env['HOME'];"),
  source("src/engine/driver.ts", 'import type { Long } from "mongodb";'),
  source("src/embedded/start.ts", 'const host = new URL("./host.ts", import.meta.url);'),
  source("test/service/mocked.test.ts", "const clock = vi.fn();"),
  source("test/service/slow.test.ts", "await new Promise((resolve) => setTimeout(resolve, 5));"),
  source("test/service/skipped.test.ts", '\ntest.skip("a claim", () => {});'),
  source("test/service/focused.test.ts", 'test.only("a claim", () => {});'),
  { path: "docs/two-heads.md", text: "# One\n\n# Two\n" },
  { path: "docs/place.md", text: "# Place\n\nSee /home/somebody/notes.\n" },
  { path: "package.json", text: '{\n  "dependencies": {\n    "zod": "^4.0.0"\n  }\n}\n' },
];

/** Each looks like a break and is none. */
export const SOUND_SAMPLES: readonly SourceFile[] = [
  source("src/words.ts", 'const text = "export default ctx"; // an enum, a namespace, process.env'),
  source("src/storage/mongo/driver.ts", 'import type { Long } from "mongodb";'),
  source("src/config/environment.ts", "const home = process.env['HOME'];"),
  source("src/listed.ts", "/** One. */\nexport const one = 1;"),
  source(
    "src/factory.ts",
    `function make() {${`\n  const a = () => {${"\n".repeat(60)}  };`.repeat(3)}\n}`,
  ),
  { path: "docs/code.md", text: "# One\n\n```sh\n# a comment\n```\n" },
  { path: "docs/table.md", text: `# One\n\n| ${"wide ".repeat(30)} |\n` },
  source(
    "test/service/explained.test.ts",
    '// Needs a second machine.\ntest.skipIf(true)("a claim", () => {});',
  ),
];
