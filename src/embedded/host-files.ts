// What the host process and its launchers agree on: where the files of a data directory are, how
// the host is told what to do, what it records about itself, and what its exit codes mean.
//
// Everything lives in one private folder inside the data directory:
//
//   <data directory>/mongodb/          mode 0700
//     database/                        the engine's own files; its mongod.lock is held by the
//                                      kernel for the life of the host, so it can never be stale
//     host.json                        who holds the directory: pid, start time, socket
//     host.log, host.log.1             what the host said, one JSON object per line
//     db.sock                          the socket, unless its path would be too long
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readFile, realpath, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { EmbeddedError } from "./embedded-error.ts";

/** Where everything of one data directory is; all paths absolute and without symbolic links. */
export interface HostPaths {
  readonly privateDirectory: string;
  readonly databaseDirectory: string;
  readonly recordPath: string;
  readonly logPath: string;
}

/** What a host is told on its command line, as one JSON argument. */
export const hostOrderSchema = z.object({
  dataDirectory: z.string().min(1),
  socketPath: z.string().min(1),
  /** The host ends itself after this long without a connection. */
  idleTimeoutMs: z.int().positive(),
});

/** See {@link hostOrderSchema}. */
export type HostOrder = z.infer<typeof hostOrderSchema>;

const hostRecordSchema = z.object({
  formatVersion: z.literal(1),
  pid: z.int().positive(),
  /** Start of the process in clock ticks since boot; null where the system does not tell. */
  startTicks: z.number().nullable(),
  startedAt: z.iso.datetime(),
  /** Guards against a copied directory whose record points at the original's socket. */
  databaseDirectory: z.string(),
  socketPath: z.string(),
});

/** What the holder of a data directory says about itself in `host.json`. */
export type HostRecord = z.infer<typeof hostRecordSchema>;

/** How a host ends. */
export const hostExitCodes = {
  stopped: 0,
  crashed: 1,
  /** The order on the command line cannot be read. */
  badOrder: 2,
  /** Another host holds the data directory. */
  directoryInUse: 3,
  /** The engine's package is missing or does not load here. */
  engineUnavailable: 4,
  /** The engine refused to open the directory. */
  openFailed: 5,
} as const;

/** The longest socket path every supported system takes (macOS: 104 bytes with the final NUL). */
const socketPathBytesMax = 103;

/** Creates the data directory (0700 when new) and its private folder (always 0700). */
export async function prepareHostPaths(dataDirectory: string): Promise<HostPaths> {
  try {
    await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
    const paths = hostPathsIn(await realpath(dataDirectory));
    await mkdir(paths.privateDirectory, { recursive: true, mode: 0o700 });
    await chmod(paths.privateDirectory, 0o700);
    await mkdir(paths.databaseDirectory, { recursive: true, mode: 0o700 });
    return paths;
  } catch (error) {
    throw new EmbeddedError(
      "directory_unusable",
      `The data directory ${dataDirectory} cannot be created or made private. ` +
        "Choose a directory that belongs to you with --data-dir.",
      { cause: error },
    );
  }
}

/** The paths below a data directory, without looking at the disk. */
export function hostPathsIn(dataDirectory: string): HostPaths {
  const privateDirectory = join(dataDirectory, "mongodb");
  return {
    privateDirectory,
    databaseDirectory: join(privateDirectory, "database"),
    recordPath: join(privateDirectory, "host.json"),
    logPath: join(privateDirectory, "host.log"),
  };
}

/**
 * The socket of a data directory. A living or dead host's record decides first, so that launchers
 * with other runtime directories meet at the same place; then `db.sock` inside the directory when
 * that path is short enough for a Unix socket; then `<runtime directory>/<hash>.sock`.
 */
export async function chooseSocketPath(
  paths: HostPaths,
  runtimeDirectory: string,
): Promise<string> {
  const recorded = (await readHostRecord(paths))?.socketPath;
  if (recorded !== undefined && (await isPrivateDirectory(dirname(recorded)))) {
    return recorded;
  }
  const inside = socketPathInside(paths);
  if (isSocketPathShortEnough(inside)) {
    return inside;
  }
  const hash = createHash("sha256").update(paths.databaseDirectory).digest("hex").slice(0, 24);
  const outside = join(runtimeDirectory, `${hash}.sock`);
  if (!isSocketPathShortEnough(outside)) {
    throw new EmbeddedError(
      "socket_path_too_long",
      `Neither ${inside} nor ${outside} fits the ${socketPathBytesMax} bytes of a Unix socket ` +
        "path. Choose a data directory with a shorter path.",
    );
  }
  await mkdir(runtimeDirectory, { recursive: true, mode: 0o700 });
  if (!(await isPrivateDirectory(runtimeDirectory))) {
    throw new EmbeddedError(
      "directory_unusable",
      `${runtimeDirectory} must be a directory of yours that nobody else can enter (mode 0700).`,
    );
  }
  return outside;
}

/** Where the socket is when its path is short enough. */
export function socketPathInside(paths: HostPaths): string {
  return join(paths.privateDirectory, "db.sock");
}

/** Whether every supported system accepts this path as the address of a Unix socket. */
export function isSocketPathShortEnough(path: string): boolean {
  return Buffer.byteLength(path) <= socketPathBytesMax;
}

/** In a shared place such as /tmp a directory of the right name may be somebody else's. */
async function isPrivateDirectory(directory: string): Promise<boolean> {
  const status = await lstat(directory).catch(() => undefined);
  const isOurs = process.getuid === undefined || status?.uid === process.getuid();
  return status !== undefined && status.isDirectory() && isOurs && (status.mode & 0o077) === 0;
}

/** What the present or last host of this directory recorded; undefined when there is nothing. */
export async function readHostRecord(paths: HostPaths): Promise<HostRecord | undefined> {
  let text: string;
  try {
    text = await readFile(paths.recordPath, "utf8");
  } catch {
    return undefined;
  }
  const parsed = hostRecordSchema.safeParse(parsedJson(text));
  if (!parsed.success || parsed.data.databaseDirectory !== paths.databaseDirectory) {
    return undefined;
  }
  return parsed.data;
}

/** Writes the record in one step; only the holder of the directory may. */
export async function writeHostRecord(paths: HostPaths, record: HostRecord): Promise<void> {
  const draft = `${paths.recordPath}.${record.pid}`;
  await writeFile(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(draft, paths.recordPath);
}

/**
 * The start time of a process, in clock ticks since boot: with the pid it names one process for
 * good, while a pid alone is reused. Undefined when there is no such process; null when the system
 * does not tell.
 */
export async function processStartTicks(pid: number): Promise<number | null | undefined> {
  if (process.platform !== "linux") {
    return isProcessAlive(pid) ? null : undefined;
  }
  let status: string;
  try {
    status = await readFile(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the command's name in parentheses and may itself contain blanks.
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  const isGone = fields[0] === "Z" || fields[0] === "X";
  return isGone ? undefined : Number(fields[19]);
}

/** Whether the process that wrote this record still runs. */
export async function isHostAlive(record: HostRecord): Promise<boolean> {
  const startTicks = await processStartTicks(record.pid);
  return startTicks !== undefined && startTicks === record.startTicks;
}

function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
