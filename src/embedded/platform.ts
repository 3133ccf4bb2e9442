// On which machines the embedded database runs, and whether this one brings a new enough glibc.
import { z } from "zod";
import { EmbeddedError } from "./embedded-error.ts";

/** The oldest glibc the engine's shared library links against. */
const glibcVersionMin = "2.38";

/** What the way out is, whatever went wrong; every message about a platform ends with it. */
export const waysOut =
  "Either set KEELSON_MONGODB_URI to a MongoDB 8.0 or newer, or run on a machine with glibc " +
  `${glibcVersionMin} or newer (Debian 13, Ubuntu 24.04, Fedora 39 and later).`;

/** How the engine can be run here. */
export type PlatformSupport =
  | { readonly kind: "native"; readonly glibcVersion: string | null }
  | { readonly kind: "private_glibc"; readonly glibcVersion: string; readonly machine: Machine }
  | { readonly kind: "unsupported"; readonly explanation: string };

/** A machine type under the names Node, Debian and the GNU loader have for it. */
export interface Machine {
  readonly debianArchitecture: "amd64" | "arm64";
  readonly libraryFolder: string;
  readonly loaderName: string;
}

const machines: Readonly<Record<string, Machine>> = {
  x64: {
    debianArchitecture: "amd64",
    libraryFolder: "x86_64-linux-gnu",
    loaderName: "ld-linux-x86-64.so.2",
  },
  arm64: {
    debianArchitecture: "arm64",
    libraryFolder: "aarch64-linux-gnu",
    loaderName: "ld-linux-aarch64.so.1",
  },
};

/** The facts of a machine the decision rests on. */
export interface PlatformFacts {
  /** As `process.platform`. */
  readonly platform: string;
  /** As `process.arch`. */
  readonly architecture: string;
  /** Version of the glibc this Node runs on; null where there is none (musl, macOS). */
  readonly glibcVersion: string | null;
}

const reportSchema = z.object({ header: z.object({ glibcVersionRuntime: z.string().optional() }) });

/** Reads the facts of the machine this process runs on. */
export function readPlatformFacts(): PlatformFacts {
  return {
    platform: process.platform,
    architecture: process.arch,
    glibcVersion: process.platform === "linux" ? runningGlibcVersion() : null,
  };
}

function runningGlibcVersion(): string | null {
  const parsed = reportSchema.safeParse(process.report.getReport());
  return parsed.data?.header.glibcVersionRuntime ?? null;
}

/** Decides how the engine runs on a machine with these facts. */
export function platformSupport(facts: PlatformFacts): PlatformSupport {
  const name = `${facts.platform}/${facts.architecture}`;
  if (name === "darwin/arm64") {
    return { kind: "native", glibcVersion: null };
  }
  const machine = machines[facts.architecture];
  if (facts.platform !== "linux" || machine === undefined) {
    return { kind: "unsupported", explanation: `The embedded MongoDB is not built for ${name}.` };
  }
  if (facts.glibcVersion === null) {
    return {
      kind: "unsupported",
      explanation: "The embedded MongoDB needs glibc; this Node runs on another C library (musl).",
    };
  }
  if (isVersionAtLeast(facts.glibcVersion, glibcVersionMin)) {
    return { kind: "native", glibcVersion: facts.glibcVersion };
  }
  return { kind: "private_glibc", glibcVersion: facts.glibcVersion, machine };
}

/** The error for a machine on which the engine can never run. */
export function platformUnsupported(explanation: string): EmbeddedError {
  return new EmbeddedError("platform_unsupported", `${explanation} ${waysOut}`);
}

function isVersionAtLeast(version: string, minimum: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [majorMin = 0, minorMin = 0] = minimum.split(".").map(Number);
  return major > majorMin || (major === majorMin && minor >= minorMin);
}
