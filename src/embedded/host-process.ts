// Starts a host process so that it outlives whoever started it: its own session, no pipes, its
// output in the log file of the data directory. Everything later learnt about it comes from the
// socket and from host.json, the same for the process that started it and for all others.
import { type ChildProcess, spawn } from "node:child_process";
import { open, readFile, rename, stat } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { HostOrder, HostPaths } from "./host-files.ts";
import { platformSupport, platformUnsupported, readPlatformFacts } from "./platform.ts";
import { obtainPrivateGlibc } from "./private-glibc.ts";

const logBytesMax = 1024 * 1024;
const logTailBytes = 2_000;

/** What is put before the host's order on its command line. */
export interface HostCommand {
  readonly program: string;
  readonly leadingArguments: readonly string[];
}

/** What finding out how to run the host needs from the caller. */
export interface HostCommandOptions {
  readonly nodePath: string;
  readonly cacheDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly onProgress: (line: string) => void;
}

/** A host process this process has started. */
export interface HostChild {
  /** 0 when it could not be started at all. */
  readonly pid: number;
  /** Its exit code, or null while it runs; a death by signal counts as code -1. */
  readonly exitCode: () => number | null;
  /** Asks it to end; it may have ended already. */
  readonly terminate: () => void;
}

/** The command that runs the host here, under a private glibc where the machine's is too old. */
export async function resolveHostCommand(options: HostCommandOptions): Promise<HostCommand> {
  const support = platformSupport(readPlatformFacts());
  const script = hostScriptPath();
  switch (support.kind) {
    case "native":
      return { program: options.nodePath, leadingArguments: [script] };
    case "unsupported":
      throw platformUnsupported(support.explanation);
    case "private_glibc": {
      const glibc = await obtainPrivateGlibc({ ...options, machine: support.machine });
      return {
        program: glibc.loaderPath,
        leadingArguments: ["--library-path", glibc.libraryDirectory, options.nodePath, script],
      };
    }
  }
}

/** The host script beside this file: TypeScript in a checkout, JavaScript when built. */
function hostScriptPath(): string {
  const extension = extname(import.meta.url);
  return fileURLToPath(new URL(`./host${extension}`, import.meta.url));
}

/** Starts a host, detached. */
export async function spawnHost(
  command: HostCommand,
  order: HostOrder,
  paths: HostPaths,
  environment: Readonly<Record<string, string>>,
): Promise<HostChild> {
  await rotateLog(paths.logPath);
  const log = await open(paths.logPath, "a", 0o600);
  try {
    const commandLine = [...command.leadingArguments, JSON.stringify(order)];
    const child = spawn(command.program, commandLine, {
      cwd: paths.privateDirectory,
      detached: true,
      env: { ...environment },
      stdio: ["ignore", log.fd, log.fd],
    });
    child.unref();
    return childHandle(child);
  } finally {
    await log.close();
  }
}

function childHandle(child: ChildProcess): HostChild {
  let exitCode: number | null = null;
  child.once("exit", (code) => {
    exitCode = code ?? -1;
  });
  // Raised when the program cannot be started at all; there is no exit event then.
  child.once("error", () => {
    exitCode = -1;
  });
  return {
    pid: child.pid ?? 0,
    exitCode: () => exitCode,
    terminate() {
      child.kill("SIGTERM");
    },
  };
}

/** The end of the host's log, for an error message; empty when there is none. */
export async function readLogTail(paths: HostPaths): Promise<string> {
  try {
    const text = await readFile(paths.logPath, "utf8");
    return text.slice(-logTailBytes).trim();
  } catch {
    return "";
  }
}

async function rotateLog(logPath: string): Promise<void> {
  const status = await stat(logPath).catch(() => undefined);
  if (status !== undefined && status.size > logBytesMax) {
    await rename(logPath, `${logPath}.1`);
  }
}
