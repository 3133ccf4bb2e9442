// The commands about processes as people and scripts use them, against a real server.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CliServer, endCli, runCli, startCli, startCliServer, until } from "./support/cli.ts";

let server: CliServer;

beforeAll(async () => {
  server = await startCliServer();
});

afterAll(() => server.stop());

/** A namespace of its own, and the command within it. */
function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  const placed = (words: readonly string[]) => [...words, "--namespace", namespace];
  const { address } = server;
  const run = (...words: string[]) => runCli(placed(words), { address });
  const start = (...words: string[]) => startCli(placed(words), { address });
  const runWith = (stdin: string, ...words: string[]) => runCli(placed(words), { address, stdin });
  return { run, runWith, start };
}

it("a process from its registration to its end, in tables for people", async () => {
  const { run } = inFreshNamespace();
  const words = ["--kind", "build", "--disposition", "externally_owned", "--event", "step"];
  const registered = await run("process", "register", "ci-42", ...words);
  expect(registered.stderr).toBe("");
  expect(registered.exitCode).toBe(0);
  const again = await run("process", "register", "ci-42", ...words);
  expect(again.stderr).toBe("it was registered before\n");
  const appended = await run("process", "append", "ci-42", "step", "--payload", '{"n":1}');
  expect(appended.stdout).toMatch(/ {2}1 {2}step {2}\{"n":1\}\n$/);
  const listed = await run("process", "ls");
  expect(listed.stdout).toMatch(/^PROCESS {2}STATE {4}KIND/);
  expect(listed.stdout).toMatch(/\nci-42 {4}running {2}build/);
  const events = await run("process", "events", "ci-42");
  expect(events.stdout).toMatch(/^SEQUENCE {2}TIME.*\n +1 {2}.*step/);
  const pending = await run("process", "await", "ci-42", "--timeout", "100ms");
  expect(pending).toMatchObject({ exitCode: 8, stderr: "ci-42: not over yet\n" });
  const ended = await run("process", "complete", "ci-42", "--value", '{"ok":true}');
  expect(ended.stdout).toMatch(/\nstate +completed\n/);
  const awaited = await run("process", "await", "ci-42");
  expect(awaited).toEqual({ exitCode: 0, stdout: '{"ok":true}\n', stderr: "ci-42: completed\n" });
  const late = await run("process", "complete", "ci-42", "--failed", "late");
  expect(late.exitCode).toBe(5);
  expect(late.stderr).toContain("PROCESS_TERMINAL");
});

it("a registration out of a file, and answers as JSON", async () => {
  const { run, runWith } = inFreshNamespace();
  const registration = {
    processId: "index-7",
    input: { engine: { kind: "indexer", payload: { path: "/" } } },
    provenance: { session: { sessionId: "chat-1" } },
    disposition: "PROCESS_DISPOSITION_RERUNNABLE",
    envRef: "sandbox",
  };
  const text = JSON.stringify(registration);
  const done = await runWith(text, "process", "register", "--file", "-", "-o", "json");
  expect(done.exitCode).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({ created: true, process: registration });
  const got = await run("process", "get", "index-7", "-o", "json");
  expect(JSON.parse(got.stdout)).toMatchObject({ process: { claimable: true } });
  const cancelled = await run("process", "cancel", "index-7", "--reason", "enough", "-o", "json");
  expect(JSON.parse(cancelled.stdout)).toMatchObject({
    event: { eventType: "process.cancel_requested", payload: { reason: "enough" } },
  });
  const broken = await runWith("{", "process", "register", "--file", "-");
  expect(broken.exitCode).toBe(2);
  expect((await run("process", "get", "nobody")).exitCode).toBe(4);
});

it("waits for an event, and watches a process and the namespace", async () => {
  const { run, start } = inFreshNamespace();
  const words = ["--kind", "build", "--disposition", "externally_owned", "--event", "signal.go"];
  await run("process", "register", "p", ...words);
  const waiting = start("process", "wait", "p", "signal.go");
  const one = start("process", "watch", "p", "--from-start");
  const all = start("process", "watch", "--initial", "-o", "json");
  await until("the watch has begun", () => all.stdout().includes('"bookmark"'));
  await run("process", "append", "p", "signal.go", "--key", "go");
  expect(await waiting.ended).toBe(0);
  expect(waiting.stdout()).toContain("signal.go");
  await until("both heard of it", () => {
    return one.stdout().includes("signal.go") && all.stdout().includes('"lastSequence":"1"');
  });
  await endCli(one, "SIGINT");
  await endCli(all, "SIGINT");
  expect(one.stderr()).toContain("-- go on with --after 1");
  expect(all.stderr()).toContain("-- go on with --cursor ");
});

it("a recovery says who goes on with what runs", async () => {
  const { run } = inFreshNamespace();
  await run("process", "register", "p", "--kind", "build", "--disposition", "externally_owned");
  await run("process", "register", "q", "--kind", "build", "--disposition", "owner_bound");
  const { exitCode, stdout } = await run("process", "recover", "--kind", "build", "--dry-run");
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/\np +externally_owned +outside\nq +owner_bound +claimable\n/);
});

it("grants of a session, and their transfer", async () => {
  const { run } = inFreshNamespace();
  await run("process", "register", "p", "--kind", "build", "--disposition", "externally_owned");
  const granted = await run("process", "grants", "--session", "a", "--grant", "p", "--label", "x");
  expect(granted).toMatchObject({ exitCode: 0, stdout: "granted p\n" });
  expect((await run("process", "transfer", "a", "b", "p")).stdout).toBe("moved 1\n");
  const listed = await run("process", "grants", "--process", "p");
  expect(listed.stdout).toMatch(/\nb +x/);
  const revoked = await run("process", "grants", "--session", "b", "--revoke", "p");
  expect(revoked.stdout).toBe("revoked p\n");
  expect((await run("process", "grants", "--session", "b")).stderr).toBe("no grants\n");
  expect((await run("process", "grants")).exitCode).toBe(2);
});
