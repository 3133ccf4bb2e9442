// The example of a client that watches processes, as a program of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type CliServer, runCli, startCliServer, until } from "./support/cli.ts";

const PROGRAM = fileURLToPath(new URL("../../examples/watch-processes/main.ts", import.meta.url));

let server: CliServer;
let folder = "";
const programs: { readonly child: ChildProcess; readonly closed: Promise<unknown> }[] = [];

beforeEach(async () => {
  server = await startCliServer();
  folder = mkdtempSync(join(tmpdir(), "keelson-watch-"));
});

afterEach(async () => {
  for (const { child, closed } of programs.splice(0)) {
    child.kill("SIGKILL");
    await closed;
  }
  rmSync(folder, { recursive: true, force: true });
  await server.stop();
});

function watch(): () => string {
  const url = `http://127.0.0.1:${server.port}`;
  const words = ["--address", url, "--cursor-file", join(folder, "cursor")];
  const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  programs.push({ child, closed: once(child, "close") });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return () => output;
}

it("shows what is there and what becomes of it, and goes on behind its cursor", async () => {
  const run = (...words: string[]) => runCli(["process", ...words], { address: server.address });
  const words = ["--kind", "build", "--disposition", "externally_owned"];
  await run("register", "p", ...words);
  const first = watch();
  await until("it shows what is there", () => first().includes("p: running"));
  await run("complete", "p");
  await until("it shows the end", () => first().includes("p: completed"));
  programs[0]?.child.kill("SIGKILL");
  await run("register", "q", ...words);
  const second = watch();
  await until("it goes on", () => second().includes("q: running"));
  expect(second()).not.toContain("(there already)");
});
