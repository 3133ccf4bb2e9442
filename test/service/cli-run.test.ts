// `keelson runtime run`: an input that is taken in and run by the very process that brings it.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "./support/cli.ts";
import { openWorkerGround, type WorkerGround } from "./support/worker-ground.ts";

let ground: WorkerGround;

beforeAll(async () => {
  ground = await openWorkerGround();
});

afterEach(() => ground.clear());
afterAll(() => ground.close());

type Take = ReturnType<WorkerGround["scene"]>["take"];

/** Runs a shell script for one input of the runtime `agent-1`, to its end. */
async function turn(take: Take, script: string, ...options: readonly string[]) {
  const { ended, stdout, stderr } = take(["sh", "-c", script], ...options);
  const exitCode = await ended;
  return { exitCode, stdout: stdout(), stderr: stderr() };
}

describe("a command that is run for an input", () => {
  it("gets it like any run of a worker, and its last line is the result", async () => {
    const { take, json } = ground.scene();
    const script = 'read -r run; echo "$run" | grep -c hello; echo "$KEELSON_ATTEMPT done"';
    const { exitCode, stdout } = await turn(take, script, "--key", "k");
    expect([exitCode, stdout]).toEqual([0, "1 done\n"]);
    expect(await json("runtime", "get", "agent-1")).toMatchObject({
      runtime: { state: "RUNTIME_STATE_IDLE", inputCounts: { consumed: "1" } },
    });
    const again = await turn(take, "echo never", "--key", "k");
    expect([again.exitCode, again.stdout]).toEqual([5, ""]);
    expect(again.stderr).toMatch(/reason +INPUT_ALREADY_ADMITTED/);
  });

  it("leaves the input queued when it fails, and gives it up when told so", async () => {
    const { run, take, json } = ground.scene();
    await run("runtime", "ensure", "agent-1", "--retry-initial", "60s");
    const failed = await turn(take, "exit 3");
    expect(failed.exitCode).toBe(8);
    expect(failed.stderr).toContain("not over yet (queued)");
    expect(await json("runtime", "explain", "agent-1")).toMatchObject({
      causes: [{ kind: "RUNTIME_CAUSE_KIND_BACKING_OFF", attempt: 1 }, {}],
    });
    const busy = await turn(take, "echo never");
    expect(busy.exitCode).toBe(5);
    expect(busy.stderr).toMatch(/reason +INPUTS_ACTIVE/);
    await run("runtime", "reset", "agent-1", "--yes");
    const givenUp = await turn(take, "exit 3", "--unrecoverable-exit-code", "3");
    expect(givenUp.exitCode).toBe(1);
    expect(givenUp.stderr).toContain("run_failed");
  });

  it("goes on over more than one renewal of its lease", async () => {
    const { take } = ground.scene();
    const { exitCode, stdout } = await turn(take, "sleep 3; echo late", "--lease-ttl", "1500ms");
    expect([exitCode, stdout]).toEqual([0, "late\n"]);
  });

  it("that cannot be started hands the input back", async () => {
    const { take, json } = ground.scene();
    const { ended, stderr } = take(["/nowhere/agent"]);
    expect(await ended).toBe(1);
    expect(stderr()).toContain("cannot be started");
    expect(await json("runtime", "inputs", "agent-1")).toMatchObject({
      inputs: [{ state: "INPUT_STATE_QUEUED", attemptCount: 0 }],
    });
  });

  it.each([
    ["SIGINT", 1, "INPUT_STATE_ABANDONED"],
    ["SIGTERM", 8, "INPUT_STATE_QUEUED"],
  ] as const)("is ended by %s with %i", async (signal, code, state) => {
    const { take, json, path, read } = ground.scene();
    const script = `echo up > ${path("up")}; sleep 60`;
    const { child, ended } = take(["sh", "-c", script], "--kill-after", "100ms");
    await until("the command runs", () => read("up") !== "");
    child.kill(signal);
    expect(await ended).toBe(code);
    expect(await json("runtime", "inputs", "agent-1")).toMatchObject({ inputs: [{ state }] });
  });
});
