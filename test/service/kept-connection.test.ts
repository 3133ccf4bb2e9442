// The connection that clients of the command line keep: what it does when the server goes silent,
// disappears or says goodbye. An error that nobody listens to would end this process.
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, expect, it } from "vitest";
import { AdminService } from "../../gen/keelson/admin/v1/service_pb.ts";
import {
  RuntimeControlPlaneService,
  type WatchRuntimeResponse,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { type KeptConnection, makeKeptConnection } from "../../src/cli/client/kept-connection.ts";
import { type CutProxy, openCutProxy } from "./support/cut-proxy.ts";
import { type ObservedServer, startObservedServer } from "./support/running-server.ts";

const PING_INTERVAL_MS = 100;
const servers: ObservedServer[] = [];
const proxies: CutProxy[] = [];
const connections: KeptConnection[] = [];

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.abort();
  for (const proxy of proxies.splice(0)) proxy.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** Reads a watch to its end. */
async function readOn(watch: AsyncIterator<WatchRuntimeResponse>): Promise<void> {
  for (let isOver = false; !isOver; ) isOver = (await watch.next()).done === true;
}

async function ground(options: { readonly isPingedWhenIdle: boolean }) {
  const server = await startObservedServer();
  servers.push(server);
  await server.serving;
  const proxy = await openCutProxy(Number(new URL(server.url).port));
  proxies.push(proxy);
  const url = `http://${proxy.address}`;
  const connection = makeKeptConnection(url, {
    pingIntervalMs: PING_INTERVAL_MS,
    answerTimeoutMs: 400,
    ...options,
  });
  connections.push(connection);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager: connection });
  const admin = createClient(AdminService, transport);
  const runtimes = createClient(RuntimeControlPlaneService, transport);
  await runtimes.ensureRuntime({ runtimeId: "r" });
  return { proxy, admin, runtimes };
}

it("fails the calls of a server that answers no ping, and works again afterwards", async () => {
  const { proxy, admin, runtimes } = await ground({ isPingedWhenIdle: false });
  const watch = runtimes.watchRuntime({ runtimeId: "r" })[Symbol.asyncIterator]();
  await watch.next();
  proxy.silence();
  const reading = readOn(watch);
  const call = admin.getServerInfo({});
  await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
  await expect(reading).rejects.toMatchObject({ code: Code.Unavailable });
  expect((await admin.getServerInfo({})).version).not.toBe("");
  expect(proxy.connectionCount()).toBe(1);
});

it("checks a connection that was idle for long before it trusts a call to it", async () => {
  const { proxy, admin } = await ground({ isPingedWhenIdle: false });
  proxy.silence();
  const silentSinceMs = performance.now();
  await expect.poll(() => performance.now() - silentSinceMs).toBeGreaterThan(PING_INTERVAL_MS);
  expect((await admin.getServerInfo({}, { timeoutMs: 10_000 })).version).not.toBe("");
});

it("notices the loss of an idle connection when told to ping it", async () => {
  const { proxy } = await ground({ isPingedWhenIdle: true });
  proxy.silence();
  await expect.poll(() => proxy.connectionCount(), { timeout: 10_000 }).toBe(0);
});

it("opens another connection after a cut and after a refusal to connect", async () => {
  const { proxy, admin } = await ground({ isPingedWhenIdle: false });
  proxy.cut();
  await expect
    .poll(() =>
      admin.getServerInfo({}).then(
        ({ version }) => version,
        () => "",
      ),
    )
    .not.toBe("");
  proxy.close();
  await expect(admin.getServerInfo({})).rejects.toThrow(/\[(unavailable|canceled)\]/);
  await expect(admin.getServerInfo({})).rejects.toMatchObject({ code: Code.Unavailable });
});

it("ends its calls when it is aborted", async () => {
  const { runtimes } = await ground({ isPingedWhenIdle: false });
  const watch = runtimes.watchRuntime({ runtimeId: "r" })[Symbol.asyncIterator]();
  await watch.next();
  const reading = readOn(watch);
  for (const connection of connections) connection.abort();
  await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
});
