// The client commands as people and scripts use them, against a real server.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CliServer, endCli, runCli, startCli, startCliServer, until } from "./support/cli.ts";
import { openCutProxy } from "./support/cut-proxy.ts";

let server: CliServer;
let folder = "";

beforeAll(async () => {
  server = await startCliServer();
  folder = mkdtempSync(join(tmpdir(), "keelson-cli-"));
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server.stop();
});

/** A namespace of its own, and the command within it. */
function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  const run = (...words: string[]) =>
    runCli([...words, "--namespace", namespace], { address: server.address });
  const runWith = (stdin: string, ...words: string[]) =>
    runCli([...words, "--namespace", namespace], { address: server.address, stdin });
  return { namespace, run, runWith };
}

describe("a person", () => {
  it("reads runtimes in an aligned table without colours when piped", async () => {
    const { run } = inFreshNamespace();
    expect((await run("runtime", "ensure", "agent-1", "--label", "team=a")).exitCode).toBe(0);
    expect((await run("runtime", "ensure", "agent-22", "--pool", "text")).exitCode).toBe(0);
    const { stdout, exitCode } = await run("runtime", "ls");
    const [titles, first, second, ...rest] = stdout.trimEnd().split("\n");
    expect(exitCode).toBe(0);
    expect(titles).toMatch(/^RUNTIME {3}STATE {2}POOL/);
    expect(first).toMatch(/^agent-1 {3}idle {3}default/);
    expect(second).toMatch(/^agent-22 {2}idle {3}text/);
    expect(rest).toEqual([]);
    expect(stdout).not.toContain("\u001b");
  });

  it("is told that there is nothing, on stderr", async () => {
    const { run } = inFreshNamespace();
    expect(await run("runtime", "ls")).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "no runtimes\n",
    });
  });

  it("is told what was not found and what to do next", async () => {
    const { run } = inFreshNamespace();
    const { exitCode, stderr, stdout } = await run("runtime", "get", "nobody");
    expect(exitCode).toBe(4);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toMatch(/reason +RUNTIME_NOT_REGISTERED/);
    expect(stderr).toMatch(/next +create it with `keelson runtime ensure nobody`/);
  });

  it("is told every field that is wrong", async () => {
    const { run } = inFreshNamespace();
    const { exitCode, stderr } = await run("runtime", "ensure", "a", "--attempt-limit", "0");
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/reason +INVALID_FIELD/);
    expect(stderr).toContain("attempt_limit");
  });

  it("is told that no server answers", async () => {
    const { exitCode, stderr } = await runCli(["runtime", "ls", "--address", "127.0.0.1:1"]);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("No server answers at http://127.0.0.1:1");
    expect(stderr).toContain("keelson dev");
  });

  it("gets help and 2 for a bad command line", async () => {
    for (const words of [["runtime"], ["runtime", "nothing"], ["runtime", "ls", "--state", "x"]]) {
      expect((await runCli(words)).exitCode).toBe(2);
    }
    const { exitCode, stdout } = await runCli(["runtime", "ingest", "--help"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Examples:");
  });
});

describe("a script", () => {
  it("reads JSON, errors included", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    const listed = await run("runtime", "ls", "-o", "json");
    expect(JSON.parse(listed.stdout)).toMatchObject({
      runtimes: [{ runtimeId: "agent-1", state: "RUNTIME_STATE_IDLE" }],
      nextPageToken: "",
    });
    const failed = await run("runtime", "get", "nobody", "-o", "json");
    expect(JSON.parse(failed.stderr)).toMatchObject({
      error: {
        code: "not_found",
        reason: "RUNTIME_NOT_REGISTERED",
        metadata: { runtimeId: "nobody" },
      },
    });
  });

  it("pages with a token and gets all with --all", async () => {
    const { run } = inFreshNamespace();
    for (const name of ["a", "b", "c"]) await run("runtime", "ensure", name);
    const first = await run("runtime", "ls", "--limit", "2", "-o", "json");
    const { nextPageToken, ...page } = JSON.parse(first.stdout) as { nextPageToken: string };
    expect(page).toMatchObject({ runtimes: [{ runtimeId: "a" }, { runtimeId: "b" }] });
    const words = ["runtime", "ls", "--page-token", nextPageToken, "-o", "json"];
    const rest = await run(...words, "--limit", "2");
    expect(JSON.parse(rest.stdout)).toMatchObject({ runtimes: [{ runtimeId: "c" }] });
    const all = await run("runtime", "ls", "--all", "-o", "json");
    expect(JSON.parse(all.stdout)).toMatchObject({
      runtimes: [{ runtimeId: "a" }, { runtimeId: "b" }, { runtimeId: "c" }],
      nextPageToken: "",
    });
  });

  it("records who asked", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1", "--actor", "release-robot");
    const { stdout } = await run("admin", "commits", "agent-1", "--raw");
    expect(JSON.parse(stdout)).toMatchObject({ commands: [{ actor: "release-robot" }] });
  });
});

describe("ingest", () => {
  it("takes text from an argument and from stdin, and a key once", async () => {
    const { run, runWith } = inFreshNamespace();
    const refused = await run("runtime", "ingest", "agent-1", "hello");
    expect(refused.exitCode).toBe(4);
    const accepted = await run("runtime", "ingest", "agent-1", "hello", "--ensure", "--key", "k");
    expect(accepted.stdout).toMatch(/^accepted /);
    const again = await runWith("other", "runtime", "ingest", "agent-1", "--key", "k");
    expect(again.stdout).toMatch(/^known already as .* OTHER CONTENT\n$/);
    const shown = await run("runtime", "inputs", "agent-1", "--key", "k", "--payload");
    expect(shown.stdout).toContain('"text":"hello"');
    expect(shown.stdout).toMatch(/queue_accepted/);
  });

  it("ends with 5 when the runtime takes nothing", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    await run("runtime", "retire", "agent-1", "--yes");
    const { exitCode, stdout } = await run("runtime", "ingest", "agent-1", "hello");
    expect(exitCode).toBe(5);
    expect(stdout).toBe("rejected: the runtime is retired\n");
  });

  it("sends a file again without taking anything in twice", async () => {
    const { run } = inFreshNamespace();
    const file = join(folder, "inputs.jsonl");
    const lines = [
      { prompt: { text: "one" } },
      { idempotencyKey: "own", prompt: { text: "two" } },
      { runtimeId: "agent-2", input: { prompt: { text: "three" } } },
    ];
    writeFileSync(file, `${lines.map((line) => JSON.stringify(line)).join("\n\n")}\n`);
    const words = ["runtime", "ingest", "agent-1", "--ensure", "--file", file];
    expect((await run(...words)).stdout).toMatch(/^3 accepted, 0 known already, 0 rejected/);
    expect((await run(...words)).stdout).toMatch(/^0 accepted, 3 known already, 0 rejected/);
    const listed = await run("runtime", "inputs", "agent-1", "-o", "json");
    expect(JSON.parse(listed.stdout)).toMatchObject({ inputs: [{}, { idempotencyKey: "own" }] });
  });

  it("names the line that is no input", async () => {
    const { runWith } = inFreshNamespace();
    const lines = '{"prompt":{"text":"one"}}\n{"prompt":\n';
    const words = ["runtime", "ingest", "agent-1", "--ensure", "--file", "-"];
    const { exitCode, stderr } = await runWith(lines, ...words);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: line 2: /);
  });

  it("says that a file is not there", async () => {
    const { run } = inFreshNamespace();
    const missing = join(folder, "missing.jsonl");
    const { exitCode, stderr } = await run("runtime", "ingest", "agent-1", "--file", missing);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error: ENOENT/);
  });

  it("answers 8 when the time to wait was up", async () => {
    const { run } = inFreshNamespace();
    const words = ["runtime", "ingest", "agent-1", "hello", "--ensure", "--wait"];
    const { exitCode, stderr, stdout } = await run(...words, "--timeout", "1500ms");
    expect(exitCode).toBe(8);
    expect(stderr).toContain("not over yet (queued)");
    expect(stdout).toBe("");
  });
});

describe("a lifecycle command", () => {
  it("shows the plan and changes nothing when nobody can agree", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ingest", "agent-1", "hello", "--ensure");
    const { exitCode, stderr, stdout } = await run("runtime", "destroy", "agent-1");
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/inputs abandoned +1/);
    expect(stderr).toContain("topology.runtime_destroyed");
    expect(stderr).toContain("--yes");
    const shown = await run("runtime", "get", "agent-1");
    expect(shown.stdout).toMatch(/^state +idle$/m);
  });

  it("says the same as a dry run and ends with 0", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ingest", "agent-1", "hello", "--ensure");
    const { exitCode, stderr } = await run("runtime", "reset", "agent-1", "--dry-run");
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/inputs abandoned +1/);
    expect((await run("runtime", "get", "agent-1")).stdout).toMatch(
      /^inputs +1 accepted, 1 queued$/m,
    );
  });

  it.each([
    ["retire", "retired agent-1: retired", "retired"],
    ["stop", "stopped agent-1: stopped", "stopped"],
    ["reset", "reset agent-1: idle", "idle"],
    ["recycle", "recycled agent-1: idle", "idle"],
    ["recover", "recovered agent-1: idle", "idle"],
    ["destroy", "destroyed agent-1: destroyed", "destroyed"],
    ["unregister", "unregistered agent-1: idle", "idle"],
  ])("%s does it at once when agreed beforehand", async (name, line) => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    const { exitCode, stdout } = await run("runtime", name, "agent-1", "--yes", "--reason", "test");
    expect(stdout).toContain(`${line} at revision 2\n`);
    expect(exitCode).toBe(0);
    const commits = await run("admin", "commits", "agent-1", "--raw");
    expect(commits.stdout).toContain('"reason":"test"');
  });

  it("ends with 6 when the revision is another one by now", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    const words = ["runtime", "stop", "agent-1", "--yes", "--expected-revision", "9"];
    const { exitCode, stderr } = await run(...words);
    expect(exitCode).toBe(6);
    expect(stderr).toMatch(/reason +REVISION_MISMATCH/);
  });
});

describe("watch", () => {
  it("goes on where its connection was cut and says where to resume", async () => {
    const { namespace, run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    const proxy = await openCutProxy(server.port);
    const words = ["runtime", "watch", "agent-1", "--from-start", "--namespace", namespace];
    const watch = startCli(words, { address: proxy.address });
    try {
      await until("the first event", () => watch.stdout().includes("topology.runtime_created"));
      await run("runtime", "publish", "agent-1", "test.first");
      await until("the event before the cut", () => watch.stdout().includes("test.first"));
      proxy.cut();
      await run("runtime", "publish", "agent-1", "test.second", "--payload", '{"n":2}');
      await until("the event after the cut", () => watch.stdout().includes("test.second"));
      expect(await endCli(watch, "SIGINT")).toBe(0);
    } finally {
      watch.child.kill("SIGKILL");
      proxy.close();
    }
    const codes = watch.stdout().match(/\b(topology|test)\.\w+/g);
    expect(codes).toEqual(["topology.runtime_created", "test.first", "test.second"]);
    expect(watch.stderr()).toContain("resuming");
    expect(watch.stderr()).toMatch(/go on with --after 3(:0)?\n$/);
  });

  it("begins behind a place and ends with the runtime", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    await run("runtime", "publish", "agent-1", "test.first");
    await run("runtime", "destroy", "agent-1", "--yes");
    const words = ["runtime", "watch", "agent-1", "--after", "1", "-o", "json"];
    const { stdout, exitCode } = await run(...words, "--category", "published");
    const [first, ...rest] = stdout.trimEnd().split("\n");
    expect(exitCode).toBe(0);
    expect(JSON.parse(first ?? "")).toMatchObject({ event: { eventCode: "test.first" } });
    expect(JSON.parse(rest.at(-1) ?? "")).toMatchObject({
      end: { reason: "WATCH_END_REASON_RUNTIME_DESTROYED" },
    });
  });
});

describe("verify and admin", () => {
  it("check the history there and here", async () => {
    const { run } = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    await run("runtime", "ingest", "agent-1", "hello");
    const verified = await run("runtime", "verify", "agent-1");
    expect(verified.exitCode).toBe(0);
    expect(verified.stdout).toMatch(/^history +valid$/m);
    expect(verified.stdout).toMatch(/^commits +2$/m);
    const commits = await run("admin", "commits", "agent-1");
    expect(commits.exitCode).toBe(0);
    expect(commits.stdout.match(/ good /g)).toHaveLength(2);
    const info = await run("admin", "info", "-o", "json");
    expect(JSON.parse(info.stdout)).toMatchObject({ contract: "v9" });
    const replicas = await run("admin", "replicas");
    expect(replicas.stdout).toContain(server.address);
    const rebuilt = await run("admin", "rebuild-views");
    expect(rebuilt.stdout).toMatch(/^1 streams read/);
    const stream = await run("admin", "stream", "agent-1");
    expect(stream.stdout).toMatch(/^head revision +2$/m);
  });
});
