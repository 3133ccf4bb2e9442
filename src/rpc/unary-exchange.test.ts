import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
} from "node:http2";
import { gunzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Status,
  HealthListResponseSchema,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { joinFrames } from "./grpc-frames.ts";
import { makeRpcHandler } from "./http-handler.ts";
import { makeCallInterceptor } from "./interceptor.ts";
import type { RpcObserver } from "./observer.ts";

const LIMIT_BYTES = 10_000;
const PATIENCE_MS = 1_000;
const CHECK = "/grpc.health.v1.Health/Check";
const LIST = "/grpc.health.v1.Health/List";
const MANY = Object.fromEntries(
  Array.from({ length: 200 }, (_, index) => [`service ${index}`, { status: Status.SERVING }]),
);

const question = (service: string): Uint8Array =>
  toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }));
const asked = (service: string): Buffer => joinFrames([question(service)]);

/** A call that the handler was asked for. */
interface Seen {
  readonly service: string;
  readonly context: HandlerContext;
}

interface Answer {
  readonly status: unknown;
  readonly encoding: unknown;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

let server: Http2Server;
let session: ClientHttp2Session;
let heldBytes: number;
let seen: Seen[];
let turnedAway: string[];
let reported: string[];

async function check(service: string, context: HandlerContext) {
  seen.push({ service, context });
  if (service === "refused") throw new ConnectError("not that one", Code.Unimplemented);
  if (service === "broken") throw new Error("a secret of the server");
  if (service === "waits") await once(context.signal, "abort");
  return { status: Status.SERVING };
}

beforeEach(async () => {
  heldBytes = 0;
  seen = [];
  turnedAway = [];
  reported = [];
  const observer: RpcObserver = {
    rpcFinished: ({ code }) => void reported.push(code),
    itemFailed: () => undefined,
  };
  const handle = makeRpcHandler({
    routes: (register) =>
      register(
        Health,
        {
          check: ({ service }, context) => check(service, context),
          list: () => ({ statuses: MANY }),
        },
        { interceptors: [makeCallInterceptor(observer)] },
      ),
    shortWays: new Map(),
    gate: () => undefined,
    onTurnedAway: (_service, method, code, reason) =>
      void turnedAway.push(`${method} ${code} ${reason}`),
    shutdownSignal: new AbortController().signal,
    budget: {
      take: (bytes) => void (heldBytes += bytes),
      release: (bytes) => void (heldBytes -= bytes),
      room: () => undefined,
    },
    requestTimeoutMs: PATIENCE_MS,
    messageBytesMax: LIMIT_BYTES,
    onBroken: (_method, error) => {
      throw error;
    },
  });
  server = createServer((request, response) => void handle(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a port was asked for");
  session = connect(`http://127.0.0.1:${address.port}`);
});

afterEach(() => {
  session.destroy();
  server.close();
});

function begin(path: string, headers: IncomingHttpHeaders = {}) {
  return session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
}

async function answerTo(stream: ReturnType<typeof begin>): Promise<Answer> {
  const chunks: Buffer[] = [];
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (headers: IncomingHttpHeaders) => {
    head = headers;
  });
  stream.on("trailers", (headers: IncomingHttpHeaders) => {
    trailers = headers;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "close");
  return {
    status: head[":status"],
    encoding: head["grpc-encoding"],
    trailers: { ...trailers },
    body: Buffer.concat(chunks),
  };
}

function ask(path: string, pieces: readonly Buffer[], headers: IncomingHttpHeaders = {}) {
  const stream = begin(path, headers);
  for (const piece of pieces) stream.write(piece);
  stream.end();
  return answerTo(stream);
}

const whole = asked("any");
const compressed = Buffer.from(whole);
compressed.writeUInt8(1, 0);

interface Question {
  readonly name: string;
  readonly pieces: readonly Buffer[];
  readonly headers?: Readonly<Record<string, string>>;
}

const QUESTIONS: readonly Question[] = [
  { name: "one message", pieces: [whole] },
  { name: "one message in two pieces", pieces: [whole.subarray(0, 3), whole.subarray(3)] },
  { name: "an empty message", pieces: [joinFrames([new Uint8Array()])] },
  { name: "no message", pieces: [] },
  { name: "two messages", pieces: [whole, whole] },
  { name: "half a message", pieces: [whole.subarray(0, whole.length - 1)] },
  { name: "half a head of a message", pieces: [whole.subarray(0, 2)] },
  { name: "a message over the limit", pieces: [asked("x".repeat(LIMIT_BYTES))] },
  { name: "a message that says it is compressed", pieces: [compressed] },
  {
    name: "bytes that are no message",
    pieces: [joinFrames([Buffer.from("\xff\xff garbage", "latin1")])],
  },
  { name: "a call that the handler refuses", pieces: [asked("refused")] },
  { name: "a call that breaks the handler", pieces: [asked("broken")] },
  { name: "a deadline", pieces: [whole], headers: { "grpc-timeout": "5S" } },
  { name: "a deadline in a year", pieces: [whole], headers: { "grpc-timeout": "8760H" } },
  { name: "a deadline that cannot be read", pieces: [whole], headers: { "grpc-timeout": "soon" } },
  { name: "a deadline that passes", pieces: [asked("waits")], headers: { "grpc-timeout": "50m" } },
  { name: "a deadline that is over", pieces: [asked("waits")], headers: { "grpc-timeout": "0m" } },
  {
    name: "binary messages by their full name",
    pieces: [whole],
    headers: { "content-type": "application/grpc+proto" },
  },
];

describe("a unary call over gRPC", () => {
  it.each(QUESTIONS)(
    "with $name is answered as on the general way",
    async ({ pieces, headers }) => {
      const short = await ask(CHECK, pieces, headers);
      const afterShort = [seen.length, [...turnedAway], [...reported]];
      seen = [];
      turnedAway = [];
      reported = [];
      const general = await ask(CHECK, pieces, { ...headers, "grpc-encoding": "identity" });
      expect(short).toEqual(general);
      expect(short.status).toBe(200);
      expect(afterShort).toEqual([seen.length, turnedAway, reported]);
      expect(heldBytes).toBe(0);
    },
  );

  it("tells its handler the deadline and the headers", async () => {
    await ask(CHECK, [whole], { "grpc-timeout": "5S", "keelson-actor": "somebody" });
    const { context } = seen[0] ?? {};
    expect(context?.requestHeader.get("keelson-actor")).toBe("somebody");
    expect(context?.timeoutMs()).toBeGreaterThan(0);
    expect(context?.timeoutMs()).toBeLessThanOrEqual(5_000);
    expect(context?.protocolName).toBe("grpc");
  });

  it("with a deadline in a year has none, and time to be answered", async () => {
    const { trailers } = await ask(CHECK, [whole], { "grpc-timeout": "8760H" });
    expect(trailers["grpc-status"]).toBe("0");
    expect(seen[0]?.context.timeoutMs()).toBeUndefined();
  });

  it("gets a large answer compressed only when the caller reads that", async () => {
    const plain = await ask(LIST, [joinFrames([new Uint8Array()])]);
    expect([plain.encoding, plain.body.readUInt8(0)]).toEqual([undefined, 0]);
    const headers = { "grpc-accept-encoding": "identity,deflate,gzip" };
    const zipped = await ask(LIST, [joinFrames([new Uint8Array()])], headers);
    expect([zipped.encoding, zipped.body.readUInt8(0)]).toEqual(["gzip", 1]);
    const bytes = gunzipSync(zipped.body.subarray(5));
    expect(bytes).toEqual(plain.body.subarray(5));
    expect(Object.keys(fromBinary(HealthListResponseSchema, bytes).statuses)).toHaveLength(200);
    const small = await ask(CHECK, [whole], headers);
    expect([small.encoding, small.body.readUInt8(0)]).toEqual([undefined, 0]);
  });

  it("whose message does not arrive ends in time, and its stream with it", async () => {
    const stream = begin(CHECK);
    stream.write(whole.subarray(0, 3));
    const { trailers } = await answerTo(stream);
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    expect(turnedAway).toEqual(["Check deadline_exceeded DEADLINE_EXCEEDED"]);
    expect(heldBytes).toBe(0);
  });

  it("that sends a second message is ended before its caller is done", async () => {
    const stream = begin(CHECK);
    stream.write(joinFrames([question("one"), question("two")]));
    const { trailers } = await answerTo(stream);
    expect(trailers["grpc-message"]).toContain("extra");
    expect(seen).toEqual([]);
  });

  it("whose caller is lost before its message is whole asks no handler", async () => {
    const stream = begin(CHECK);
    stream.on("error", () => undefined);
    stream.write(whole.subarray(0, 3));
    await until(() => heldBytes === 3);
    session.destroy();
    await until(() => heldBytes === 0);
    expect([seen, turnedAway, reported]).toEqual([[], [], []]);
  });

  it("that is given up tells its handler", async () => {
    const stream = begin(CHECK);
    stream.on("error", () => undefined);
    stream.end(asked("waits"));
    await until(() => seen.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => reported.length === 1);
    expect(ConnectError.from(seen[0]?.context.signal.reason).code).toBe(Code.Canceled);
    expect(heldBytes).toBe(0);
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
