// The commands about background tasks as people and scripts use them, against a real server.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CliServer, runCli, startCliServer } from "./support/cli.ts";

let server: CliServer;

beforeAll(async () => {
  server = await startCliServer();
});

afterAll(() => server.stop());

/** The command in a namespace of its own, where two sessions are known. */
async function withSessions() {
  const namespace = `cli-${randomUUID()}`;
  const { address } = server;
  const run = (...words: string[]) => runCli([...words, "--namespace", namespace], { address });
  await run("runtime", "ensure", "chat-1");
  await run("runtime", "ensure", "chat-2");
  return run;
}

it("a task from its beginning to its end, in tables for people", async () => {
  const run = await withSessions();
  const spawned = await run("task", "spawn", "chat-1", "research", "--kind", "subagent");
  expect([spawned.exitCode, spawned.stderr]).toEqual([0, ""]);
  expect(spawned.stdout).toMatch(/\nstate +pending\n/);
  const twice = await run("task", "spawn", "chat-1", "research");
  expect(twice.stderr).toContain("TASK_ALREADY_EXISTS");
  const running = await run("task", "transition", "chat-1", "research", "running");
  expect(running.stdout).toMatch(/\nstate +running\n/);
  const listed = await run("task", "ls", "chat-1");
  expect(listed.stdout).toMatch(/^TASK {6}STATE {4}KIND/);
  expect(listed.stdout).toMatch(/\nresearch {2}running {2}subagent {2}managed/);
  const pending = await run("task", "await", "chat-1", "research", "--timeout", "100ms");
  expect(pending).toMatchObject({ exitCode: 8, stderr: "research: not over yet\n" });
  const ended = await run("task", "complete", "chat-1", "research", "--value", '{"ok":true}');
  expect(ended.stdout).toMatch(/\noutcome +completed\n/);
  const late = await run("task", "complete", "chat-1", "research", "--failed", "late");
  expect(late).toMatchObject({ exitCode: 0, stderr: "it had ended before\n" });
  const awaited = await run("task", "await", "chat-1", "research");
  expect(awaited).toMatchObject({ exitCode: 0, stdout: '{"ok":true}\n' });
  const got = await run("task", "get", "chat-1", "research", "-o", "json");
  expect(JSON.parse(got.stdout)).toMatchObject({ task: { state: "TASK_STATE_COMPLETED" } });
});

it("tasks are cancelled, alone and together, and waited for", async () => {
  const run = await withSessions();
  await run("task", "register", "chat-1", "build-7", "--on-cancel", "external");
  await run("task", "spawn", "chat-1", "a");
  await run("task", "spawn", "chat-1", "b", "--hidden");
  const asked = await run("task", "cancel", "chat-1", "a", "--reason", "enough");
  expect(asked.stdout).toMatch(/\nstate +cancel_requested\n/);
  expect(asked.stdout).toMatch(/cancel wished +.* enough\n/);
  const over = await run("task", "cancel", "chat-1", "a", "--grace", "0s", "--wait");
  expect([over.exitCode, over.stdout]).toEqual([0, expect.stringMatching(/state +cancelled\n/)]);
  const all = await run("task", "cancel-all", "chat-1", "--keep", "build-7");
  expect([all.stdout, all.stderr]).toEqual(["", "no live tasks but those kept\n"]);
  const others = await run("task", "cancel-all", "chat-1");
  expect(others.stdout).toMatch(/\nbuild-7 {2}cancel_requested/);
  const unknown = await run("task", "cancel", "chat-1", "x");
  expect(unknown.stderr).toContain("TASK_NOT_FOUND");
  const hidden = await run("task", "await", "chat-1", "--timeout", "100ms");
  expect(hidden).toMatchObject({ exitCode: 8, stderr: "hidden tasks that are live: 1\n" });
  await run("task", "complete", "chat-1", "b", "--failed", "broke");
  const failed = await run("task", "await", "chat-1");
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toMatch(/outcome +failed: operator\/broke\n/);
});

it("tasks are handed over and forgotten", async () => {
  const run = await withSessions();
  await run("task", "register", "chat-1", "build-7", "--payload", '{"url":"u"}');
  const moved = await run("task", "transfer", "chat-1", "chat-2", "build-7", "unknown");
  expect(moved.stdout).toMatch(/\nbuild-7 {2}running/);
  expect((await run("task", "ls", "chat-1")).stderr).toBe("no tasks\n");
  const gone = await run("task", "unregister", "chat-2", "build-7");
  expect(gone.stdout).toBe("unregistered build-7\n");
  expect((await run("task", "unregister", "chat-2", "build-7")).stdout).toBe("it was not there\n");
});

it("a state that is none is a mistake of usage", async () => {
  const run = await withSessions();
  const wrong = await run("task", "transition", "chat-1", "a", "done");
  expect([wrong.exitCode, wrong.stderr]).toEqual([
    2,
    expect.stringContaining("running or waiting"),
  ]);
});
