// The commands about peer ingress and drains, against a real server and executors that drain.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { attach, type AttachedExecutor, identity } from "./support/attached-executor.ts";
import { type CliServer, runCli, startCliServer, until } from "./support/cli.ts";
import { clientsOf } from "./support/deployment.ts";

let server: CliServer;

beforeAll(async () => {
  server = await startCliServer();
});

afterAll(() => server.stop());

function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  const run = (...words: string[]) =>
    runCli([...words, "--namespace", namespace], { address: server.address });
  const { runtimes, executors } = clientsOf(`http://${server.address}`, "grpc", namespace);
  return {
    run,
    drain: (...words: string[]) => run("runtime", "drain", ...words),
    /** A runtime whose drain an executor runs. */
    drained: async () => {
      const terms = { pool: "default", capabilities: ["peer_drain"] };
      const executor = attach(executors, identity("host"), terms);
      await runtimes.ensureRuntime({ runtimeId: "agent-1" });
      const endpoint = { address: "inproc://agent-1" };
      await runtimes.updatePeerIngress({ runtimeId: "agent-1", keepAlive: true, endpoint });
      await untilTold(executor, "spawnDrain agent-1 1");
      return executor;
    },
  };
}

const INGRESS = ["ingress", "agent-1", "--keep-alive", "--peer-address", "inproc://agent-1"];

/** What an executor was told of drains, in order. */
function told({ controls }: AttachedExecutor): readonly string[] {
  return controls.map(({ runtimeId, control }) => {
    const { value } = control;
    const sequence = value && "drainSequence" in value ? value.drainSequence : "";
    return `${control.case} ${runtimeId} ${sequence}`;
  });
}

async function untilTold(executor: AttachedExecutor, ...words: readonly string[]): Promise<void> {
  await until(`told ${words.join()}`, () => told(executor).join() === words.join());
}

it("says the ingress of a runtime, and that its drain waits for an executor", async () => {
  const { run, drain } = inFreshNamespace();
  await run("runtime", "ensure", "agent-1");
  const said = await drain(...INGRESS);
  expect(said.stdout).toContain("a drain was started");
  const shown = await run("runtime", "get", "agent-1");
  expect(shown.stdout).toContain("ingress inproc://agent-1; drain starting");
  expect((await drain("wait", "agent-1", "--timeout", "200ms")).exitCode).toBe(8);
  const gone = await drain("ingress", "agent-1");
  expect(gone.stdout).not.toContain("inproc://agent-1");
  expect((await drain("wait", "agent-1")).exitCode).toBe(0);
});

it("aborts a drain that runs: its executor is told, and who waits goes on", async () => {
  const { run, drain, drained } = inFreshNamespace();
  const executor = await drained();
  const waiting = drain("wait", "agent-1", "--timeout", "30s");
  const aborted = await drain("abort", "agent-1", "--reason", "maintenance");
  expect(aborted).toMatchObject({ exitCode: 0, stdout: "the drain is ended\n" });
  await untilTold(executor, "spawnDrain agent-1 1", "abortDrain agent-1 1");
  expect(await waiting).toMatchObject({ exitCode: 0 });
  const shown = await run("runtime", "get", "agent-1");
  expect(shown.stdout).toContain("drain stopped");
  const again = await drain("abort", "agent-1");
  expect(again).toMatchObject({ exitCode: 0, stdout: "there was no drain\n" });
  executor.disconnect();
});

it("tells for an executor that its drain ended, and only of the drain that is meant", async () => {
  const { drain, drained } = inFreshNamespace();
  const executor = await drained();
  const other = await drain("exited", "agent-1", "--reason", "failed", "--drain", "7");
  expect(other.stdout).toContain("there was no such drain");
  const failed = await drain("exited", "agent-1", "--reason", "failed", "--drain", "1");
  expect(failed.stdout).toMatch(/^the drain has ended; .*drain exited_respawnable/);
  // It is tried again after its backoff.
  await untilTold(executor, "spawnDrain agent-1 1", "spawnDrain agent-1 2");
  const dismissed = await drain("exited", "agent-1", "--reason", "dismissed");
  expect(dismissed.stdout).toMatch(/^the drain has ended; .*drain stopped/);
  executor.disconnect();
});

it("ends every drain of the namespace, those that run and those that wait", async () => {
  const { run, drain, drained } = inFreshNamespace();
  const executor = await drained();
  await run("runtime", "ensure", "agent-2", "--pool", "nobody");
  await drain("ingress", "agent-2", "--keep-alive", "--peer-address", "inproc://agent-2");
  const unsure = await drain("abort-all");
  expect(unsure.exitCode).not.toBe(0);
  const ended = await drain("abort-all", "--yes", "--reason", "maintenance");
  expect(ended).toMatchObject({ exitCode: 0, stdout: "agent-1\nagent-2\n" });
  expect(ended.stderr).toContain("2 drains are ended");
  await untilTold(executor, "spawnDrain agent-1 1", "abortDrain agent-1 1");
  executor.disconnect();
});
