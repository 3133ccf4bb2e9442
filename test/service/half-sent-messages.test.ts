// Messages over HTTP/2 that begin and never end: they are given up after a time, and a stream that
// merely has nothing to say is not.
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { afterEach, expect, it } from "vitest";
import {
  IngestRequestSchema,
  IngestStreamRequestSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { prompt } from "./support/inputs.ts";
import { type ObservedServer, startObservedServer } from "./support/running-server.ts";
import { typedErrorOf } from "./support/verdict.ts";

const SERVICE = "keelson.runtime.v1.RuntimeControlPlaneService";
const PATIENCE = { timeout: 10_000 };
const servers: ObservedServer[] = [];
const sessions: ClientHttp2Session[] = [];

afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(requestTimeoutMs: number): Promise<ObservedServer> {
  const environment = { KEELSON_REQUEST_TIMEOUT_MS: String(requestTimeoutMs) };
  const server = await startObservedServer({ environment });
  servers.push(server);
  await server.serving;
  return server;
}

/** A call that is open, with what came of it so far. */
function open(server: ObservedServer, method: string) {
  const session = connectHttp2(server.url);
  sessions.push(session);
  const stream = session.request({
    ":method": "POST",
    ":path": `/${SERVICE}/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  let answeredBytes = 0;
  stream.on("data", (piece: Buffer) => {
    answeredBytes += piece.byteLength;
  });
  stream.on("error", () => undefined);
  const ended = once(stream, "trailers").then(([trailers]: Record<string, string>[]) => {
    return typedErrorOf(findTrailerError(new Headers(Object.entries(trailers ?? {}))));
  });
  const closed = once(stream, "close");
  return { stream, ended, closed, answeredBytes: () => answeredBytes };
}

function enveloped(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

const input = prompt("x");
const request = { runtimeId: "r", ensure: true, input };
const INGEST = enveloped(toBinary(IngestRequestSchema, create(IngestRequestSchema, request)));
const ITEM = enveloped(
  toBinary(IngestStreamRequestSchema, create(IngestStreamRequestSchema, request)),
);

it.each([
  ["nothing at all", INGEST.subarray(0, 0)],
  ["half an envelope", INGEST.subarray(0, 3)],
  ["half a message", INGEST.subarray(0, -1)],
])("a call with %s ends with a typed error, and its stream is closed", async (_what, piece) => {
  const server = await start(150);
  const { stream, ended, closed } = open(server, "Ingest");
  if (piece.byteLength > 0) stream.write(piece);
  expect(await ended).toMatchObject({
    reason: "DEADLINE_EXCEEDED",
    metadata: { limitMs: "150" },
  });
  await closed;
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/Ingest",code="deadline_exceeded",reason="DEADLINE_EXCEEDED"} 1/);
  expect(metrics).toContain("keelson_in_flight_request_bytes 0");
});

it("a stream whose next message stays incomplete ends, after the first one was taken", async () => {
  const server = await start(300);
  const { stream, ended, answeredBytes } = open(server, "IngestStream");
  stream.write(Buffer.concat([ITEM, ITEM.subarray(0, 4)]));
  await expect.poll(answeredBytes, PATIENCE).toBeGreaterThan(0);
  expect(await ended).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
});

it("a stream may be silent between its messages, and messages may come in pieces", async () => {
  const server = await start(300);
  const { stream, answeredBytes } = open(server, "IngestStream");
  stream.write(ITEM);
  await expect.poll(answeredBytes, PATIENCE).toBeGreaterThan(0);
  const [quietSinceMs, answeredBefore] = [performance.now(), answeredBytes()];
  await expect.poll(() => performance.now() - quietSinceMs, PATIENCE).toBeGreaterThan(600);
  stream.write(ITEM.subarray(0, 2));
  stream.write(ITEM.subarray(2, 9));
  stream.write(ITEM.subarray(9));
  await expect.poll(answeredBytes, PATIENCE).toBeGreaterThan(answeredBefore);
  expect(stream.closed).toBe(false);
});
