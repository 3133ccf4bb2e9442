/** The processes of the demo: one server with its embedded database, and workers. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const KEELSON = fileURLToPath(new URL("../../bin/keelson.js", import.meta.url));
const JOB = fileURLToPath(new URL("./text-job.ts", import.meta.url));
const READY_WITHIN_MS = 120_000;
const LOOK_MS = 100;

/** A process that can be killed and started again. */
export interface Restartable {
  readonly start: () => void;
  /** kill -9, and waits until it is gone. */
  readonly kill: () => Promise<void>;
  /** SIGTERM, and waits until it is gone. */
  readonly stop: () => Promise<void>;
  readonly pid: () => number | undefined;
}

/** Resolves after a while. */
export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}

/** A free port of this machine. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function restartable(words: readonly string[]): Restartable {
  let child: ChildProcess | undefined;

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  return {
    start: () => {
      child = spawn(process.execPath, [KEELSON, ...words], {
        stdio: ["ignore", "ignore", process.env["DEMO_LOGS"] ? "inherit" : "ignore"],
      });
    },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    pid: () => child?.pid,
  };
}

/** The server, on an embedded database in a directory of its own. */
export function makeServer(port: number, dataDirectory: string): Restartable {
  const flags = ["--port", String(port), "--data-dir", dataDirectory, "--log-level", "warn"];
  return restartable(["dev", ...flags]);
}

/** A worker that runs the text job for every run of the pool. */
export function makeWorker(name: string, address: string, pool: string): Restartable {
  const serving = ["--address", address, "--pool", pool, "--slots", "2", "--executor-id", name];
  const terms = ["--lease-ttl", "3s", "--no-progress"];
  return restartable(["worker", "exec", ...serving, ...terms, "--", process.execPath, JOB]);
}

/** Resolves when the server says that it is ready. */
export async function untilReady(address: string): Promise<void> {
  const deadlineMs = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadlineMs) {
    const response = await fetch(`${address}/readyz`).catch(() => undefined);
    if (response?.ok) return;
    await pause(LOOK_MS);
  }
  throw new Error(`the server was not ready within ${READY_WITHIN_MS / 1000} s`);
}

/** kill -9 of the database's own process; answers its process id. */
export function killDatabase(dataDirectory: string): number {
  const record = readFileSync(join(dataDirectory, "mongodb", "host.json"), "utf8");
  const { pid } = JSON.parse(record) as { readonly pid: number };
  process.kill(pid, "SIGKILL");
  return pid;
}
