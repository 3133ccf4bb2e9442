// The processes of the demo: the server with its embedded database, and the workers. All of them
// are real and on their own; the demo only starts them, and kills some of them half-way.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hostPathsIn, isHostAlive, readHostRecord } from "../../src/embedded/host-files.ts";

/** A process that the demo started. */
export interface DemoProcess {
  readonly name: string;
  readonly pid: () => number;
  /** Starts it, again if it ran before. */
  readonly start: () => Promise<void>;
  /** Ends it as `kill -9` does, and waits until it is gone. */
  readonly kill: () => Promise<void>;
  /** Asks it to end in good order, and waits. */
  readonly stop: () => Promise<void>;
}

/** The server; its address stays the same when it is started again. */
export interface DemoServer extends DemoProcess {
  readonly url: () => string;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COMMAND = "examples/demo/text-job/main.ts";
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 10_000;
const POLL_MS = 25;
const ADDRESS = /"address":"([^"]+)".*server serves/;

async function until(
  what: string,
  deadlineMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`${what} took more than ${deadlineMs} ms`);
    await delay(POLL_MS);
  }
}

function makeProcess(name: string, logPath: string, words: () => readonly string[]): DemoProcess {
  let child: ChildProcess | undefined;
  const hasEnded = (): boolean => {
    return child === undefined || child.exitCode !== null || child.signalCode !== null;
  };

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (hasEnded()) return;
    child?.kill(signal);
    await until(`the end of ${name}`, STOP_DEADLINE_MS, hasEnded);
  }

  return {
    name,
    pid: () => child?.pid ?? 0,
    start: async () => {
      const log = openSync(logPath, "a");
      const stdio = ["ignore" as const, log, log];
      child = spawn(process.execPath, words(), { cwd: ROOT, stdio });
      closeSync(log);
    },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

/** Makes the server on a data directory, with an embedded database. */
export function makeServer(directory: string): DemoServer {
  const logPath = join(directory, "server.log");
  let address = "";
  const flags = ["--data-dir", join(directory, "data"), "--log-format", "json"];
  const server = makeProcess("the server", logPath, () => {
    return ["bin/keelson.js", "dev", ...flags, "--port", address.split(":")[1] ?? "0"];
  });

  async function isReady(): Promise<boolean> {
    if (address === "") address = ADDRESS.exec(readFileSync(logPath, "utf8"))?.[1] ?? "";
    if (address === "") return false;
    return await fetch(`http://${address}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  }

  return {
    ...server,
    url: () => `http://${address}`,
    start: async () => {
      await mkdir(directory, { recursive: true });
      await server.start();
      await until("the start of the server", START_DEADLINE_MS, isReady);
    },
  };
}

/** Makes a worker that runs the demo's command for whatever the pool has. */
export function makeWorker(
  name: string,
  directory: string,
  options: { readonly url: () => string; readonly pool: string; readonly slots: number },
): DemoProcess {
  return makeProcess(name, join(directory, `${name}.log`), () => {
    const { url, pool, slots } = options;
    const place = ["--address", url(), "--pool", pool, "--slots", String(slots)];
    const terms = ["--executor-id", name, "--lease-ttl", "3s"];
    const command = ["--", process.execPath, COMMAND];
    return ["bin/keelson.js", "worker", "exec", ...place, ...terms, ...command];
  });
}

/** Kills the embedded database of the server; answers the process id that it had. */
export async function killDatabase(directory: string): Promise<number> {
  const paths = hostPathsIn(join(directory, "data"));
  const record = await readHostRecord(paths);
  if (record === undefined || !(await isHostAlive(record))) return 0;
  process.kill(record.pid, "SIGKILL");
  await until(
    "the end of the database",
    STOP_DEADLINE_MS,
    async () => !(await isHostAlive(record)),
  );
  return record.pid;
}
