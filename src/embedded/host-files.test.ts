import { chmod, mkdir, mkdtemp, realpath, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  chooseSocketPath,
  type HostRecord,
  isHostAlive,
  prepareHostPaths,
  processStartTicks,
  readHostRecord,
  writeHostRecord,
} from "./host-files.ts";

let root: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "keelson-")));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function recordOf(databaseDirectory: string, socketPath: string): Promise<HostRecord> {
  return {
    formatVersion: 1,
    pid: process.pid,
    startTicks: (await processStartTicks(process.pid)) ?? null,
    startedAt: "2026-01-01T00:00:00.000Z",
    databaseDirectory,
    socketPath,
  };
}

test("a new data directory is private, an old one keeps its mode", async () => {
  const fresh = await prepareHostPaths(join(root, "fresh"));
  const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
  expect(await modeOf(join(root, "fresh"))).toBe(0o700);
  expect(await modeOf(fresh.databaseDirectory)).toBe(0o700);

  await mkdir(join(root, "old/mongodb"), { recursive: true });
  await chmod(join(root, "old"), 0o755);
  await chmod(join(root, "old/mongodb"), 0o755);
  const old = await prepareHostPaths(join(root, "old"));
  expect(await modeOf(join(root, "old"))).toBe(0o755);
  expect(await modeOf(old.privateDirectory)).toBe(0o700);
});

test("one directory has the same paths under each of its names", async () => {
  const paths = await prepareHostPaths(join(root, "data"));
  await symlink(join(root, "data"), join(root, "other-name"));
  expect(await prepareHostPaths(join(root, "other-name"))).toEqual(paths);
});

test("a socket path over 103 bytes moves to the runtime directory", async () => {
  const runtimeDirectory = join(root, "run");
  const socketBytesBesides = Buffer.byteLength(join(root, "/mongodb/db.sock")) + 1;
  const longest = "d".repeat(103 - socketBytesBesides);
  const inside = await prepareHostPaths(join(root, longest));
  expect(await chooseSocketPath(inside, runtimeDirectory)).toHaveLength(103);

  const outside = await prepareHostPaths(join(root, `${longest}d`));
  const socketPath = await chooseSocketPath(outside, runtimeDirectory);
  expect(socketPath.startsWith(`${runtimeDirectory}/`)).toBe(true);
  expect(await chooseSocketPath(outside, runtimeDirectory)).toBe(socketPath);
});

test("a runtime directory that others can enter is refused", async () => {
  const runtimeDirectory = join(root, "run");
  await mkdir(runtimeDirectory);
  await chmod(runtimeDirectory, 0o777);
  const paths = await prepareHostPaths(join(root, "d".repeat(100)));
  await expect(chooseSocketPath(paths, runtimeDirectory)).rejects.toMatchObject({
    reason: "directory_unusable",
  });
});

test("two paths that are too long are refused", async () => {
  const paths = await prepareHostPaths(join(root, "d".repeat(100)));
  await expect(chooseSocketPath(paths, join(root, "r".repeat(100)))).rejects.toMatchObject({
    reason: "socket_path_too_long",
  });
});

test("a recorded socket is used wherever it is, a copied record is not believed", async () => {
  const paths = await prepareHostPaths(join(root, "data"));
  await mkdir(join(root, "elsewhere"), { mode: 0o700 });
  const elsewhere = join(root, "elsewhere/db.sock");
  await writeHostRecord(paths, await recordOf(paths.databaseDirectory, elsewhere));
  expect(await chooseSocketPath(paths, root)).toBe(elsewhere);

  await writeHostRecord(paths, await recordOf(join(root, "original"), elsewhere));
  expect(await readHostRecord(paths)).toBeUndefined();
  expect(await chooseSocketPath(paths, root)).toBe(join(paths.privateDirectory, "db.sock"));
});

test("a process with the recorded pid but another start time is not the host", async () => {
  const record = await recordOf(root, join(root, "db.sock"));
  expect(await isHostAlive(record)).toBe(true);
  expect(await isHostAlive({ ...record, startTicks: -1 })).toBe(false);
  expect(await isHostAlive({ ...record, pid: 2 ** 22 + 1 })).toBe(false);
});
