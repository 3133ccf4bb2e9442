/** The ground of tests about workers: a server, namespaces of their own, and workers that end. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CliServer,
  type FinishedCommand,
  runCli,
  type RunningCommand,
  startCli,
  startCliServer,
} from "./cli.ts";

/** How to start a worker. */
export interface WorkerInput {
  readonly options?: readonly string[];
  readonly address?: string;
}

/** One test's part of the ground. */
export interface WorkerScene {
  /** Starts a worker that runs a shell script per run of the pool `default`. */
  readonly work: (script: string, input?: WorkerInput) => RunningCommand;
  /** Starts a worker with a command of its own. */
  readonly workWith: (command: readonly string[], input?: WorkerInput) => RunningCommand;
  /** Runs a command for one input of the runtime `agent-1`, in its own process. */
  readonly take: (command: readonly string[], ...options: readonly string[]) => RunningCommand;
  readonly run: (...words: string[]) => Promise<FinishedCommand>;
  /** Runs a command with `-o json` and reads what it says. */
  readonly json: (...words: string[]) => Promise<unknown>;
  /** Ingests a text into the runtime `agent-1`. */
  readonly ingest: (text: string, ...words: string[]) => Promise<FinishedCommand>;
  /** Path of a file that the scripts of this test may use. */
  readonly path: (name: string) => string;
  /** Content of such a file; empty when there is none. */
  readonly read: (name: string) => string;
  /** Makes such a file. */
  readonly touch: (name: string) => void;
}

/** The ground. */
export interface WorkerGround {
  readonly server: CliServer;
  readonly scene: () => WorkerScene;
  /** Ends all workers of a test with what they run. */
  readonly clear: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** True while a process runs; one that is dead and not yet buried does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = `/proc/${pid}/status`;
  return !existsSync(status) || !/^State:\s+Z/m.test(readFileSync(status, "utf8"));
}

/** Starts a server and makes the ground around it. */
export async function openWorkerGround(): Promise<WorkerGround> {
  const server = await startCliServer();
  const folder = mkdtempSync(join(tmpdir(), "keelson-worker-"));
  const workers: RunningCommand[] = [];

  function scene(): WorkerScene {
    const namespace = `worker-${randomUUID()}`;
    const inNamespace = ["--namespace", namespace];
    const path = (name: string): string => join(folder, `${namespace}-${name}`);
    const run = (...words: string[]): Promise<FinishedCommand> =>
      runCli([...words, ...inNamespace], { address: server.address });
    const workWith: WorkerScene["workWith"] = (command, input = {}) => {
      const { options = [], address = server.address } = input;
      const words = ["worker", "exec", ...inNamespace, ...options, "--", ...command];
      const worker = startCli(words, { address });
      workers.push(worker);
      return worker;
    };
    const take: WorkerScene["take"] = (command, ...options) => {
      const words = ["runtime", "run", "agent-1", "--ensure", "--text", "hello", ...inNamespace];
      const taking = startCli([...words, ...options, "--", ...command], {
        address: server.address,
      });
      workers.push(taking);
      return taking;
    };
    return {
      run,
      take,
      path,
      workWith,
      work: (script, input) => workWith(["sh", "-c", script], input),
      json: async (...words) => {
        const answer: unknown = JSON.parse((await run(...words, "-o", "json")).stdout);
        return answer;
      },
      ingest: (text, ...words) => run("runtime", "ingest", "agent-1", text, "--ensure", ...words),
      read: (name) => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : ""),
      touch: (name) => writeFileSync(path(name), ""),
    };
  }

  return {
    server,
    scene,
    clear: async () => {
      for (const worker of workers.splice(0)) {
        worker.child.kill("SIGCONT");
        // The second signal ends a worker and what it runs at once.
        worker.child.kill("SIGTERM");
        worker.child.kill("SIGINT");
        await worker.ended;
      }
    },
    close: async () => {
      rmSync(folder, { recursive: true, force: true });
      await server.stop();
    },
  };
}
