import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { Server } from "node:net";
import {
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, it } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { makeRpcHandler } from "./http-handler.ts";
import type { NodeRequestHandler } from "./node-request.ts";

const REASON = new ConnectError("The server goes down", Code.Unavailable);
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a port was asked for");
  return `http://127.0.0.1:${address.port}`;
}

/** A handler whose call of `waits` begins and then waits for its signal. */
function makeWaiting(shutdown: AbortSignal) {
  const begun = Promise.withResolvers<AbortSignal>();
  const seen: HandlerContext[] = [];
  const handle = makeRpcHandler({
    routes: (register) =>
      register(
        Health,
        {
          check: async ({ service }, context) => {
            const { signal } = context;
            seen.push(context);
            if (service !== "waits") return {};
            begun.resolve(signal);
            await once(signal, "abort");
            throw ConnectError.from(signal.reason);
          },
        },
        {},
      ),
    shortWays: new Map(),
    gate: () => undefined,
    onTurnedAway: () => undefined,
    shutdownSignal: shutdown,
    budget: { take: () => undefined, release: () => undefined, room: () => undefined },
    requestTimeoutMs: 5_000,
    messageBytesMax: 1024,
    onBroken: () => undefined,
  });
  return { handle, begun: begun.promise, seen };
}

interface Way {
  readonly name: string;
  readonly open: (handle: NodeRequestHandler) => Promise<Transport>;
}

const WAYS: readonly Way[] = [
  {
    name: "HTTP/1.1",
    open: async (handle) => {
      const server = createHttp1Server((request, response) => void handle(request, response));
      return createConnectTransport({ baseUrl: await listening(server), httpVersion: "1.1" });
    },
  },
  {
    name: "HTTP/2",
    open: async (handle) => {
      const server = createHttp2Server((request, response) => void handle(request, response));
      return createGrpcTransport({ baseUrl: await listening(server) });
    },
  },
];

describe.each(WAYS)("a call over $name", ({ open }) => {
  it("that is not over is told the reason when the server cuts its calls", async () => {
    const shutdown = new AbortController();
    const { handle, begun } = makeWaiting(shutdown.signal);
    const client = createClient(Health, await open(handle));
    const failed = client.check({ service: "waits" }).catch((error: unknown) => error);
    const signal = await begun;
    shutdown.abort(REASON);
    expect(signal.reason).toBe(REASON);
    expect(await failed).toMatchObject({ code: Code.Unavailable, rawMessage: REASON.rawMessage });
  });

  it("that begins after the cut is over at once", async () => {
    const shutdown = new AbortController();
    const { handle, begun } = makeWaiting(shutdown.signal);
    const client = createClient(Health, await open(handle));
    shutdown.abort(REASON);
    void client.check({ service: "waits" }).catch(() => undefined);
    expect((await begun).reason).toBe(REASON);
  });

  it("that is over hears nothing of the cut", async () => {
    const shutdown = new AbortController();
    const { handle, seen } = makeWaiting(shutdown.signal);
    const client = createClient(Health, await open(handle));
    await client.check({ service: "" });
    shutdown.abort(REASON);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.signal.reason).not.toBe(REASON);
  });
});

it("a call over HTTP/1.1 with a deadline in months has none", async () => {
  const { handle, seen } = makeWaiting(new AbortController().signal);
  const server = createHttp1Server((request, response) => void handle(request, response));
  const answer = await fetch(`${await listening(server)}/grpc.health.v1.Health/Check`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "9999999999" },
    body: "{}",
  });
  expect([answer.status, seen[0]?.timeoutMs()]).toEqual([200, undefined]);
});
