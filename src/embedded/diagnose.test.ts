import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diagnose, type EmbeddedCheck } from "./diagnose.ts";
import { hostPathsIn, processStartTicks, writeHostRecord } from "./host-files.ts";

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "keelson-")));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function check(name: EmbeddedCheck["name"], dataDirectory: string): Promise<EmbeddedCheck> {
  const checks = await diagnose({
    dataDirectory,
    runtimeDirectory: join(root, "run"),
    cacheDirectory: join(root, "cache"),
    environment: { PATH: join(root, "empty") },
  });
  const found = checks.find((one) => one.name === name);
  if (found === undefined) {
    throw new Error(`no check is named ${name}`);
  }
  return found;
}

test("every check is made once, and nothing is created", async () => {
  const checks = await diagnose({
    dataDirectory: join(root, "data"),
    runtimeDirectory: join(root, "run"),
    cacheDirectory: join(root, "cache"),
    environment: {},
  });
  expect(checks.map((one) => one.name)).toEqual([
    "package",
    "platform",
    "glibc",
    "data directory",
    "socket",
    "host",
  ]);
  await expect(rm(join(root, "data"))).rejects.toThrow("ENOENT");
});

test("the installed package is named with its version", async () => {
  expect((await check("package", root)).explanation).toMatch(/embedded-mongodb \d+\.\d+\.\d+ is/);
});

test("a data directory that is a file is a failure, an open one a warning", async () => {
  await writeFile(join(root, "file"), "");
  expect(await check("data directory", join(root, "file"))).toMatchObject({ status: "failed" });

  await mkdir(join(root, "open/mongodb"), { recursive: true });
  await chmod(join(root, "open/mongodb"), 0o755);
  expect(await check("data directory", join(root, "open"))).toMatchObject({ status: "warning" });

  await chmod(join(root, "open/mongodb"), 0o700);
  expect(await check("data directory", join(root, "open"))).toMatchObject({ status: "ok" });
});

test("a path too long for a socket is told", async () => {
  expect(await check("socket", join(root, "d".repeat(100)))).toMatchObject({ status: "warning" });
  expect(await check("socket", root)).toMatchObject({ status: "ok" });
});

test("a living holder is ok, a dead one a warning", async () => {
  const paths = hostPathsIn(root);
  await mkdir(paths.privateDirectory);
  const record = {
    formatVersion: 1,
    pid: process.pid,
    startTicks: (await processStartTicks(process.pid)) ?? null,
    startedAt: "2026-01-01T00:00:00.000Z",
    databaseDirectory: paths.databaseDirectory,
    socketPath: join(root, "db.sock"),
  } as const;
  await writeHostRecord(paths, record);
  expect(await check("host", root)).toMatchObject({ status: "ok" });
  await writeHostRecord(paths, { ...record, startTicks: -1 });
  expect(await check("host", root)).toMatchObject({ status: "warning" });
});
