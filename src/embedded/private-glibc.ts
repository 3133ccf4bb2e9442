// A newer glibc for one child process, on a Debian that is too old for the engine.
//
// The libraries of a newer Debian release are unpacked into a cache folder of the user. No other
// process ever sees them, because they are named on the child's command line alone.
//
// The cache is filled in a folder of its own and put in place by one rename, so a reader sees all
// or nothing and any number of processes may fill at once. A marker file makes the others wait for
// the first one; it only saves downloads, correctness does not rest on it.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { unpackDebianPackages } from "./debian-packages.ts";
import { EmbeddedError } from "./embedded-error.ts";
import { processStartTicks } from "./host-files.ts";
import { type Machine, waysOut } from "./platform.ts";

const run = promisify(execFile);

const debianRelease = "trixie";
const libraryPackages = ["libc6", "libstdc++6", "libgcc-s1"] as const;
const markerAgeMaxMs = 300_000;
const markerPollMs = 200;
const tryOutTimeoutMs = 30_000;

/** A glibc to run a child under: `<loaderPath> --library-path <libraryDirectory> <program>`. */
export interface PrivateGlibc {
  readonly loaderPath: string;
  readonly libraryDirectory: string;
}

/** What obtaining a private glibc needs from the caller. */
export interface PrivateGlibcOptions {
  readonly machine: Machine;
  /** The user's cache folder of this program, usually `~/.cache/keelson`. */
  readonly cacheDirectory: string;
  /** Environment of apt and dpkg: PATH, HOME and any proxy variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** The Node that shall run under it; tried once before the cache is put in place. */
  readonly nodePath: string;
  /** Gets lines meant for people while this takes a while. */
  readonly onProgress: (line: string) => void;
}

/** Where the private glibc of a machine is or would be. */
export function privateGlibcIn(cacheDirectory: string, machine: Machine): PrivateGlibc {
  return glibcInRoot(join(cacheDirectory, cacheFolder(machine)), machine);
}

/** Whether the cache holds this glibc, complete. */
export function isPrivateGlibcCached(glibc: PrivateGlibc): Promise<boolean> {
  return doesExist(glibc.loaderPath);
}

/** The private glibc from the cache, filled first when it is empty. */
export async function obtainPrivateGlibc(options: PrivateGlibcOptions): Promise<PrivateGlibc> {
  const { cacheDirectory, machine } = options;
  const glibc = privateGlibcIn(cacheDirectory, machine);
  if (await isPrivateGlibcCached(glibc)) {
    return glibc;
  }
  const place = join(cacheDirectory, cacheFolder(machine));
  try {
    await mkdir(cacheDirectory, { recursive: true });
    const isMarked = await markOrWait(`${place}.filling`, glibc, options.onProgress);
    try {
      if (!(await isPrivateGlibcCached(glibc))) {
        await fill(place, options);
      }
    } finally {
      if (isMarked) {
        await rm(`${place}.filling`, { force: true });
      }
    }
    return glibc;
  } catch (error) {
    throw fillFailed(error);
  }
}

function cacheFolder(machine: Machine): string {
  return `glibc-${debianRelease}-${machine.debianArchitecture}`;
}

function glibcInRoot(root: string, machine: Machine): PrivateGlibc {
  const libraryDirectory = join(root, "usr/lib", machine.libraryFolder);
  return { libraryDirectory, loaderPath: join(libraryDirectory, machine.loaderName) };
}

/** True once this process has set the marker; false when another process's fill ended well. */
async function markOrWait(
  markerPath: string,
  glibc: PrivateGlibc,
  onProgress: (line: string) => void,
): Promise<boolean> {
  let isTold = false;
  for (;;) {
    try {
      await writeFile(markerPath, `${process.pid}\n`, { flag: "wx" });
      return true;
    } catch (error) {
      if (!isAlreadyThere(error)) {
        throw error;
      }
    }
    if (await isMarkerStale(markerPath)) {
      await rm(markerPath, { force: true });
    }
    if (await isPrivateGlibcCached(glibc)) {
      return false;
    }
    if (!isTold) {
      onProgress("another process is fetching the newer glibc; waiting for it");
      isTold = true;
    }
    await delay(markerPollMs);
  }
}

/** Whoever set the marker is dead, or has taken far too long. */
async function isMarkerStale(markerPath: string): Promise<boolean> {
  const ageMs = await ageOf(markerPath);
  const text = await readFile(markerPath, "utf8").catch(() => "");
  const pid = Number.parseInt(text, 10);
  const isOwnerDead = !Number.isNaN(pid) && (await processStartTicks(pid)) === undefined;
  return isOwnerDead || (ageMs !== undefined && ageMs > markerAgeMaxMs);
}

async function fill(place: string, options: PrivateGlibcOptions): Promise<void> {
  const { machine, onProgress } = options;
  await removeLeftovers(options.cacheDirectory, cacheFolder(machine));
  const workshop = `${place}.${randomUUID()}.draft`;
  try {
    onProgress(
      "this machine's glibc is too old for the embedded MongoDB; fetching a newer one for it " +
        `alone from the Debian mirror (about 15 MB, once) into ${options.cacheDirectory}`,
    );
    const root = join(workshop, "root");
    await unpackDebianPackages({
      packages: libraryPackages,
      release: debianRelease,
      architecture: machine.debianArchitecture,
      workshop,
      root,
      environment: options.environment,
    });
    await tryOut(glibcInRoot(root, machine), options);
    await putInPlace(root, place);
    onProgress("the newer glibc is ready");
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function tryOut(glibc: PrivateGlibc, options: PrivateGlibcOptions): Promise<void> {
  const { loaderPath, libraryDirectory } = glibc;
  const commandLine = ["--library-path", libraryDirectory, options.nodePath, "--version"];
  await run(loaderPath, commandLine, { env: { ...options.environment }, timeout: tryOutTimeoutMs });
}

async function putInPlace(root: string, place: string): Promise<void> {
  try {
    await rename(root, place);
  } catch (error) {
    // A directory that is not empty is never replaced: somebody else was faster.
    if (!(await doesExist(place))) {
      throw error;
    }
  }
}

/** Removes what a fill that was killed left behind, once it is old enough to be surely dead. */
async function removeLeftovers(cacheDirectory: string, folder: string): Promise<void> {
  for (const name of await readdir(cacheDirectory)) {
    const path = join(cacheDirectory, name);
    if (name.startsWith(`${folder}.`) && name.endsWith(".draft")) {
      const ageMs = await ageOf(path);
      if (ageMs !== undefined && ageMs > markerAgeMaxMs * 2) {
        await rm(path, { recursive: true, force: true });
      }
    }
  }
}

function isAlreadyThere(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}

function doesExist(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function ageOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (status) => Date.now() - status.mtimeMs,
    () => undefined,
  );
}

function fillFailed(cause: unknown): EmbeddedError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new EmbeddedError(
    "glibc_too_old",
    `This machine's glibc is too old for the embedded MongoDB, and a newer one could not be ` +
      `fetched for it (${text.trim()}). ${waysOut}`,
    { cause },
  );
}
