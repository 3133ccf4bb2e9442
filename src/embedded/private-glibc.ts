// A newer glibc for one child process, on a Debian that is too old for the engine.
//
// The three library packages of a newer Debian release are fetched by the machine's own apt, from
// the machine's own mirror, through its own proxy, checked against its own Debian keyring, and are
// only unpacked into a cache folder: no root, nothing of the system is changed, and no other
// process ever sees these libraries, because they are named on the child's command line.
//
// The cache is filled in a folder of its own and put in place by one rename, so a reader sees all
// or nothing and any number of processes may fill at once. A marker file makes the others wait for
// the first one; it only saves downloads, correctness does not rest on it.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { type Machine, waysOut } from "./platform.ts";

const run = promisify(execFile);

const debianRelease = "trixie";
/** The keys a fetched package must be signed with; part of every Debian. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const libraryPackages = ["libc6", "libstdc++6", "libgcc-s1"] as const;
const commandTimeoutMs = 180_000;
const markerAgeMaxMs = 300_000;
const markerPollMs = 200;

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

/** True when this process set the marker; false when somebody else's fill ended or got stale. */
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
      const ageMs = await ageOf(markerPath);
      if (ageMs === undefined && !(await doesExist(join(markerPath, "..")))) {
        throw error;
      }
      if (ageMs !== undefined && ageMs > markerAgeMaxMs) {
        await rm(markerPath, { force: true });
      }
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

async function fill(place: string, options: PrivateGlibcOptions): Promise<void> {
  const { machine, onProgress } = options;
  await removeLeftovers(options.cacheDirectory, cacheFolder(machine));
  const workshop = `${place}.${randomUUID()}.draft`;
  try {
    onProgress(
      "this machine's glibc is too old for the embedded MongoDB; fetching a newer one for it " +
        `alone from the Debian mirror (about 15 MB, once) into ${options.cacheDirectory}`,
    );
    const mirror = await findMirror(options);
    const debs = await download(workshop, mirror, options);
    const root = join(workshop, "root");
    for (const deb of debs) {
      await run("dpkg", ["-x", deb, root], runOptions(options));
    }
    await tryOut(glibcInRoot(root, machine), options);
    await putInPlace(root, place);
    onProgress("the newer glibc is ready");
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

/** The mirror this machine takes its own Debian release from, as apt itself understands it. */
async function findMirror(options: PrivateGlibcOptions): Promise<string> {
  const { stdout } = await run(
    "apt-get",
    ["indextargets", "--format", "$(COMPONENT) $(RELEASE) $(REPO_URI)", "Created-By: Packages"],
    runOptions(options),
  );
  const mirror = chooseMirror(stdout);
  if (mirror === undefined) {
    throw new Error("apt is not configured with a Debian mirror");
  }
  return mirror;
}

/**
 * Picks the mirror out of lines `<component> <release> <address>`: one that serves the component
 * main of a whole release (security and update suites live elsewhere), by preference one whose
 * address names Debian, because other publishers use Debian's release names too.
 */
export function chooseMirror(lines: string): string | undefined {
  const addresses: string[] = [];
  for (const line of lines.split("\n")) {
    const [component, release, address] = line.trim().split(" ");
    const isWholeRelease = /^[a-z]+$/.test(release ?? "");
    if (component === "main" && isWholeRelease && address !== undefined) {
      addresses.push(address);
    }
  }
  return addresses.find((address) => address.includes("debian")) ?? addresses[0];
}

async function download(
  workshop: string,
  mirror: string,
  options: PrivateGlibcOptions,
): Promise<string[]> {
  const debsDirectory = join(workshop, "debs");
  for (const directory of ["lists/partial", "archives/partial", "debs", "root"]) {
    await mkdir(join(workshop, directory), { recursive: true });
  }
  const configurationPath = join(workshop, "apt.conf");
  await writeFile(join(workshop, "status"), "");
  await writeFile(join(workshop, "debian.sources"), aptSources(mirror, options.machine));
  await writeFile(configurationPath, aptConfiguration(workshop, options.machine));
  const inDebs = { ...runOptions(options), cwd: debsDirectory };
  await run("apt-get", ["-c", configurationPath, "-q", "update"], inDebs);
  await run("apt-get", ["-c", configurationPath, "-q", "download", ...libraryPackages], inDebs);
  const names = (await readdir(debsDirectory)).filter((name) => name.endsWith(".deb"));
  if (names.length !== libraryPackages.length) {
    throw new Error(`apt-get download left ${names.length} packages: ${names.join(", ")}`);
  }
  return names.map((name) => join(debsDirectory, name));
}

function aptSources(mirror: string, machine: Machine): string {
  return [
    "Types: deb",
    `URIs: ${mirror}`,
    `Suites: ${debianRelease}`,
    "Components: main",
    `Architectures: ${machine.debianArchitecture}`,
    "Languages: none",
    "Targets: Packages",
    `Signed-By: ${debianKeyring}`,
    "",
  ].join("\n");
}

/**
 * Read by apt after the machine's own configuration, whose proxy and download settings stay in
 * force. Hooks are cleared, because they act on the system; every place apt writes to is ours.
 */
function aptConfiguration(workshop: string, machine: Machine): string {
  const settings: Readonly<Record<string, string>> = {
    "APT::Architecture": machine.debianArchitecture,
    "APT::Default-Release": "",
    "APT::Sandbox::User": "root", // as root apt would become a user that cannot enter the cache
    "Dir::Etc::SourceList": join(workshop, "debian.sources"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": "/dev/null",
    "Dir::State": workshop,
    "Dir::State::lists": join(workshop, "lists"),
    "Dir::State::status": join(workshop, "status"),
    "Dir::Cache": workshop,
    "Dir::Cache::archives": join(workshop, "archives"),
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::Retries": "2",
  };
  const cleared = [
    "APT::Architectures",
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "DPkg::Pre-Invoke",
    "DPkg::Post-Invoke",
  ];
  const lines = cleared.map((name) => `#clear ${name};`);
  for (const [name, value] of Object.entries(settings)) {
    lines.push(`${name} "${value}";`);
  }
  return `${lines.join("\n")}\n`;
}

async function tryOut(glibc: PrivateGlibc, options: PrivateGlibcOptions): Promise<void> {
  const { loaderPath, libraryDirectory } = glibc;
  const commandLine = ["--library-path", libraryDirectory, options.nodePath, "--version"];
  await run(loaderPath, commandLine, runOptions(options));
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

function runOptions(options: PrivateGlibcOptions) {
  return {
    env: { ...options.environment, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    timeout: commandTimeoutMs,
    maxBuffer: 4 * 1024 * 1024,
  };
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
