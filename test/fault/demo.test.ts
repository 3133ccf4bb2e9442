// The demo as a user starts it, in small: it ends well, and its inputs are what their plan says.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { inputsFile } from "../../examples/demo/inputs/plan.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test("the demo loses nothing while it kills the server, the database and a worker", async () => {
  const words = ["examples/demo/main.ts", "--jobs", "60"];
  const demo = spawn(process.execPath, words, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const [output] = await Promise.all([text(demo.stdout), once(demo, "exit")]);
  expect({ code: demo.exitCode, output }).toMatchObject({ code: 0 });
  expect(output).toMatch(/68 accepted = \d+ consumed \+ \d+ superseded \+ \d+ coalesced \+ 1 /);
  expect(output).toContain("kill -9: the server");
});

test("the committed inputs of the demo are those that their plan makes", () => {
  const committed = readFileSync(new URL("examples/demo/inputs.jsonl", `file://${ROOT}`), "utf8");
  expect(committed).toBe(inputsFile());
});
