// The commands about inputs that wait, against a real server.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CliServer, runCli, startCliServer } from "./support/cli.ts";

let server: CliServer;

beforeAll(async () => {
  server = await startCliServer();
});

afterAll(() => server.stop());

/** The command within a namespace of its own. */
function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  return (...words: string[]) =>
    runCli([...words, "--namespace", namespace], { address: server.address });
}

type Run = ReturnType<typeof inFreshNamespace>;

async function ingestAll(run: Run, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    await run("runtime", "ingest", "agent-1", "hello", "--ensure", "--key", key);
  }
}

describe("cancel-inputs", () => {
  it("takes back what is named and says what became of each", async () => {
    const run = inFreshNamespace();
    await ingestAll(run, "a", "b", "c");
    const words = ["runtime", "cancel-inputs", "agent-1", "--key", "b", "--key", "none", "--yes"];
    const { exitCode, stdout, stderr } = await run(...words, "--reason", "test");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^\S+ +b +cancelled$/m);
    expect(stdout).toMatch(/^- +none +not found$/m);
    expect(stderr).toMatch(/^cancelled +1$/m);
    const awaited = await run("runtime", "await", "agent-1", "--key", "b");
    expect([awaited.exitCode, awaited.stderr]).toEqual([1, expect.stringContaining("test")]);
  });

  it("shows the plan of a suffix and changes nothing when nobody can agree", async () => {
    const run = inFreshNamespace();
    await ingestAll(run, "a", "b", "c");
    const words = ["runtime", "cancel-inputs", "agent-1", "--from-key", "b"];
    const { exitCode, stderr, stdout } = await run(...words);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^cancelled +2$/m);
    const { stdout: shown } = await run("runtime", "get", "agent-1");
    expect(shown).toMatch(/^inputs +3 accepted, 3 queued$/m);
    const done = await run(...words, "--yes", "-o", "json");
    expect(JSON.parse(done.stdout)).toMatchObject({ cancelledCount: 2, alreadyOverCount: 0 });
  });

  it("wants either names or an anchor", async () => {
    const run = inFreshNamespace();
    const neither = await run("runtime", "cancel-inputs", "agent-1", "--yes");
    const both = await run("runtime", "cancel-inputs", "agent-1", "x", "--from", "y", "--yes");
    expect([neither.exitCode, both.exitCode]).toEqual([2, 2]);
  });
});

describe("set-silent-intents", () => {
  it("replaces the set, which the runtime shows", async () => {
    const run = inFreshNamespace();
    await run("runtime", "ensure", "agent-1");
    const set = await run("runtime", "set-silent-intents", "agent-1", "status", "ping");
    expect(set.stdout).toBe("silent intents of agent-1 at revision 2: ping, status\n");
    const { stdout } = await run("runtime", "get", "agent-1");
    expect(stdout).toMatch(/^silent intents +ping, status$/m);
    const none = await run("runtime", "set-silent-intents", "agent-1", "--none");
    expect(none.stdout).toContain(": none\n");
    expect((await run("runtime", "set-silent-intents", "agent-1")).exitCode).toBe(2);
  });
});

describe("explain", () => {
  it("says why nothing happens, about what, and what would help", async () => {
    const run = inFreshNamespace();
    await ingestAll(run, "a");
    const { exitCode, stdout } = await run("runtime", "explain", "agent-1");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^agent-1 is idle at revision 1\n 1 {2}no executor is attached/);
    expect(stdout).toMatch(/\(no_executor, for \S+\)\n {4}pool default\n {4}helps: attach/);
    const json = await run("runtime", "explain", "agent-1", "-o", "json");
    expect(JSON.parse(json.stdout)).toMatchObject({
      causes: [{ kind: "RUNTIME_CAUSE_KIND_NO_EXECUTOR", pool: "default" }],
    });
    expect((await run("runtime", "explain", "nobody")).exitCode).toBe(4);
  });
});
