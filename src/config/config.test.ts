import { describe, expect, it } from "vitest";
import { configDocument } from "./config-document.ts";
import { ConfigError } from "./config-error.ts";
import { type Environment, type Flags, readConfig, type ServerCommand } from "./config.ts";
import { printableConfig, redactUri } from "./redact.ts";

function read(environment: Environment = {}, flags: Flags = {}, command: ServerCommand = "dev") {
  return readConfig({ command, environment, flags });
}

function failureOf(...settings: Parameters<typeof read>): ConfigError {
  try {
    read(...settings);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("the configuration was taken");
}

describe("configuration", () => {
  it("has a default for everything that dev needs", () => {
    const config = read();
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 7420,
      database: { kind: "embedded" },
      databaseName: "keelson",
      logLevel: "info",
      inFlightBytesMax: 268_435_456,
      answerTimeoutMs: 10_000,
      leaseTtlMs: 30_000,
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it("lets a flag win over its variable and takes an empty variable for unset", () => {
    expect(read({ KEELSON_PORT: "7500" }, { port: "7600" }).port).toBe(7600);
    expect(read({ KEELSON_PORT: "7500" }, { port: undefined }).port).toBe(7500);
    expect(read({ KEELSON_PORT: "" }).port).toBe(7420);
  });

  it("names every bad key and never a value", () => {
    const secret = "hunter2-secret";
    const error = failureOf(
      {
        KEELSON_MONGODB_URI: `postgres://user:${secret}@host`,
        KEELSON_PORT: `70000${secret}`,
        KEELSON_LOG_LEVEL: secret,
        KEELSON_CACHE_BYTES_MAX: "1",
        KEELSON_INSECURE: secret,
      },
      {},
      "serve",
    );
    expect(error.bad.map(({ key }) => key).toSorted()).toEqual([
      "KEELSON_CACHE_BYTES_MAX",
      "KEELSON_INSECURE or --insecure",
      "KEELSON_LOG_LEVEL or --log-level",
      "KEELSON_MONGODB_URI",
      "KEELSON_PORT or --port",
    ]);
    expect(error.message).not.toContain(secret);
    expect(error.message).toContain("must be at least 1048576");
  });

  it.each(["0.0.0.0", "::", "192.168.1.2", "example.com"])(
    "asks for --insecure to listen on %s",
    (host) => {
      expect(failureOf({}, { host }).bad[0]?.key).toBe("KEELSON_HOST or --host");
      expect(read({}, { host, insecure: true }).host).toBe(host);
    },
  );

  it.each(["127.0.0.1", "127.8.0.1", "::1", "localhost"])("listens on %s unasked", (host) => {
    expect(read({}, { host }).host).toBe(host);
  });

  it("wants certificate and key together", () => {
    const error = failureOf({ KEELSON_TLS_CERTIFICATE_FILE: "cert.pem" });
    expect(error.bad[0]?.key).toBe("KEELSON_TLS_KEY_FILE or --tls-key");
  });

  it("serves no production without a database", () => {
    expect(failureOf({}, {}, "serve").bad[0]?.key).toBe("KEELSON_MONGODB_URI");
    expect(read({}, { embedded: true }, "serve").database.kind).toBe("embedded");
    const uri = "mongodb://db";
    expect(read({ KEELSON_MONGODB_URI: uri }, {}, "serve").database).toEqual({
      kind: "mongodb",
      uri,
    });
  });

  it("does not mix up a database and the memory", () => {
    const error = failureOf({ KEELSON_MONGODB_URI: "mongodb://db" }, { inMemory: true });
    expect(error.bad[0]?.key).toBe("KEELSON_IN_MEMORY or --in-memory");
  });

  it("tells of variables that look like settings, but not of those Kubernetes makes", () => {
    const config = read({
      KEELSON_PROT: "1",
      KEELSON_PORT: "tcp://10.0.0.1:7420",
      KEELSON_PORT_7420_TCP: "tcp://10.0.0.1:7420",
      KEELSON_SERVICE_HOST: "10.0.0.1",
      KEELSON_ADDRESS: "http://localhost",
    });
    expect(config.unknownVariables).toEqual(["KEELSON_PROT"]);
    expect(config.port).toBe(7420);
  });

  it("keeps its own variables from spawned processes", () => {
    const config = read({
      KEELSON_MONGODB_URI: "mongodb://u:p@db",
      PATH: "/bin",
      EMPTY: undefined,
    });
    expect(config.environment).toEqual({ PATH: "/bin" });
  });
});

describe("printed configuration", () => {
  it.each([
    ["mongodb://user:pass@a:1,b:2/db?replicaSet=x", "mongodb://(hidden)@a:1,b:2/db?replicaSet"],
    ["mongodb+srv://user:p%40ss@cluster", "mongodb+srv://(hidden)@cluster"],
    ["mongodb://us@er:p@ss@host/db", "mongodb://(hidden)@host/db"],
    ["mongodb://host", "mongodb://host"],
    [
      "mongodb://host/?tlsCertificateKeyFilePassword=secret",
      "mongodb://host/?tlsCertificateKeyFilePassword",
    ],
    ["nonsense", "(hidden)"],
  ])("shows %s as %s", (uri, shown) => {
    expect(redactUri(uri)).toBe(shown);
  });

  it("shows every setting and no password", () => {
    const shown = printableConfig(read({ KEELSON_MONGODB_URI: "mongodb://me:hunter2@db" }));
    expect(shown["KEELSON_MONGODB_URI"]).toBe("mongodb://(hidden)@db");
    expect(shown["KEELSON_PORT"]).toBe(7420);
    expect(JSON.stringify(shown)).not.toContain("hunter2");
  });
});

describe("document of the settings", () => {
  it("has a row for every setting that can be printed", () => {
    const text = configDocument();
    for (const variable of Object.keys(printableConfig(read()))) {
      expect(text).toContain(`| \`${variable}\``);
    }
  });
});
