// The one port under everything that can arrive on it. The handler is a plain echo, so that what is
// seen is the listener alone.
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { Writable } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import type { NodeRequest, NodeResponse } from "../../src/rpc/node-request.ts";
import {
  listen,
  type Listener,
  type ListenerOptions,
  type RefusedConnection,
} from "../../src/server/listener.ts";
import { getOverHttp2 } from "./support/http2-client.ts";
import { connectRaw } from "./support/raw-connection.ts";
import { makeCertificate } from "./support/certificate.ts";

const opened: Listener[] = [];
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

function echo(request: NodeRequest, response: NodeResponse): void {
  const body: Writable = response;
  body.end(`${request.httpVersion} ${request.method} ${request.url}`);
}

async function open(options: Partial<ListenerOptions> = {}) {
  const refused: RefusedConnection[] = [];
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    connectionsMax: 100,
    connectionStreamsMax: 10,
    headerTimeoutMs: 5_000,
    requestTimeoutMs: 5_000,
    idleTimeoutMs: 5_000,
    handle: echo,
    onRefused: (cause) => refused.push(cause),
    ...options,
  });
  opened.push(listener);
  return { listener, refused, url: `http://127.0.0.1:${listener.port}` };
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((listener) => listener.close()));
});

describe("one port", () => {
  it("speaks HTTP/1.1 and HTTP/2 with prior knowledge", async () => {
    const { url } = await open();
    const http1 = await fetch(`${url}/one`);
    expect(await http1.text()).toBe("1.1 GET /one");
    expect(await getOverHttp2(url, "/two")).toEqual({ status: 200, text: "2.0 GET /two" });
  });

  it("waits for a preface that arrives byte by byte", async () => {
    const { listener } = await open();
    const { socket, closed } = await connectRaw(listener.port, "");
    for (const byte of PREFACE) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    // An empty SETTINGS frame, after which the server sends its own.
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    socket.end();
    expect((await closed).charCodeAt(3)).toBe(4);
  });

  it("speaks TLS with ALPN when it has a certificate", async () => {
    const certificate = makeCertificate();
    const { listener, refused } = await open({ tls: certificate });
    const url = `https://127.0.0.1:${listener.port}`;
    expect(await getOverHttp2(url, "/tls")).toEqual({ status: 200, text: "2.0 GET /tls" });
    const plain = await connectRaw(listener.port, "GET / HTTP/1.1\r\n\r\n");
    await plain.closed;
    expect(refused).toEqual(["tls"]);
  });
});

describe("connections that misbehave", () => {
  it.each([
    ["garbage", Buffer.from([0x16, 0x03, 0x01, 0xff, 0x00, 0x80])],
    ["text that is no request", "hello there\r\n\r\n"],
    ["a preface that goes wrong", "PRI * HTTP/3.0\r\n\r\n"],
  ])("answers %s with 400 and closes", async (_what, bytes) => {
    const { listener, refused, url } = await open();
    const { closed } = await connectRaw(listener.port, bytes);
    expect(await closed).toMatch(/^HTTP\/1\.1 400 /);
    expect(refused).toEqual(["malformed"]);
    expect((await fetch(url)).status).toBe(200);
  });

  it("ends an HTTP/2 connection that sends garbage after the preface", async () => {
    const { listener, refused, url } = await open();
    const { closed } = await connectRaw(listener.port, `${PREFACE}this is no frame at all, is it?`);
    await closed;
    expect(refused).toEqual(["malformed"]);
    expect((await fetch(url)).status).toBe(200);
  });

  it("closes a connection that says nothing", async () => {
    const { listener, refused } = await open({ headerTimeoutMs: 100 });
    const { closed } = await connectRaw(listener.port, "");
    expect(await closed).toBe("");
    expect(refused).toEqual(["silent"]);
  });

  it("closes a connection that stops within the preface", async () => {
    const { listener, refused } = await open({ headerTimeoutMs: 100 });
    const { closed } = await connectRaw(listener.port, PREFACE.slice(0, 9));
    expect(await closed).toBe("");
    expect(refused).toEqual(["silent"]);
  });

  it("answers a head that never ends with 408", async () => {
    const { listener, refused } = await open({ headerTimeoutMs: 200 });
    const { closed } = await connectRaw(listener.port, "GET / HTTP/1.1\r\nHost: x\r\n");
    expect(await closed).toMatch(/^HTTP\/1\.1 408 /);
    expect(refused).toEqual(["timeout"]);
  });

  it("answers a head that is too large with 431", async () => {
    const { listener } = await open();
    const head = `GET / HTTP/1.1\r\nHost: x\r\nBig: ${"x".repeat(64 * 1024)}\r\n\r\n`;
    const { closed } = await connectRaw(listener.port, head);
    expect(await closed).toMatch(/^HTTP\/1\.1 431 /);
  });

  it("ends an HTTP/2 connection without calls after a while", async () => {
    const { listener, url } = await open({ idleTimeoutMs: 100 });
    const session = connectHttp2(url);
    await once(session, "close");
    await expect.poll(listener.connectionCount).toBe(0);
  });

  it("serves a client that closes its sending side at once", async () => {
    const { listener } = await open();
    const { socket, closed } = await connectRaw(
      listener.port,
      "GET /half HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    socket.end();
    expect(await closed).toContain("1.1 GET /half");
  });

  it("survives resets at any point of a connection", async () => {
    const { listener, url } = await open();
    for (const bytes of ["", "PRI", `${PREFACE}`, "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\n"]) {
      const { socket, closed } = await connectRaw(listener.port, bytes);
      socket.resetAndDestroy();
      await closed;
    }
    expect((await fetch(url)).status).toBe(200);
  });

  it("closes connections above the limit and serves the others", async () => {
    const { listener, refused } = await open({ connectionsMax: 1 });
    const first = await connectRaw(listener.port, "");
    const second = await connectRaw(listener.port, "");
    expect(await second.closed).toBe("");
    expect(refused).toEqual(["limit"]);
    first.socket.write("GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(await first.closed).toContain("1.1 GET /first");
  });
});

describe("draining", () => {
  function holdingHandler() {
    const arrived = Promise.withResolvers<Writable>();
    const handle = (_request: NodeRequest, response: NodeResponse): void => {
      arrived.resolve(response);
    };
    return { handle, arrived: arrived.promise };
  }

  it("lets a call over HTTP/1.1 end and then closes its connection", async () => {
    const { handle, arrived } = holdingHandler();
    const { listener, url } = await open({ handle });
    const answer = fetch(url);
    const response = await arrived;
    listener.drain();
    response.end("late");
    expect(await (await answer).text()).toBe("late");
    await listener.drained();
  });

  it("lets a call over HTTP/2 end and then closes its connection", async () => {
    const { handle, arrived } = holdingHandler();
    const { listener, url } = await open({ handle });
    const answer = getOverHttp2(url, "/");
    const response = await arrived;
    listener.drain();
    response.end("late");
    expect((await answer).text).toBe("late");
    await listener.drained();
  });

  it("closes connections that are idle or have said nothing yet", async () => {
    const { listener, url } = await open();
    await (await fetch(url)).text();
    const session = connectHttp2(url);
    await once(session, "remoteSettings");
    const silent = await connectRaw(listener.port, "");
    listener.drain();
    await Promise.all([listener.drained(), once(session, "close")]);
    expect(await silent.closed).toBe("");
  });

  it("takes no new connections", async () => {
    const { listener, url } = await open();
    listener.drain();
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});
