// `keelson operation` as people and scripts use it, against a real server.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CliServer, endCli, runCli, startCli, startCliServer, until } from "./support/cli.ts";

let server: CliServer;

beforeAll(async () => {
  server = await startCliServer();
});

afterAll(async () => {
  await server.stop();
});

/** A runtime in a namespace of its own, and the command within it. */
async function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  const { address } = server;
  const words = (...said: string[]) => ["operation", ...said, "--namespace", namespace];
  const run = (...said: string[]) => runCli(words(...said), { address });
  const start = (...said: string[]) => startCli(words(...said), { address });
  await runCli(["runtime", "ensure", "agent", "--namespace", namespace], { address });
  return { run, start };
}

it("an operation is registered, reports, completes, and is shown with its result", async () => {
  const { run } = await inFreshNamespace();
  const registered = await run("register", "agent", "build the image", "--id", "build-7");
  expect(registered).toEqual({ exitCode: 0, stdout: "build-7\n", stderr: "" });
  expect((await run("provisioned", "agent", "build-7")).stdout).toMatch(/^build-7 is running at/);
  await run("progress", "agent", "build-7", "--percent", "40", "--message", "linked");
  const list = await run("ls", "agent", "--active");
  expect(list.stdout).toMatch(/build-7 +build the image +background_tool_op +running +40 %/);
  expect(list.stderr).toContain("1 of 10000 active");
  await run("complete", "agent", "build-7", "image abc", "--took", "90s", "--tokens", "12");
  const { stdout } = await run("get", "agent", "build-7");
  expect(stdout).toMatch(/status +completed/);
  expect(stdout).toMatch(/\n\nimage abc\n$/);
});

it("a step that is not possible ends with 5, an unknown operation with 4", async () => {
  const { run } = await inFreshNamespace();
  expect((await run("cancel", "agent", "nothing")).exitCode).toBe(4);
  await run("register", "agent", "child", "--id", "m-1", "--kind", "mob_member_child");
  const early = await run("retired", "agent", "m-1");
  expect(early.exitCode).toBe(5);
  expect(early.stderr).toContain("OPERATION_INVALID_TRANSITION");
});

it("a member says its peer, fails, is retired or is cancelled", async () => {
  const { run } = await inFreshNamespace();
  for (const id of ["m-1", "m-2", "m-3"]) {
    await run("register", "agent", id, "--id", id, "--kind", "mob_member_child");
    await run("provisioned", "agent", id);
  }
  const peer = ["--peer", "ann", "--peer-id", "p1", "--peer-address", "tcp://a"];
  expect((await run("peer-ready", "agent", "m-1", ...peer)).exitCode).toBe(0);
  expect((await run("get", "agent", "m-1")).stdout).toContain("tcp://a");
  expect((await run("request-retire", "agent", "m-1")).stdout).toMatch(/^m-1 is retiring at/);
  expect((await run("retired", "agent", "m-1")).stdout).toMatch(/^m-1 is retired at/);
  const failed = await run("fail", "agent", "m-2", "--error", "out of memory");
  expect(failed.stdout).toMatch(/^m-2 is failed at/);
  expect((await run("cancel", "agent", "m-3")).stdout).toMatch(/^m-3 is cancelled at/);
});

it("a wait ends with what became of the operations; 8 when the time was up", async () => {
  const { run, start } = await inFreshNamespace();
  for (const id of ["a", "b"]) await run("register", "agent", id, "--id", id);
  expect((await run("wait", "agent", "a", "b", "--timeout", "200ms")).exitCode).toBe(8);
  const all = start("wait", "agent", "a", "b", "--timeout", "60s");
  const any = start("wait", "agent", "a", "b", "--any", "--timeout", "60s");
  const watch = start("watch", "agent", "b");
  await until("the watch has begun", () => watch.stdout().includes("b  provisioning"));
  await run("fail-provisioning", "agent", "b", "--error", "no disk");
  expect(await any.ended).toBe(1);
  expect(any.stdout()).toMatch(/^b +b .*failed .*no disk$/m);
  expect(await watch.ended).toBe(1);
  await run("provisioned", "agent", "a");
  await run("complete", "agent", "a");
  expect(await all.ended).toBe(1);
  expect((await run("wait", "agent", "a")).exitCode).toBe(0);
});

it("the feed is listed, followed and collected", async () => {
  const { run, start } = await inFreshNamespace();
  for (const id of ["a", "b", "c"]) await run("register", "agent", id, "--id", id);
  await run("abort-provisioning", "agent", "b", "--reason", "not needed");
  const follower = start("completions", "agent", "--follow");
  await until("the first is told", () => follower.stdout().includes("1  b  aborted: not needed"));
  const terminated = await run("terminate-owner", "agent", "--reason", "host goes", "--yes");
  expect(terminated.stdout).toMatch(/^2 operations ended at revision \d+$/m);
  await until("the others are told", () =>
    follower.stdout().includes("3  c  terminated: host goes"),
  );
  await endCli(follower, "SIGINT");
  const feed = await run("completions", "agent", "--after", "1", "-o", "json");
  expect(JSON.parse(feed.stdout)).toMatchObject({
    completions: [{ operationId: "a" }, { operationId: "c" }],
    registry: { watermark: "3" },
  });
  expect((await run("collect", "agent", "--through", "2")).stdout).toMatch(/b .*\na /);
  expect((await run("ls", "agent", "--no-active")).stdout).not.toMatch(/^[ab] /m);
});
