// `keelson worker exec --processes`: a command per claimed process, its lines and its end.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "./support/cli.ts";
import { isRunning, openWorkerGround, type WorkerGround } from "./support/worker-ground.ts";

let ground: WorkerGround;

beforeAll(async () => {
  ground = await openWorkerGround();
});

afterEach(() => ground.clear());
afterAll(() => ground.close());

const OF_KIND = ["--processes", "indexer"];

/** A scene with a process that waits for a worker. */
async function withProcess() {
  const scene = ground.scene();
  const words = ["--kind", "indexer", "--event", "progress", "--payload", '{"path":"/"}'];
  const registered = await scene.run("process", "register", "p", ...words);
  expect(registered.exitCode).toBe(0);
  const work = (script: string, ...options: string[]) =>
    scene.work(script, { options: [...OF_KIND, ...options] });
  return { ...scene, work };
}

describe("a process that a worker claimed", () => {
  it("gets what the command says as events, and its last line as its value", async () => {
    const { work, run, json } = await withProcess();
    work(`
      read -r process; echo "$process" | grep -q '"path":"/"' || exit 9
      echo '{"type":"progress","payload":{"done":1}}'
      echo '{"type":"progress","payload":{"done":2},"key":"two"}'
      echo "{\\"generation\\":$KEELSON_GENERATION}"`);
    const awaited = await run("process", "await", "p");
    expect(awaited).toMatchObject({ exitCode: 0, stdout: '{"generation":1}\n' });
    expect(await json("process", "events", "p")).toMatchObject({
      events: [
        { sequence: "1", payload: { done: 1 }, generation: "1" },
        { sequence: "2", payload: { done: 2 }, replayKey: "two" },
        { sequence: "3", eventType: "process.completed" },
      ],
    });
  });

  it("fails with the exit code and the last line of errors", async () => {
    const { work, run } = await withProcess();
    work("echo 'no disk' >&2; exit 3");
    const { exitCode, stderr } = await run("process", "await", "p");
    expect(exitCode).toBe(1);
    expect(stderr).toBe("p: failed: command/exit_3 no disk\n");
  });

  it("is cancelled when that is asked for", async () => {
    const { work, run, path, read } = await withProcess();
    work(`echo $$ > ${path("pid")}; exec sleep 60`, "--lease-ttl", "1s");
    await until("the command runs", () => read("pid") !== "");
    await run("process", "cancel", "p", "--reason", "enough");
    const { exitCode, stderr } = await run("process", "await", "p");
    expect(exitCode).toBe(1);
    expect(stderr).toBe("p: cancelled: enough\n");
    expect(isRunning(Number(read("pid")))).toBe(false);
  });

  it("is given back by a worker that stops, and done by the next one", async () => {
    const { work, run, path, read, touch } = await withProcess();
    const script = `echo $$ >> ${path("pids")}; test -e ${path("go")} || sleep 60; echo '"done"'`;
    const first = work(script, "--grace", "100ms");
    await until("the command runs", () => read("pids") !== "");
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    touch("go");
    work(script);
    expect(await run("process", "await", "p")).toMatchObject({ exitCode: 0, stdout: '"done"\n' });
    expect(read("pids").trim().split("\n")).toHaveLength(2);
  });

  it("is taken from a worker that stood still, whose command is killed", async () => {
    const { work, run, path, read } = await withProcess();
    const frozen = work(`echo $$ >> ${path("pids")}; exec sleep 60`, "--lease-ttl", "1s");
    await until("the command runs", () => read("pids") !== "");
    frozen.child.kill("SIGSTOP");
    work(`echo '"by another"'`);
    const awaited = await run("process", "await", "p");
    expect(awaited).toMatchObject({ exitCode: 0, stdout: '"by another"\n' });
    frozen.child.kill("SIGCONT");
    const pid = Number(read("pids").trim());
    await until("the command is killed", () => !isRunning(pid));
  });
});

describe("a claim by hand", () => {
  it("is kept, fences others, and ends the process", async () => {
    const { run, json } = await withProcess();
    const claimed = (await json("process", "claim", "--kind", "indexer")) as {
      readonly lease: { readonly leaseToken: string; readonly generation: string };
    };
    const { leaseToken, generation } = claimed.lease;
    const proof = ["--lease-token", leaseToken, "--generation", generation];
    const held = await run("process", "claim", "p", "--owner", "other");
    expect(held.exitCode).toBe(5);
    expect(held.stderr).toContain("LEASE_HELD");
    expect((await run("process", "claim", "p", "--renew", ...proof)).stdout).toMatch(/^held for /);
    const ended = await run("process", "complete", "p", "--value", "1", ...proof);
    expect(ended.stdout).toMatch(/\nstate +completed\n/);
    expect((await run("process", "claim", "p", "--release", ...proof)).stdout).toContain(
      "not held",
    );
    expect((await run("process", "claim", "--kind", "indexer")).exitCode).toBe(4);
  });
});
