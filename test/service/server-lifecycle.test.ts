// A server from the first moment to the last: what it answers while its database is away, how it
// stops, and how the process ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type EmbeddedFixture, makeEmbeddedFixture } from "../storage/embedded-fixture.ts";
import { connectRaw } from "./support/raw-connection.ts";
import {
  type ObservedServer,
  type ServerSetup,
  startObservedServer,
} from "./support/running-server.ts";

const running: ObservedServer[] = [];
const children: ChildProcess[] = [];
const fixtures: EmbeddedFixture[] = [];

async function start(setup?: ServerSetup): Promise<ObservedServer> {
  const server = await startObservedServer(setup);
  running.push(server);
  return server;
}

async function readJson(url: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(url);
  return { status: answer.status, body: await answer.json() };
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await Promise.all(fixtures.splice(0).map((fixture) => fixture.remove()));
});

describe("a server in memory", () => {
  it("lives and is ready", async () => {
    const server = await start();
    await server.serving;
    expect(await readJson(`${server.url}/healthz`)).toEqual({
      status: 200,
      body: { alive: true, phase: "serving" },
    });
    expect(await readJson(`${server.url}/readyz`)).toEqual({
      status: 200,
      body: { ready: true, phase: "serving", database: "reachable", time: "trusted" },
    });
  });

  it("shows its metrics", async () => {
    const server = await start();
    await server.serving;
    const answer = await fetch(`${server.url}/metrics`);
    expect(answer.headers.get("content-type")).toContain("text/plain");
    const text = await answer.text();
    for (const line of ["keelson_ready 1", "keelson_replicas 1", "keelson_cache_bytes 0"]) {
      expect(text).toContain(`${line}\n`);
    }
    expect(text).toContain("process_resident_memory_bytes");
  });

  it("answers 404 and 405 in words", async () => {
    const { url } = await start();
    expect((await readJson(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/readyz`, { method: "POST" })).status).toBe(405);
  });

  it("can be stopped at any moment, also twice at once", async () => {
    const server = await start();
    await Promise.all([server.stop(), server.stop()]);
    await expect(fetch(server.url)).rejects.toThrow("fetch failed");
  });
});

describe("a server without its database", () => {
  it("lives, is not ready, and stops without delay", async () => {
    const server = await start({
      environment: { KEELSON_MONGODB_URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200" },
      flags: {},
    });
    expect((await readJson(`${server.url}/healthz`)).status).toBe(200);
    const ready = await readJson(`${server.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ ready: false, phase: "starting", database: "unreachable" });
    await server.stop();
    await expect(server.serving).rejects.toThrow(/aborted/);
  });

  it("becomes ready when the database comes", async () => {
    const fixture = await makeEmbeddedFixture();
    fixtures.push(fixture);
    const first = await fixture.start();
    await first.stop();
    const server = await start({ environment: { KEELSON_MONGODB_URI: first.uri }, flags: {} });
    await expect
      .poll(() => server.logLines.join(""), { timeout: 15_000 })
      .toContain("database does not answer");
    expect(server.readiness().ready).toBe(false);
    await fixture.start();
    await server.serving;
    expect((await readJson(`${server.url}/readyz`)).status).toBe(200);
    await server.stop();
  });

  it("turns unready when the database goes, and ready when it is back", async () => {
    const fixture = await makeEmbeddedFixture();
    fixtures.push(fixture);
    const database = await fixture.start();
    const server = await start({ environment: { KEELSON_MONGODB_URI: database.uri }, flags: {} });
    await server.serving;
    await database.stop();
    await expect.poll(() => server.readiness().database, { timeout: 15_000 }).toBe("unreachable");
    expect((await readJson(`${server.url}/readyz`)).status).toBe(503);
    expect((await readJson(`${server.url}/healthz`)).status).toBe(200);
    await fixture.start();
    await expect.poll(() => server.readiness().ready, { timeout: 15_000 }).toBe(true);
    await server.stop();
  });
});

/** Open connections as the server counts them, the one that asks included. */
async function connectionCount(port: number): Promise<number> {
  const headers = { connection: "close" };
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text();
  return Number(/^keelson_connections (\d+)$/m.exec(text)?.[1]);
}

describe("the process", () => {
  /** Runs the command; resolves with its standard output once it is over. */
  function run(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, ["bin/keelson.js", ...words], {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    let text = "";
    const append = (chunk: Buffer): void => {
      text += chunk.toString();
    };
    child.stdout.on("data", append);
    child.stderr.on("data", append);
    const ended = once(child, "close").then(() => ({ code: child.exitCode, text }));
    return { child, ended, output: () => text };
  }

  it("drains and ends with 0 at SIGTERM", async () => {
    const { child, ended, output } = run(["dev", "--in-memory", "--port", "0"]);
    await expect.poll(output, { timeout: 20_000 }).toContain("server serves");
    child.kill("SIGTERM");
    const { code, text } = await ended;
    expect(code).toBe(0);
    expect(text).toContain("server stopped");
  });

  it("ends at once with 1 at the second signal", async () => {
    const { child, ended, output } = run(["dev", "--in-memory", "--port", "0"]);
    await expect.poll(output, { timeout: 20_000 }).toContain("server serves");
    const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(output())?.[1]);
    // A request whose head is not over keeps the server draining.
    const { socket, closed } = await connectRaw(port, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    await expect.poll(() => connectionCount(port)).toBe(2);
    child.kill("SIGTERM");
    await expect.poll(output).toContain("server drains");
    child.kill("SIGTERM");
    expect((await ended).code).toBe(1);
    socket.destroy();
    await closed;
  });

  it("ends with 2 and every bad key when the configuration is bad", async () => {
    const { ended } = run(["serve", "--port", "x", "--log-level", "loud"]);
    const { code, text } = await ended;
    expect(code).toBe(2);
    expect(text).toContain("KEELSON_PORT or --port");
    expect(text).toContain("KEELSON_LOG_LEVEL or --log-level");
  });

  it("ends with 3 when the port is taken", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const address = holder.address();
    const port = typeof address === "object" ? String(address?.port) : "";
    const { ended } = run(["dev", "--in-memory", "--port", port]);
    const { code, text } = await ended;
    holder.close();
    expect(code).toBe(3);
    expect(text).toContain("EADDRINUSE");
  });

  it("prints its configuration without secrets", async () => {
    const uri = "mongodb://me:hunter2@db.example/?replicaSet=main";
    const { ended } = run(["serve", "--print-config"], { KEELSON_MONGODB_URI: uri });
    const { code, text } = await ended;
    expect(code).toBe(0);
    expect(text).not.toContain("hunter2");
    expect(JSON.parse(text)).toMatchObject({
      KEELSON_MONGODB_URI: "mongodb://(hidden)@db.example/?replicaSet",
    });
  });

  it("tells by doctor whether the local server is ready", async () => {
    const { child, ended, output } = run(["dev", "--in-memory", "--port", "0"]);
    await expect.poll(output, { timeout: 20_000 }).toContain("server serves");
    const port = /"address":"127\.0\.0\.1:(\d+)"/.exec(output())?.[1] ?? "";
    expect((await run(["doctor", "--probe", "--port", port]).ended).code).toBe(0);
    child.kill("SIGTERM");
    await ended;
    expect((await run(["doctor", "--probe", "--port", port]).ended).code).toBe(1);
  });

  it("names by doctor what is wrong", async () => {
    const { ended } = run(["doctor", "--port", "0", "-o", "json"], {
      KEELSON_MONGODB_URI: "mongodb://127.0.0.1:1",
    });
    const { code, text } = await ended;
    expect(code).toBe(1);
    expect(JSON.parse(text)).toContainEqual(
      expect.objectContaining({ name: "database", status: "failed" }),
    );
  });
});
