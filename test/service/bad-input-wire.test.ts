// Bytes, headers and JSON that no well-behaved client sends: refused in the words of the protocol
// spoken, with a reason where a service was reached, and nobody else is disturbed.
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import {
  IngestRequestSchema,
  IngestStreamRequestSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { connectRaw } from "./support/raw-connection.ts";
import { typedErrorOf } from "./support/verdict.ts";

const INGEST = "/keelson.runtime.v1.RuntimeControlPlaneService/Ingest";
const GET_INFO = "/keelson.admin.v1.AdminService/GetServerInfo";
const MIB = 1024 * 1024;
const GOOD = '{"runtimeId":"r","ensure":true,"input":{"prompt":{"text":"x"}}}';
/** Field 1, a text of 127 bytes, of which none follows. */
const CUT_OFF = Uint8Array.from([0x0a, 0x7f]);

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

type Headers = Readonly<Record<string, string>>;

function post(body: string | Uint8Array<ArrayBuffer>, headers: Headers = {}, path = INGEST) {
  const allHeaders = { "content-type": "application/json", ...headers };
  return fetch(deployment.url + path, { method: "POST", headers: allHeaders, body });
}

interface WireDetail {
  readonly type: string;
  readonly value: string;
}

/** Status, reason and wrong fields of an answer of Connect. */
async function verdictOf(answer: Response) {
  const { details = [] } = (await answer.json()) as { readonly details?: readonly WireDetail[] };
  const detail = (type: string): Uint8Array => {
    const found = details.find((candidate) => candidate.type === type);
    return base64Decode(found?.value ?? "");
  };
  const { reason } = fromBinary(ErrorInfoSchema, detail(ErrorInfoSchema.typeName));
  const { fieldViolations } = fromBinary(BadRequestSchema, detail(BadRequestSchema.typeName));
  return { status: answer.status, reason, fields: fieldViolations.map(({ field }) => field) };
}

function enveloped(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

/** One call as gRPC, Ingest unless named, byte by byte as given; the error that it ends with. */
async function callOverHttp2(headers: Headers, body: Uint8Array) {
  const session = connectHttp2(deployment.url);
  const stream = session.request({
    ":method": "POST",
    ":path": INGEST,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.end(body);
  stream.resume();
  const [trailers] = (await once(stream, "trailers")) as [Headers];
  session.close();
  return { error: findTrailerError(new globalThis.Headers(Object.entries(trailers))) };
}

async function expectServing(): Promise<void> {
  const { runtimes } = clientsOf(deployment.url);
  const { outcome } = await runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt("x") });
  expect(outcome.case).toBe("accepted");
}

describe("a message that cannot be decoded", () => {
  it.each([
    ["no JSON", "{", "request"],
    ["nothing at all", "", "request"],
    ["a list", "[]", "request"],
    ["null", "null", "request"],
    ["a field that nobody knows", '{"runtimeId":"r","expectedStat":1}', "request"],
    ["an enum that nobody knows", '{"runtimeId":"r","input":{"durability":"SAFE"}}', "request"],
    ["two kinds", '{"input":{"prompt":{},"peer":{}}}', "Input.kind"],
    ["a lone surrogate in a text", '{"input":{"prompt":{"text":"\\ud800"}}}', "PromptInput.text"],
    [
      "a lone surrogate in a key",
      '{"input":{"idempotencyKey":"\\udc00"}}',
      "Input.idempotency_key",
    ],
    ["a lone surrogate in a label", '{"input":{"labels":{"\\ud800":"x"}}}', "Input.labels"],
    ["a lone surrogate in an id", '{"runtimeId":"\\udfff"}', "IngestRequest.runtime_id"],
    ["a time that is none", '{"input":{"createdAt":"10000-01-01T00:00:00Z"}}', "request"],
    [
      "bytes that are none",
      '{"input":{"prompt":{"blocks":[{"image":{"data":"*"}}]}}}',
      "ImageBlock.data",
    ],
    ["100,000 levels", `{"input":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "request"],
  ])("as JSON: %s", async (_what, body, field) => {
    const verdict = await verdictOf(await post(body));
    expect(verdict).toEqual({ status: 400, reason: "INVALID_FIELD", fields: [field] });
  });

  it("as JSON: a lone surrogate in the name of a member", async () => {
    const payload = '{"\\ud800":1}';
    const event = `{"eventType":"e","payload":${payload}}`;
    const body = `{"runtimeId":"r","input":{"externalEvent":${event}}}`;
    expect(await verdictOf(await post(body))).toEqual({
      status: 400,
      reason: "INVALID_FIELD",
      fields: ["input.external_event.payload"],
    });
  });

  it("as JSON: bytes that are no UTF-8", async () => {
    const body = Buffer.concat([Buffer.from('{"runtimeId":"'), Buffer.from([0xed, 0xa0, 0x80])]);
    const verdict = await verdictOf(await post(Uint8Array.from(body)));
    expect(verdict).toMatchObject({ status: 400, reason: "INVALID_FIELD" });
  });

  it("as protobuf over Connect", async () => {
    const answer = await post(CUT_OFF, { "content-type": "application/proto" });
    expect(await verdictOf(answer)).toMatchObject({ status: 400, reason: "INVALID_FIELD" });
  });

  it("as protobuf over gRPC-Web", async () => {
    const headers = { "content-type": "application/grpc-web+proto" };
    const answer = await post(enveloped(CUT_OFF), headers);
    const trailer = new TextDecoder().decode((await answer.arrayBuffer()).slice(5));
    const lines = trailer.trim().split("\r\n");
    const fields = lines.map((line) => line.split(": ", 2) as [string, string]);
    const error = findTrailerError(new globalThis.Headers(fields));
    expect(typedErrorOf(error)).toMatchObject({ reason: "INVALID_FIELD", fields: ["request"] });
  });

  it.each([
    ["cut off", Buffer.from(CUT_OFF)],
    ["a text that is no UTF-8", Buffer.from([0x0a, 0x03, 0xed, 0xa0, 0x80])],
    ["a group that never ends", Buffer.from([0x0b])],
  ])("as protobuf over gRPC: %s", async (_what, message) => {
    const { host } = new URL(deployment.url);
    const client = new grpc.Client(host, grpc.credentials.createInsecure());
    const { promise, resolve } = Promise.withResolvers<grpc.ServiceError | null>();
    const asIs = (bytes: Buffer): Buffer => bytes;
    client.makeUnaryRequest(INGEST, asIs, asIs, message, resolve);
    const error = await promise;
    client.close();
    expect(error?.code).toBe(grpc.status.INVALID_ARGUMENT);
    const [details] = error?.metadata.get("grpc-status-details-bin") ?? [];
    expect(Buffer.from(details ?? "").includes("INVALID_FIELD")).toBe(true);
  });

  it("that grows beyond the limit when it is unpacked", async () => {
    const bomb = gzipSync(Buffer.alloc(40 * MIB, " "));
    const answer = await post(Uint8Array.from(bomb), { "content-encoding": "gzip" });
    expect(await verdictOf(answer)).toMatchObject({ status: 429, reason: "LIMIT_EXCEEDED" });
  });

  it("that says it is packed and is not", async () => {
    const answer = await post(GOOD, { "content-encoding": "gzip" });
    expect(await verdictOf(answer)).toMatchObject({ status: 400, reason: "INVALID_FIELD" });
  });

  it("counts among the calls", async () => {
    await post("{");
    const metrics = await (await fetch(`${deployment.url}/metrics`)).text();
    expect(metrics).toMatch(/Ingest",code="invalid_argument",reason="INVALID_FIELD"} [1-9]/);
  });
});

describe("a request that is none", () => {
  it.each([
    ["a type of content that is not served", "POST", INGEST, { "content-type": "text/plain" }, 415],
    [
      "letters in another code",
      "POST",
      INGEST,
      { "content-type": "application/json; charset=x" },
      415,
    ],
    [
      "a GET of a call that changes something",
      "GET",
      `${INGEST}?encoding=json&message=%7B%7D`,
      {},
      405,
    ],
    ["a PUT", "PUT", INGEST, { "content-type": "application/json" }, 405],
    ["an unknown packing", "POST", INGEST, { "content-encoding": "zstd" }, 501],
    ["a method that there is not", "POST", `${INGEST}More`, {}, 404],
    ["a path that there is not", "POST", "/nothing", {}, 404],
  ])("%s", async (_what, method, path, headers: Headers, status) => {
    const json = { "content-type": "application/json" };
    const init = method === "GET" ? {} : { body: GOOD, headers: { ...json, ...headers } };
    expect((await fetch(deployment.url + path, { method, ...init })).status).toBe(status);
  });
});

describe("headers", () => {
  it.each([
    ["a namespace of 257 letters", "keelson-namespace", "x".repeat(257)],
    ["a namespace beyond ASCII", "keelson-namespace", "caf\u00e9"],
    ["an actor with a tab", "keelson-actor", "a\tb"],
  ])("with %s are refused", async (_what, name, value) => {
    expect(await verdictOf(await post(GOOD, { [name]: value }))).toEqual({
      status: 400,
      reason: "INVALID_FIELD",
      fields: [name],
    });
  });

  it.each(["soon", "-5", "99999999999"])("with the deadline %s are refused", async (value) => {
    const verdict = await verdictOf(await post(GOOD, { "connect-timeout-ms": value }));
    expect(verdict).toMatchObject({ status: 400, reason: "INVALID_FIELD" });
  });

  it("with a trace that is none are taken without it", async () => {
    expect((await post(GOOD, { traceparent: "00-zz-1-01" })).status).toBe(200);
  });

  it("of more than 32 KiB are refused, over HTTP/1.1 and HTTP/2", async () => {
    expect((await post(GOOD, { "x-large": "y".repeat(40_000) })).status).toBe(431);
    const session = connectHttp2(deployment.url);
    const stream = session.request({ ":path": GET_INFO, "x-large": "y".repeat(70_000) });
    const [error] = (await once(stream, "error")) as [Error];
    expect(error.message).toMatch(/ENHANCE_YOUR_CALM|REFUSED|too large|exceeds|INTERNAL/i);
    session.destroy();
    await expectServing();
  });
});

describe("connections", () => {
  it("with garbage are answered 400 and closed, and nobody else is disturbed", async () => {
    const port = Number(new URL(deployment.url).port);
    for (const bytes of [Buffer.alloc(1_000, 0xff), "\0\0\0\0", "GET GET GET\r\n\r\n"]) {
      const { closed } = await connectRaw(port, bytes);
      expect(await closed).toMatch(/^HTTP\/1\.1 400 /);
    }
    await expectServing();
  });

  it("whose other half is gone in the middle of a message change nothing", async () => {
    const { runtimes, namespace } = clientsOf(deployment.url);
    const port = Number(new URL(deployment.url).port);
    const head =
      `POST ${INGEST} HTTP/1.1\r\nHost: x\r\nkeelson-namespace: ${namespace}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${GOOD.length}\r\n\r\n`;
    const { socket, closed } = await connectRaw(port, `${head}${GOOD.slice(0, -1)}`);
    socket.end();
    await closed;
    expect((await runtimes.listRuntimes({})).runtimes).toEqual([]);
  });

  it("that promise more than they send are refused, over HTTP/2", async () => {
    const { error } = await callOverHttp2({}, enveloped(CUT_OFF).subarray(0, 6));
    expect(typedErrorOf(error).reason).toBe("INVALID_FIELD");
  });

  it("whose second message cannot be decoded end after the first one was taken", async () => {
    const { runtimes, namespace } = clientsOf(deployment.url);
    const request = create(IngestStreamRequestSchema, {
      runtimeId: "r",
      ensure: true,
      input: prompt("x"),
    });
    const first = enveloped(toBinary(IngestStreamRequestSchema, request));
    const cutOff = Uint8Array.from([0x12, 0x7f]);
    const both = Buffer.concat([first, enveloped(cutOff)]);
    const headers = { ":path": `${INGEST}Stream`, "keelson-namespace": namespace };
    const { error } = await callOverHttp2(headers, both);
    expect(typedErrorOf(error).reason).toBe("INVALID_FIELD");
    await expect
      .poll(async () => (await runtimes.listRuntimes({})).runtimes.length, { timeout: 10_000 })
      .toBe(1);
  });

  it("with deadlines that are over are answered so, and nothing is done", async () => {
    const { runtimes, namespace } = clientsOf(deployment.url);
    const inNamespace = { "keelson-namespace": namespace };
    const past = await post(GOOD, { ...inNamespace, "connect-timeout-ms": "0" });
    expect(await verdictOf(past)).toMatchObject({ status: 504, reason: "DEADLINE_EXCEEDED" });
    const request = create(IngestRequestSchema, {
      runtimeId: "r",
      ensure: true,
      input: prompt("x"),
    });
    const message = enveloped(toBinary(IngestRequestSchema, request));
    const { error } = await callOverHttp2({ ...inNamespace, "grpc-timeout": "0n" }, message);
    expect(typedErrorOf(error).reason).toBe("DEADLINE_EXCEEDED");
    expect((await runtimes.listRuntimes({})).runtimes).toEqual([]);
  });

  it("that are given up before they are served leave an error of their own", async () => {
    const leaving = new AbortController();
    const { runtimes } = clientsOf(deployment.url);
    const call = runtimes.listRuntimes({}, { signal: leaving.signal });
    leaving.abort();
    await expect(call).rejects.toBeInstanceOf(ConnectError);
    await expectServing();
  });
});
