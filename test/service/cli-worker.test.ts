// `keelson worker exec`: what a command gets, and what becomes of what it says and of how it ends.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "./support/cli.ts";
import { isRunning, openWorkerGround, type WorkerGround } from "./support/worker-ground.ts";

let ground: WorkerGround;

beforeAll(async () => {
  ground = await openWorkerGround();
});

afterEach(() => ground.clear());
afterAll(() => ground.close());

describe("the result of a run", () => {
  it("is the last line, of a command that has its run on stdin and in variables", async () => {
    const { work, ingest, json } = ground.scene();
    work('read -r run; echo "$run" | grep -c hello; echo "$KEELSON_RUNTIME_ID $KEELSON_ATTEMPT"');
    const { exitCode, stdout } = await ingest("hello", "--wait");
    expect(stdout).toBe("agent-1 1\n");
    expect(exitCode).toBe(0);
    expect(await json("runtime", "receipts", "agent-1")).toMatchObject({
      receipts: [{ sequence: "0", boundary: "RUN_APPLY_BOUNDARY_RUN_START" }],
    });
  });

  it("is the file that the command wrote, and JSON is a structure", async () => {
    const { work, ingest, json } = ground.scene();
    const script = `echo noise; echo '{"answer":[42]}' > "$KEELSON_RESULT_FILE"; echo more`;
    work(script, { options: ["--result-file"] });
    expect((await ingest("hello", "--wait", "--key", "k")).stdout).toBe('{"answer":[42]}\n');
    expect(await json("runtime", "await", "agent-1", "--key", "k")).toMatchObject({
      completion: { completed: { result: { structured: { answer: [42] } } } },
    });
  });

  it("is none when the command says nothing", async () => {
    const { work, ingest } = ground.scene();
    work("true");
    const { exitCode, stderr, stdout } = await ingest("hello", "--wait");
    expect(exitCode).toBe(0);
    expect(stdout).toBe("");
    expect(stderr).toContain("completed without a result");
  });

  it("that is too large fails the run, and the input may be tried again", async () => {
    const { work, ingest, run } = ground.scene();
    await run("runtime", "ensure", "agent-1", "--attempt-limit", "1");
    work("head -c 1100000 /dev/zero | tr '\\0' x");
    const { exitCode, stderr } = await ingest("hello", "--wait");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("max_attempts_exhausted");
    expect(stderr).toContain("larger than 1 MiB");
  });
});

describe("a command that fails", () => {
  it("is tried again until the attempts are used up", async () => {
    const { work, ingest, run, path, read } = ground.scene();
    await run("runtime", "ensure", "agent-1", "--retry-initial", "10ms", "--retry-max", "10ms");
    work(`echo tried >> ${path("tries")}; echo "no luck" >&2; exit 3`);
    const { exitCode, stderr } = await ingest("hello", "--wait");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("abandoned (max_attempts_exhausted, 3 attempts)");
    expect(stderr).toContain("exit code 3: no luck");
    expect(read("tries")).toBe("tried\ntried\ntried\n");
  });

  it("for good is tried once", async () => {
    const { work, ingest, path, read } = ground.scene();
    const options = ["--unrecoverable-exit-code", "66"];
    work(`echo tried >> ${path("tries")}; exit 66`, { options });
    const { exitCode, stderr } = await ingest("hello", "--wait");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("abandoned (run_failed, 1 attempts)");
    expect(read("tries")).toBe("tried\n");
  });

  it("by a signal says which one", async () => {
    const { work, ingest, run } = ground.scene();
    await run("runtime", "ensure", "agent-1", "--attempt-limit", "1");
    work("kill -9 $$");
    expect((await ingest("hello", "--wait")).stderr).toContain("killed by SIGKILL");
  });

  it("to start ends the worker and costs no attempt", async () => {
    const { ingest, json, workWith } = ground.scene();
    await ingest("hello");
    const worker = workWith(["/nowhere/to-be-found", "--fast"]);
    expect(await worker.ended).toBe(1);
    expect(worker.stderr()).toContain("the command cannot be started");
    expect(await json("runtime", "inputs", "agent-1")).toMatchObject({
      inputs: [{ state: "INPUT_STATE_QUEUED", attemptCount: 0 }],
    });
  });
});

describe("a worker", () => {
  it("ends with what is wrong when the server does not take it", async () => {
    const { work } = ground.scene();
    const worker = work("true", { options: ["--slots", "5000"] });
    expect(await worker.ended).toBe(2);
    expect(worker.stderr()).toMatch(/reason +INVALID_FIELD/);
    expect(worker.stderr()).toMatch(/slots +must be/);
  });
});

describe("a command that runs", () => {
  it("is seen through its lines, but not through the one that is the result", async () => {
    const { work, ingest, run, path, touch } = ground.scene();
    const script = `echo half; until [ -e ${path("go")} ]; do sleep 0.05; done; echo whole`;
    work(script, { options: ["--progress-interval", "10ms"] });
    await ingest("hello", "--key", "k");
    await until("the line is published", async () => {
      const { stdout } = await run("admin", "commits", "agent-1", "--raw");
      return stdout.includes("worker.progress");
    });
    touch("go");
    expect((await run("runtime", "await", "agent-1", "--key", "k")).stdout).toBe("whole\n");
    await run("runtime", "destroy", "agent-1", "--yes");
    const words = ["runtime", "watch", "agent-1", "--from-start", "--category", "published"];
    const { stdout } = await run(...words);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/worker\.progress .*"lines":\["half"\]/);
  });

  it("shares the worker with others, as many as there are slots", async () => {
    const { work, run, path, read } = ground.scene();
    const met = `echo here >> ${path("met")}; until [ $(wc -l < ${path("met")}) -ge 2 ]; do`;
    work(`${met} sleep 0.05; done; echo met`, { options: ["--slots", "2"] });
    const ingest = (name: string) =>
      run("runtime", "ingest", name, "hello", "--ensure", "--wait", "--timeout", "20s");
    const [first, second] = await Promise.all([ingest("agent-1"), ingest("agent-2")]);
    expect([first.stdout, second.stdout]).toEqual(["met\n", "met\n"]);
    expect(read("met")).toBe("here\nhere\n");
  });

  it("ends with all that it started when interrupted, and its input is given up", async () => {
    const { work, ingest, run, path, read } = ground.scene();
    const worker = work(`trap '' TERM; (sleep 60 & echo $! > ${path("pid")}; wait); sleep 60`, {
      options: ["--kill-after", "100ms"],
    });
    await ingest("hello", "--key", "k");
    await until("the command runs", () => read("pid") !== "");
    const { exitCode, stdout } = await run("runtime", "interrupt", "agent-1", "--yes");
    expect(stdout).toMatch(/^the executor of the run .* is being told\n$/);
    expect(exitCode).toBe(0);
    const { stderr } = await run("runtime", "await", "agent-1", "--key", "k");
    expect(stderr).toContain("abandoned (cancelled");
    expect(isRunning(Number(read("pid")))).toBe(false);
    expect(worker.stderr()).toMatch(/agent-1, attempt 1: cancelled after/);
  });

  it("ends without a report when its runtime is stopped", async () => {
    const { work, ingest, run, path, read } = ground.scene();
    const worker = work(`echo $$ > ${path("pid")}; sleep 60`);
    await ingest("hello");
    await until("the command runs", () => read("pid") !== "");
    expect((await run("runtime", "stop", "agent-1", "--yes")).exitCode).toBe(0);
    await until("the run is lost", () => /attempt 1: lost \(/.test(worker.stderr()));
    expect(isRunning(Number(read("pid")))).toBe(false);
  });
});
