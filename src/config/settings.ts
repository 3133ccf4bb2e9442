/** Every setting of a server, by topic. What a setting is called and why is said beside it. */
import { z } from "zod";
import { limitSettings } from "./limits.ts";
import {
  choiceSetting,
  numberSetting,
  settingFacts,
  switchSetting,
  textSetting,
} from "./setting.ts";

const databaseSettings = {
  mongodbUri: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\//, "must start with mongodb:// or mongodb+srv://")
    .optional()
    .register(settingFacts, {
      variable: "KEELSON_MONGODB_URI",
      isSecret: true,
      why:
        "The database: any MongoDB from 8.0 on, standalone, replica set or sharded. " +
        "`keelson dev` starts an embedded one when it is not set; `keelson serve` needs it.",
    }),
  databaseName: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,63}$/, "must be 1 to 63 letters, digits, hyphens or underscores")
    .default("keelson")
    .register(settingFacts, {
      variable: "KEELSON_DATABASE",
      byDefault: "keelson",
      why: "Name of the database within MongoDB. All replicas of one control plane share it.",
    }),
  embedded: switchSetting({
    variable: "KEELSON_EMBEDDED",
    flag: "--embedded",
    why: "Whether `keelson serve` may start an embedded MongoDB. Not meant for production.",
  }),
  inMemory: switchSetting({
    variable: "KEELSON_IN_MEMORY",
    flag: "--in-memory",
    why: "Keeps everything in the memory of the process: gone when it ends. For trying things out.",
  }),
  dataDirectory: z.string().min(1).default(".keelson").register(settingFacts, {
    variable: "KEELSON_DATA_DIR",
    flag: "--data-dir",
    byDefault: ".keelson",
    why: "Where the embedded MongoDB keeps its files. Replicas on the same directory share it.",
  }),
  cacheDirectory: textSetting({
    variable: "KEELSON_CACHE_DIR",
    why:
      "Where a private C library for the embedded MongoDB is kept on machines whose own one is " +
      "too old; `keelson` in the user's cache folder unless set.",
  }),
  databaseTimeoutMs: numberSetting({
    variable: "KEELSON_DATABASE_TIMEOUT_MS",
    byDefault: 10_000,
    min: 500,
    max: 120_000,
    why: "How long one operation of the database may take before it counts as failed.",
  }),
  databaseConnectionsMax: numberSetting({
    variable: "KEELSON_DATABASE_CONNECTIONS_MAX",
    byDefault: 32,
    min: 4,
    max: 1_000,
    why:
      "Connections to the database. Writes travel in a few batches at a time, so that more " +
      "connections serve reads only.",
  }),
};

const listenSettings = {
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .register(settingFacts, {
      variable: "KEELSON_HOST",
      flag: "--host",
      byDefault: "127.0.0.1",
      why:
        "Address to listen on. There is no authentication yet: an address that others can reach " +
        "needs `--insecure`.",
    }),
  port: numberSetting({
    variable: "KEELSON_PORT",
    flag: "--port",
    byDefault: 7420,
    min: 0,
    max: 65_535,
    why: "The one port for gRPC, gRPC-Web, Connect, JSON, health and metrics; 0 takes a free one.",
  }),
  insecure: switchSetting({
    variable: "KEELSON_INSECURE",
    flag: "--insecure",
    why:
      "Agrees to listen on an address that others can reach, without authentication. Put a proxy " +
      "or a network policy in front.",
  }),
  advertisedAddress: textSetting({
    variable: "KEELSON_ADVERTISED_ADDRESS",
    why: "The `host:port` that other replicas and people are told; what it listens on unless set.",
  }),
  tlsCertificateFile: textSetting({
    variable: "KEELSON_TLS_CERTIFICATE_FILE",
    flag: "--tls-certificate",
    why: "Certificate chain in PEM. With it and the key, the port speaks TLS only.",
  }),
  tlsKeyFile: textSetting({
    variable: "KEELSON_TLS_KEY_FILE",
    flag: "--tls-key",
    why: "Private key of the certificate in PEM. Both files are read at the start.",
  }),
};

const logSettings = {
  logLevel: choiceSetting(["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
    variable: "KEELSON_LOG_LEVEL",
    flag: "--log-level",
    byDefault: "info",
    why: "The least important lines that are written.",
  }),
  logFormat: choiceSetting(["auto", "json", "pretty"], {
    variable: "KEELSON_LOG_FORMAT",
    flag: "--log-format",
    byDefault: "auto",
    why: "`auto` is `pretty` for `keelson dev` on a terminal and `json` everywhere else.",
  }),
};

/** All settings, by topic. */
export const settingTopics = {
  Database: databaseSettings,
  Listening: listenSettings,
  Logging: logSettings,
  Limits: limitSettings,
};

/** The schema over all settings. */
export const settingsSchema = z.strictObject({
  ...databaseSettings,
  ...listenSettings,
  ...logSettings,
  ...limitSettings,
});

/** The values of all settings. */
export type Settings = z.output<typeof settingsSchema>;
/** Name of a setting. */
export type SettingName = keyof Settings;
