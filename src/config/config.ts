/**
 * Environment and flags in, one frozen typed object out. A flag wins over its variable; an empty
 * variable counts as unset. Variables that look like ours and are not are named in the answer, so
 * that a typing mistake can be told; they are no error, because other programs share the prefix.
 */
import { isIP } from "node:net";
import { homedir, tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { z } from "zod";
import { type BadSetting, ConfigError } from "./config-error.ts";
import { settingFacts } from "./setting.ts";
import { type SettingName, type Settings, settingsSchema } from "./settings.ts";

/** Variables of the environment, as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;
/** Values of flags by setting; `undefined` when a flag was not given. */
export type Flags = Readonly<Partial<Record<SettingName, string | boolean | undefined>>>;

/** The command that reads the configuration. */
export type ServerCommand = "dev" | "serve";

/** Where the data lives. */
export type DatabaseChoice =
  | { readonly kind: "mongodb"; readonly uri: string }
  | { readonly kind: "embedded" }
  | { readonly kind: "memory" };

/** The configuration of a server; frozen. */
export interface ServerConfig extends Readonly<Settings> {
  readonly command: ServerCommand;
  readonly database: DatabaseChoice;
  readonly dataDirectory: string;
  readonly cacheDirectory: string;
  /** Private short directory, for the socket when the path of the data directory is too long. */
  readonly runtimeDirectory: string;
  /** Variables with our prefix that mean nothing to the server, for a warning. */
  readonly unknownVariables: readonly string[];
  /** The environment of spawned processes. */
  readonly environment: Readonly<Record<string, string>>;
}

/** What a configuration is read from. */
export interface ConfigSources {
  readonly command: ServerCommand;
  readonly environment: Environment;
  readonly flags: Flags;
}

const PREFIX = "KEELSON_";
/** Read by clients and tests, not by the server. */
const CLIENT_VARIABLES: ReadonlySet<string> = new Set([
  "KEELSON_ADDRESS",
  "KEELSON_NAMESPACE",
  "KEELSON_URL",
]);
/** What Kubernetes puts into every pod beside a service called keelson. */
const SERVICE_LINK = /^KEELSON_(SERVICE_(HOST|PORT)|PORT_\d+_)/;
const SERVICE_LINK_PORT = /^(tcp|udp):\/\//;

const settingNames = settingsSchema.keyof().options;

/** The facts of a setting. */
export function factsOf(name: SettingName) {
  const facts = settingFacts.get(settingsSchema.shape[name]);
  if (facts) return facts;
  throw new RangeError(`the setting ${name} has no facts`);
}

function keyOf(name: SettingName): string {
  const { variable, flag } = factsOf(name);
  return flag === undefined ? variable : `${variable} or ${flag}`;
}

/** The texts that are set, by setting; flags first. */
function readTexts(sources: ConfigSources): Partial<Record<SettingName, string | boolean>> {
  const texts: Partial<Record<SettingName, string | boolean>> = {};
  for (const name of settingNames) {
    const text = sources.flags[name] ?? sources.environment[factsOf(name).variable];
    if (text === undefined || text === "") continue;
    // With service links on, Kubernetes sets KEELSON_PORT to a URL that is not meant for us.
    if (name === "port" && SERVICE_LINK_PORT.test(String(text))) continue;
    texts[name] = text;
  }
  return texts;
}

function unknownVariables(environment: Environment): string[] {
  const known = new Set(settingNames.map((name) => factsOf(name).variable));
  const isOurs = (key: string): boolean =>
    key.startsWith(PREFIX) && !CLIENT_VARIABLES.has(key) && !SERVICE_LINK.test(key);
  return Object.keys(environment)
    .filter((key) => isOurs(key) && !known.has(key))
    .toSorted();
}

function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

/** What does not go together, judged on the settings that could be read. */
function contradictions(settings: Settings, command: ServerCommand): BadSetting[] {
  const bad: BadSetting[] = [];
  if (!isLoopback(settings.host) && !settings.insecure) {
    const problem =
      "others can reach this address and there is no authentication yet; agree with --insecure";
    bad.push({ key: keyOf("host"), problem });
  }
  if ((settings.tlsCertificateFile === undefined) !== (settings.tlsKeyFile === undefined)) {
    const missing = settings.tlsKeyFile === undefined ? "tlsKeyFile" : "tlsCertificateFile";
    bad.push({ key: keyOf(missing), problem: "certificate and key are needed together" });
  }
  if (settings.queueLimit > settings.queueLimitMax) {
    bad.push({ key: keyOf("queueLimit"), problem: `exceeds ${keyOf("queueLimitMax")}` });
  }
  if (settings.attemptLimit > settings.attemptLimitMax) {
    bad.push({ key: keyOf("attemptLimit"), problem: `exceeds ${keyOf("attemptLimitMax")}` });
  }
  const hasUri = settings.mongodbUri !== undefined;
  if (hasUri && settings.inMemory) {
    bad.push({ key: keyOf("inMemory"), problem: "does not go with KEELSON_MONGODB_URI" });
  }
  if (command === "serve" && !hasUri && !settings.embedded && !settings.inMemory) {
    const problem = "is needed by `keelson serve`, unless --embedded or --in-memory is given";
    bad.push({ key: keyOf("mongodbUri"), problem });
  }
  return bad;
}

function databaseOf(settings: Settings): DatabaseChoice {
  if (settings.mongodbUri !== undefined) return { kind: "mongodb", uri: settings.mongodbUri };
  return { kind: settings.inMemory ? "memory" : "embedded" };
}

function userDirectories(environment: Environment): { cache: string; runtime: string } {
  const cacheRoot = environment["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const runtimeRoot = environment["XDG_RUNTIME_DIR"];
  return {
    cache: join(cacheRoot, "keelson"),
    runtime: runtimeRoot
      ? join(runtimeRoot, "keelson")
      : join(tmpdir(), `keelson-${userInfo().username}`),
  };
}

function withoutUnset(environment: Environment): Record<string, string> {
  const set: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    // The database's child has no use for settings of the server, least of all for secrets.
    if (value !== undefined && !name.startsWith(PREFIX)) set[name] = value;
  }
  return set;
}

function badSettingOf(issue: z.core.$ZodIssue): BadSetting {
  const name = settingNames.find((known) => known === issue.path[0]);
  return { key: name ? keyOf(name) : "settings", problem: issue.message };
}

/** Reads a configuration. Throws ConfigError with every bad key. */
export function readConfig(sources: ConfigSources): ServerConfig {
  const { command, environment } = sources;
  const parsed = settingsSchema.safeParse(readTexts(sources));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map(badSettingOf));
  const settings = parsed.data;
  const bad = contradictions(settings, command);
  if (bad.length > 0) throw new ConfigError(bad);
  const directories = userDirectories(environment);
  return Object.freeze({
    ...settings,
    command,
    database: Object.freeze(databaseOf(settings)),
    dataDirectory: resolve(settings.dataDirectory),
    cacheDirectory: resolve(settings.cacheDirectory ?? directories.cache),
    runtimeDirectory: directories.runtime,
    unknownVariables: unknownVariables(environment),
    environment: Object.freeze(withoutUnset(environment)),
  });
}
