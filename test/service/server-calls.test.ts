// Calls at the edges of a server's life and of its means: every protocol, before the database is
// there, while draining, over the budget, over the size; and what is never logged.
import { Code, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterEach, describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.ts";
import {
  RuntimeControlPlaneService,
  WatchEndReason,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { SERVER_VERSION } from "../../src/server/version.ts";
import { connectRaw } from "./support/raw-connection.ts";
import {
  type ObservedServer,
  type ServerSetup,
  startObservedServer,
} from "./support/running-server.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const INGEST_PATH = "/keelson.runtime.v1.RuntimeControlPlaneService/Ingest";
const MIB = 1024 * 1024;
const running: ObservedServer[] = [];

async function start(setup?: ServerSetup): Promise<ObservedServer> {
  const server = await startObservedServer(setup);
  running.push(server);
  return server;
}

async function startServing(setup?: ServerSetup): Promise<ObservedServer> {
  const server = await start(setup);
  await server.serving;
  return server;
}

function clientsOf(transport: Transport) {
  return {
    runtimes: createClient(RuntimeControlPlaneService, transport),
    health: createClient(Health, transport),
  };
}

function connectTo(server: ObservedServer) {
  return clientsOf(createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }));
}

function promptOf(text: string) {
  return { kind: { case: "prompt" as const, value: { text } } };
}

function ingestTo(server: ObservedServer, text = "hello", headers: Record<string, string> = {}) {
  const request = { runtimeId: "agent-1", ensure: true, input: promptOf(text) };
  return connectTo(server).runtimes.ingest(request, { headers });
}

function postJson(server: ObservedServer, body: string, headers: Record<string, string> = {}) {
  return fetch(`${server.url}${INGEST_PATH}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
}

/** The next message of a stream; undefined when it is over. */
async function nextOf<Message>(stream: AsyncIterator<Message>): Promise<Message | undefined> {
  const step: IteratorResult<Message, unknown> = await stream.next();
  return step.done ? undefined : step.value;
}

/** The value of a gauge, asked on a connection of its own. */
async function gaugeOf(server: ObservedServer, name: string): Promise<number> {
  const headers = { connection: "close" };
  const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
  return Number(new RegExp(`^keelson_${name} (\\d+)$`, "m").exec(text)?.[1]);
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

describe("one port for every protocol", () => {
  it.each([
    [
      "Connect over HTTP/1.1",
      (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    ],
    [
      "Connect over HTTP/2",
      (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
    ],
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    [
      "gRPC-Web over HTTP/1.1",
      (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    ],
  ])("serves %s", async (_protocol, transportTo) => {
    const server = await startServing();
    const { runtimes, health } = clientsOf(transportTo(server.url));
    const { outcome } = await runtimes.ingest({
      runtimeId: "agent-1",
      ensure: true,
      input: promptOf("hello"),
    });
    expect(outcome.case).toBe("accepted");
    expect((await health.check({})).status).toBe(Status.SERVING);
  });

  it("counts its calls", async () => {
    const server = await startServing();
    await ingestTo(server);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toContain(`method="${INGEST_PATH.slice(1)}",code="ok",reason=""} 1`);
    expect(text).toContain("keelson_commit_batch_commits_sum 1");
    expect(text).toContain("keelson_in_flight_request_bytes 0");
  });

  it("answers 400 to a host that cannot be one, and lives on", async () => {
    const server = await startServing();
    const port = Number(new URL(server.url).port);
    const body = "{}";
    const { closed } = await connectRaw(
      port,
      `POST ${INGEST_PATH} HTTP/1.1\r\nHost: [\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    expect(await closed).toMatch(/^HTTP\/1\.1 400 /);
    await ingestTo(server);
  });
});

describe("calls of any size and pace", () => {
  const prefix = '{"runtimeId":"agent-1","ensure":true,"input":{"prompt":{"text":"';
  const suffix = '"}}}';

  it.each([
    ["a small body in pieces", 100, 4],
    ["a body just over what goes the short way", 64 * 1024, 3],
    ["a large body", 900 * 1024, 50],
  ])("takes %s", async (_what, textBytes, pieces) => {
    const server = await startServing();
    const body = `${prefix}${"x".repeat(textBytes)}${suffix}`;
    const { socket, closed } = await connectRaw(
      Number(new URL(server.url).port),
      `POST ${INGEST_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
    );
    const pieceBytes = Math.ceil(body.length / pieces);
    for (let from = 0; from < body.length; from += pieceBytes) {
      socket.write(body.slice(from, from + pieceBytes));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    const answer = await closed;
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('"accepted"');
  });

  it("takes a body without a length, and text of every alphabet", async () => {
    const server = await startServing();
    const text = "żółć 漢字 🙂";
    const answer = await fetch(`${server.url}${INGEST_PATH}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Blob([`${prefix}${text}${suffix}`]).stream(),
      duplex: "half",
    });
    expect(answer.status).toBe(200);
    const { runtimes } = connectTo(server);
    const { inputs } = await runtimes.listInputs({ runtimeId: "agent-1" });
    const target = { case: "inputId" as const, value: inputs[0]?.inputId ?? "" };
    const request = { runtimeId: "agent-1", target, includePayload: true };
    const { input } = await runtimes.getInput(request);
    const kind = input?.input?.kind;
    expect(kind?.case === "prompt" ? kind.value.text : "").toBe(text);
  });

  it("answers reads by GET, as the contract allows", async () => {
    const server = await startServing();
    const query = new URLSearchParams({ connect: "v1", encoding: "json", message: "{}" });
    const path = "/keelson.admin.v1.AdminService/GetServerInfo";
    const answer = await fetch(`${server.url}${path}?${query.toString()}`);
    expect(await answer.json()).toMatchObject({ version: SERVER_VERSION });
  });

  it("forgets a caller that breaks off, within its body or while it waits", async () => {
    const server = await startServing();
    const port = Number(new URL(server.url).port);
    const { outcome } = await ingestTo(server);
    const inputId = outcome.case === "accepted" ? outcome.value.inputId : "";
    const body = JSON.stringify({ runtimeId: "agent-1", inputId });
    const head = `POST ${INGEST_PATH.replace("Ingest", "AwaitInput")} HTTP/1.1\r\nHost: x\r\n`;
    const fields = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const within = await connectRaw(port, `${head}${fields}{"run`);
    const waiting = await connectRaw(port, `${head}${fields}${body}`);
    await expect.poll(() => gaugeOf(server, "connections")).toBeGreaterThanOrEqual(3);
    within.socket.resetAndDestroy();
    waiting.socket.resetAndDestroy();
    await expect.poll(() => gaugeOf(server, "in_flight_request_bytes")).toBe(0);
    const canceled = '/AwaitInput",code="canceled",reason="CANCELLED"} 1';
    await expect
      .poll(async () => (await fetch(`${server.url}/metrics`)).text())
      .toContain(canceled);
    expect(server.logLines.join("")).not.toContain("failed inside");
  });
});

describe("a server that waits for its database", () => {
  it("refuses calls in words of its own and says when to come back", async () => {
    const server = await start({
      environment: { KEELSON_MONGODB_URI: "mongodb://127.0.0.1:1/" },
      flags: {},
    });
    await expect
      .poll(() => server.logLines.join(""), { timeout: 15_000 })
      .toContain("database does not answer");
    expect(await wireErrorOf(ingestTo(server))).toEqual({
      code: Code.Unavailable,
      reason: "DATABASE_UNAVAILABLE",
      hasRetryDelay: true,
    });
    const { health } = connectTo(server);
    expect((await health.check({})).status).toBe(Status.NOT_SERVING);
  });
});

describe("a server that drains", () => {
  it("answers waiting calls, ends watches with a position, and refuses new calls", async () => {
    const server = await startServing();
    const { runtimes, health } = clientsOf(createGrpcTransport({ baseUrl: server.url }));
    const { outcome } = await runtimes.ingest({
      runtimeId: "agent-1",
      ensure: true,
      input: promptOf("hello"),
    });
    const inputId = outcome.case === "accepted" ? outcome.value.inputId : "";
    const watch = runtimes.watchRuntime({ runtimeId: "agent-1" })[Symbol.asyncIterator]();
    expect((await nextOf(watch))?.message.case).toBe("bookmark");
    const waiting = runtimes.awaitInput({
      runtimeId: "agent-1",
      target: { case: "inputId", value: inputId },
    });
    // On the same connection, so that the call before has arrived when this one is answered.
    await health.check({});
    const stopped = server.stop();
    const { completion } = await waiting;
    expect(completion?.outcome.case).toBe("pending");
    const last = (await nextOf(watch))?.message;
    expect(last?.case).toBe("end");
    expect(last?.case === "end" ? last.value.reason : undefined).toBe(
      WatchEndReason.SERVER_DRAINING,
    );
    expect(last?.case === "end" ? last.value.resumeAfter?.revision : 0n).toBe(1n);
    expect(await nextOf(watch)).toBeUndefined();
    await stopped;
    expect(server.logLines.join("")).not.toContain("calls in flight are cut");
  });

  it("refuses calls on connections that are still open", async () => {
    const server = await startServing();
    const port = Number(new URL(server.url).port);
    // A call whose message is not over keeps its connection open.
    const { socket, closed } = await connectRaw(
      port,
      `POST ${INGEST_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`,
    );
    await expect.poll(() => gaugeOf(server, "connections")).toBe(2);
    const stopped = server.stop();
    socket.write("Content-Length: 2\r\n\r\n{}");
    const answer = await closed;
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain("SERVER_DRAINING");
    await stopped;
  });
});

describe("limits of a server", () => {
  it("refuses a message that is too large, whatever it holds", async () => {
    const server = await startServing();
    const answer = await postJson(server, `{"runtimeId":"${"x".repeat(40 * MIB)}"}`);
    expect(answer.status).toBe(429);
    expect(await answer.json()).toMatchObject({ code: "resource_exhausted" });
  });

  it("refuses calls while others hold all the memory, and serves again afterwards", async () => {
    const server = await startServing({
      environment: { KEELSON_IN_FLIGHT_BYTES_MAX: String(8 * MIB) },
    });
    const port = Number(new URL(server.url).port);
    const { socket, closed } = await connectRaw(
      port,
      `POST ${INGEST_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${20 * MIB}\r\n\r\n`,
    );
    socket.write(Buffer.alloc(9 * MIB, " "));
    const heldBytes = () => gaugeOf(server, "in_flight_request_bytes");
    await expect.poll(heldBytes, { timeout: 10_000 }).toBeGreaterThanOrEqual(9 * MIB);
    expect(await wireErrorOf(ingestTo(server))).toEqual({
      code: Code.ResourceExhausted,
      reason: "OVERLOADED",
      hasRetryDelay: true,
    });
    socket.destroy();
    await closed;
    await expect.poll(heldBytes).toBe(0);
    expect((await ingestTo(server)).outcome.case).toBe("accepted");
  });
});

describe("the log", () => {
  it("holds no payload, no token and no header, whatever happens to a call", async () => {
    const canary = "canary-51c7e2";
    const server = await startServing({ logLevel: "trace" });
    const headers = { authorization: `Bearer ${canary}`, "x-note": canary };
    await ingestTo(server, canary, headers);
    await ingestTo(server, `\u0000${canary}`, headers).catch(() => undefined);
    await ingestTo(server, canary.repeat(200_000), headers).catch(() => undefined);
    await postJson(server, `{"runtimeId": "agent-1", "input": {"prompt": ${canary}}}`, headers);
    await postJson(server, `{"${canary}": 1, "runtimeId": 7}`, headers);
    await postJson(server, canary, { ...headers, "content-type": "application/grpc" });
    await fetch(`${server.url}/${canary}`);
    await server.stop();
    const text = server.logLines.join("");
    expect(text).toContain("call answered");
    expect(text).not.toContain(canary);
  });
});
