// `keelson worker exec` over its own life: told to stop, cut off, paused for too long, left alone.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { endCli, startCliServer, until } from "./support/cli.ts";
import { type CutProxy, openCutProxy } from "./support/cut-proxy.ts";
import { isRunning, openWorkerGround, type WorkerGround } from "./support/worker-ground.ts";

let ground: WorkerGround;
const proxies: CutProxy[] = [];

beforeAll(async () => {
  ground = await openWorkerGround();
});

afterEach(async () => {
  await ground.clear();
  for (const proxy of proxies.splice(0)) proxy.close();
});

afterAll(() => ground.close());

async function openProxy(): Promise<CutProxy> {
  const proxy = await openCutProxy(ground.server.port);
  proxies.push(proxy);
  return proxy;
}

describe("a worker that is told to stop", () => {
  it("lets its command finish and ends with 0", async () => {
    const { work, ingest, run, path, read, touch } = ground.scene();
    const worker = work(
      `echo run > ${path("started")}; until [ -e ${path("go")} ]; do sleep 0.05; done; echo end`,
    );
    await ingest("first", "--key", "k1");
    await until("the command runs", () => read("started") !== "");
    worker.child.kill("SIGTERM");
    await until("the worker stops", () => worker.stderr().includes("stopping"));
    await run("runtime", "ingest", "agent-2", "second", "--ensure");
    touch("go");
    expect(await worker.ended).toBe(0);
    expect((await run("runtime", "await", "agent-1", "--key", "k1")).stdout).toBe("end\n");
    const { stdout } = await run("runtime", "inputs", "agent-2");
    expect(stdout).toContain("queued");
  });

  it("hands back what does not finish in time, uncounted, for the next worker", async () => {
    const { work, ingest, run, json, path, read } = ground.scene();
    const worker = work(`echo run > ${path("started")}; sleep 60`, {
      options: ["--grace", "50ms"],
    });
    await ingest("hello", "--key", "k");
    await until("the command runs", () => read("started") !== "");
    expect(await endCli(worker, "SIGTERM")).toBe(0);
    expect(worker.stderr()).toMatch(/attempt 1: released after/);
    expect(await json("runtime", "inputs", "agent-1")).toMatchObject({
      inputs: [{ state: "INPUT_STATE_QUEUED", attemptCount: 0 }],
    });
    work("echo $KEELSON_ATTEMPT");
    expect((await run("runtime", "await", "agent-1", "--key", "k")).stdout).toBe("1\n");
  });

  it("twice ends at once with what it runs", async () => {
    const { work, ingest, path, read } = ground.scene();
    const worker = work(`echo $$ > ${path("pid")}; sleep 60`);
    await ingest("hello");
    await until("the command runs", () => read("pid") !== "");
    worker.child.kill("SIGTERM");
    await until("the worker stops", () => worker.stderr().includes("stopping"));
    expect(await endCli(worker, "SIGTERM")).toBe(1);
    await until("the command is gone", () => !isRunning(Number(read("pid"))));
  });
});

describe("a worker whose connection is cut", () => {
  it("keeps its run, reports it when it is back, and runs nothing twice", async () => {
    const { work, ingest, run, path, read, touch } = ground.scene();
    const proxy = await openProxy();
    const script = `echo run >> ${path("runs")}; until [ -e ${path("go")} ]; do sleep 0.05; done`;
    work(`${script}; echo done`, { address: proxy.address });
    await ingest("hello", "--key", "k");
    await until("the command runs", () => read("runs") !== "");
    proxy.cut();
    await until("the worker is back", () => proxy.connectionCount() > 0);
    proxy.cut();
    touch("go");
    const { stdout } = await run("runtime", "await", "agent-1", "--key", "k", "--timeout", "20s");
    expect(stdout).toBe("done\n");
    expect(read("runs")).toBe("run\n");
  });

  it("takes new work afterwards", async () => {
    const { work, ingest } = ground.scene();
    const proxy = await openProxy();
    const worker = work("echo done", { address: proxy.address });
    expect((await ingest("first", "--wait")).stdout).toBe("done\n");
    proxy.cut();
    expect((await ingest("second", "--wait", "--timeout", "20s")).stdout).toBe("done\n");
    expect(worker.stderr()).toContain("trying again");
  });
});

describe("a worker that was away for too long", () => {
  it("loses its run to another one, begins a new life and works on", async () => {
    const { work, ingest, run, path, read } = ground.scene();
    await run("runtime", "ensure", "agent-1", "--retry-initial", "10ms", "--retry-max", "10ms");
    const script = `echo $KEELSON_ATTEMPT >> ${path("tries")}; [ $KEELSON_ATTEMPT = 2 ]`;
    const worker = work(`${script} || sleep 60; echo done`, {
      options: ["--lease-ttl", "1s", "--kill-after", "100ms"],
    });
    await ingest("hello", "--key", "k");
    await until("the first attempt runs", () => read("tries") === "1\n");
    // Before that the run would be taken back uncounted.
    await until("the attempt counts", async () => {
      const { stdout } = await run("runtime", "get", "agent-1", "-o", "json");
      return /"acknowledged": true/.test(stdout);
    });
    worker.child.kill("SIGSTOP");
    await until("the lease lapsed", async () => {
      const { stdout } = await run("runtime", "get", "agent-1");
      return /^executor +none/m.test(stdout);
    });
    worker.child.kill("SIGCONT");
    const { stdout } = await run("runtime", "await", "agent-1", "--key", "k", "--timeout", "20s");
    expect(stdout).toBe("done\n");
    expect(read("tries")).toBe("1\n2\n");
    await until("the old run is given up", () => worker.stderr().includes("attempt 1: lost"));
    expect(worker.stderr()).toContain("is dead");
  });
});

describe("a worker without a server", () => {
  it("waits for one, says so once, and works when it comes", async () => {
    const { work, path, read } = ground.scene();
    const other = await startCliServer();
    await other.stop();
    const worker = work(`echo run > ${path("ran")}; echo done`, {
      address: other.address,
      options: ["--runtime", "agent-1"],
    });
    await until("it says that it waits", () => worker.stderr().includes("trying again"));
    const server = await startCliServer(other.port);
    try {
      const url = `http://${server.address}/keelson.runtime.v1.RuntimeControlPlaneService/Ingest`;
      const [, namespace = ""] = /(worker-[0-9a-f-]+)-ran/.exec(path("ran")) ?? [];
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "keelson-namespace": namespace },
        body: JSON.stringify({ runtimeId: "agent-1", ensure: true, input: { prompt: {} } }),
      });
      expect(answer.status).toBe(200);
      await until("the run is done", () => worker.stderr().includes("completed"));
      expect(read("ran")).toBe("run\n");
      expect(worker.stderr().match(/trying again/g)).toHaveLength(1);
      expect(await endCli(worker, "SIGTERM")).toBe(0);
    } finally {
      await server.stop();
    }
  });
});
