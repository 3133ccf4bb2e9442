// The embedded database as replicas live with it: started, shared, killed, paused and left.
import { spawn } from "node:child_process";
import {
  cp,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MongoClient } from "mongodb";
import { afterEach, expect, test } from "vitest";
import type { EmbeddedEvent } from "../../src/embedded/embedded-database.ts";
import {
  hostPathsIn,
  isHostAlive,
  processStartTicks,
  readHostRecord,
} from "../../src/embedded/host-files.ts";
import { type EmbeddedFixture, eventually, makeEmbeddedFixture } from "./embedded-fixture.ts";

interface Row {
  readonly _id: string;
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

async function makeFixture(below?: string): Promise<EmbeddedFixture> {
  const fixture = await makeEmbeddedFixture(below);
  cleanups.push(() => fixture.remove());
  return fixture;
}

async function connect(uri: string): Promise<MongoClient> {
  const client = new MongoClient(uri, {
    serverSelectionTimeoutMS: 10_000,
    writeConcern: { w: "majority", journal: true },
  });
  cleanups.push(() => client.close());
  return await client.connect();
}

function rowsOf(client: MongoClient) {
  return client.db("test").collection<Row>("rows");
}

function isGone(pid: number): () => Promise<boolean> {
  return async () => (await processStartTicks(pid)) === undefined;
}

/** What a joiner says: an event of its own, or how it joined. */
interface JoinerLine {
  readonly kind: string;
  readonly pid: number;
}

interface Joiner {
  readonly lines: () => readonly JoinerLine[];
  readonly leave: () => void;
}

/** Joins from a process of its own. */
function joinFromProcess(fixture: EmbeddedFixture, changes: object = {}): Joiner {
  const script = fileURLToPath(new URL("./embedded-joiner.ts", import.meta.url));
  const order = JSON.stringify({ ...fixture.options, ...changes });
  const child = spawn(process.execPath, [script, order], { stdio: ["pipe", "pipe", "inherit"] });
  const lines: JoinerLine[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(JSON.parse(line) as JoinerLine);
  });
  cleanups.push(async () => {
    child.stdin.end();
    await eventually("the joiner has left", () => child.exitCode !== null);
  });
  return { lines: () => lines, leave: () => child.stdin.end() };
}

test("a start creates a private directory and serves a standalone", async () => {
  const fixture = await makeFixture();
  const database = await fixture.start();
  const client = await connect(database.uri);

  const hello = await client.db("admin").command({ hello: 1 });
  expect(hello).toMatchObject({ isWritablePrimary: true, ok: 1 });
  expect(hello).not.toHaveProperty("setName");
  const build = await client.db("admin").command({ buildInfo: 1 });
  expect(Number.parseInt(String(build["version"]), 10)).toBeGreaterThanOrEqual(8);

  const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
  const paths = hostPathsIn(fixture.dataDirectory);
  expect(await modeOf(fixture.dataDirectory)).toBe(0o700);
  expect(await modeOf(paths.privateDirectory)).toBe(0o700);
  expect(await modeOf(database.socketPath)).toBe(0o600);
  expect(await modeOf(paths.logPath)).toBe(0o600);
});

test("a stop closes the directory, and a later start finds what was written", async () => {
  const fixture = await makeFixture();
  const first = await fixture.start();
  await rowsOf(await connect(first.uri)).insertOne({ _id: "kept" });
  const firstPid = first.pid();
  await first.stop();

  expect(await processStartTicks(firstPid)).toBeUndefined();
  expect(await readHostRecord(hostPathsIn(fixture.dataDirectory))).toBeUndefined();
  await expect(stat(first.socketPath)).rejects.toThrow("ENOENT");

  const second = await fixture.start();
  expect(second.uri).toBe(first.uri);
  expect(await rowsOf(await connect(second.uri)).findOne()).toEqual({ _id: "kept" });
  await second.stop();
});

test("no acknowledged write is lost when the host is killed in the middle of writes", async () => {
  const fixture = await makeFixture();
  const events: EmbeddedEvent[] = [];
  const database = await fixture.start({ onEvent: (event) => events.push(event) });
  const client = await connect(database.uri);
  const acknowledged: string[] = [];
  let isDone = false;

  async function write(writer: number): Promise<void> {
    for (let number = 0; !isDone; number += 1) {
      const ids = [0, 1, 2].map((part) => `${writer}-${number}-${part}`);
      const rows = ids.map((_id) => ({ _id }));
      // A batch whose answer was lost is not counted: only acknowledgements are promises.
      const isKept = await rowsOf(client)
        .insertMany(rows, { ordered: false })
        .then(
          () => true,
          () => false,
        );
      if (isKept) {
        acknowledged.push(...ids);
      }
    }
  }

  const writing = Promise.all([0, 1, 2, 3].map((writer) => write(writer)));
  try {
    for (const round of [1, 2, 3]) {
      const countBefore = acknowledged.length;
      await eventually("writes are acknowledged", () => acknowledged.length > countBefore + 30);
      const killedPid = database.pid();
      process.kill(killedPid, "SIGKILL");
      const isRestarted = () =>
        events.filter((event) => event.kind === "restarted").length === round;
      await eventually("the host is restarted", isRestarted);
      expect(database.pid()).not.toBe(killedPid);
    }
    const countBefore = acknowledged.length;
    await eventually("writes go on", () => acknowledged.length > countBefore);
  } finally {
    isDone = true;
    await writing;
  }

  const found = new Set((await rowsOf(client).find().toArray()).map((row) => row._id));
  expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  expect(events.filter((event) => event.kind === "restart_failed")).toEqual([]);
});

test("processes that start at the same time share one host", async () => {
  const fixture = await makeFixture();
  const joiners = [joinFromProcess(fixture), joinFromProcess(fixture), joinFromProcess(fixture)];
  const database = await fixture.start();
  const isJoined = () => joiners.every((joiner) => joiner.lines().length > 0);
  await eventually("all have joined", isJoined);

  const pids = new Set(joiners.map((joiner) => joiner.lines()[0]?.pid));
  expect(pids).toEqual(new Set([database.pid()]));
  // Nor does one that came too late wait for the directory to become free.
  expect(await hostsOf(fixture.dataDirectory)).toEqual([database.pid()]);
  for (const joiner of joiners) {
    joiner.leave();
  }
  const client = await connect(database.uri);
  expect((await rowsOf(client).insertOne({ _id: "still here" })).acknowledged).toBe(true);
});

/** The processes that were started to serve a data directory: each works inside it. */
async function hostsOf(dataDirectory: string): Promise<readonly number[]> {
  const inside = hostPathsIn(await realpath(dataDirectory)).privateDirectory;
  const hosts: number[] = [];
  for (const name of await readdir("/proc")) {
    const workingDirectory = await readlink(`/proc/${name}/cwd`).catch(() => "");
    if (workingDirectory === inside) {
      hosts.push(Number(name));
    }
  }
  return hosts;
}

test("replicas that lose their host together agree on one successor", async () => {
  const fixture = await makeFixture();
  const database = await fixture.start();
  const joiners = [joinFromProcess(fixture), joinFromProcess(fixture)];
  await eventually("all have joined", () => joiners.every(({ lines }) => lines().length > 0));

  process.kill(database.pid(), "SIGKILL");
  const successors = () => joiners.map(({ lines }) => lines().findLast(isRestart)?.pid);
  await eventually("all have a successor", () => !successors().includes(undefined));

  const record = await readHostRecord(hostPathsIn(fixture.dataDirectory));
  expect(record !== undefined && (await isHostAlive(record))).toBe(true);
  expect(new Set(successors())).toEqual(new Set([record?.pid]));
  await eventually("this replica sees it, too", () => database.pid() === record?.pid);
});

function isRestart(line: JoinerLine): boolean {
  return line.kind === "restarted";
}

test("the host ends by itself after its last client has left", async () => {
  const fixture = await makeFixture();
  const database = await fixture.start({ idleTimeoutMs: 200 });
  const pid = database.pid();
  const client = await connect(database.uri);
  await rowsOf(client).insertOne({ _id: "one" });

  await database.leave();
  expect(await rowsOf(client).countDocuments()).toBe(1);
  expect(await processStartTicks(pid)).not.toBeUndefined();
  await client.close();
  await eventually("the host has ended", isGone(pid));

  const log = await readFile(hostPathsIn(fixture.dataDirectory).logPath, "utf8");
  expect(log).toContain('"reason":"idle"');
});

test("a replica can leave while its host is being replaced", async () => {
  const fixture = await makeFixture();
  const lost = Promise.withResolvers<void>();
  const onEvent = (event: EmbeddedEvent) => {
    if (event.kind === "lost") {
      lost.resolve();
    }
  };
  const database = await fixture.start({ onEvent, idleTimeoutMs: 200 });
  process.kill(database.pid(), "SIGKILL");
  await lost.promise;
  await database.leave();
  const again = await fixture.start();
  expect(again.uri).toBe(database.uri);
  expect(database.pid()).not.toBe(again.pid());
});

test("a paused host is waited for, not replaced", async () => {
  const fixture = await makeFixture();
  const events: EmbeddedEvent[] = [];
  const database = await fixture.start({ onEvent: (event) => events.push(event) });
  const rows = rowsOf(await connect(database.uri));
  await rows.insertOne({ _id: "before" });

  const pid = database.pid();
  process.kill(pid, "SIGSTOP");
  const written = rows.insertOne({ _id: "during" });
  const joined = await fixture.start();
  process.kill(pid, "SIGCONT");

  expect((await written).acknowledged).toBe(true);
  expect(joined.pid()).toBe(pid);
  expect(events).toEqual([]);
});

test("a directory with a path too long for a socket is served from elsewhere", async () => {
  const fixture = await makeFixture(join("long".repeat(20), "long".repeat(20)));
  const database = await fixture.start();
  expect(database.socketPath).toMatch(/keelson-\d+\/[0-9a-f]{24}\.sock$/);
  expect(Buffer.byteLength(database.socketPath)).toBeLessThanOrEqual(103);
  const client = await connect(database.uri);
  expect((await rowsOf(client).insertOne({ _id: "one" })).acknowledged).toBe(true);

  const elsewhere = await fixture.start({ runtimeDirectory: join(fixture.dataDirectory, "run") });
  expect(elsewhere.uri).toBe(database.uri);
});

test("a copy of a directory that is in use gets a host of its own", async () => {
  const fixture = await makeFixture();
  const original = await fixture.start();
  const copied = await makeFixture();
  await mkdir(copied.dataDirectory, { recursive: true, mode: 0o700 });
  const paths = hostPathsIn(fixture.dataDirectory);
  const copyPaths = hostPathsIn(copied.dataDirectory);
  await mkdir(copyPaths.privateDirectory);
  await cp(paths.recordPath, copyPaths.recordPath);

  const copy = await copied.start();
  expect(copy.uri).not.toBe(original.uri);
  expect(copy.pid()).not.toBe(original.pid());
});

test("a holder that cannot be reached is named when the start gives up", async () => {
  const fixture = await makeFixture();
  const holder = await fixture.start();
  await rm(holder.socketPath);
  const failure = await fixture.start({ startTimeoutMs: 500 }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ reason: "directory_in_use" });
  expect(String(failure)).toContain(`process ${holder.pid()}`);
});

test("files that are not the engine's make the start fail with the log's end", async () => {
  const fixture = await makeFixture();
  const paths = hostPathsIn(fixture.dataDirectory);
  await mkdir(paths.databaseDirectory, { recursive: true, mode: 0o700 });
  await writeFile(join(paths.databaseDirectory, "WiredTiger"), "not a database");
  await writeFile(join(paths.databaseDirectory, "WiredTiger.turtle"), "not a database");
  const failure = await fixture.start().catch((error: unknown) => error);
  expect(failure).toMatchObject({ reason: "start_failed" });
  expect(String(failure)).toContain(paths.logPath);
});

test("a directory that cannot be created is refused with a reason", async () => {
  const fixture = await makeFixture();
  await writeFile(fixture.dataDirectory, "a file");
  await expect(fixture.start()).rejects.toMatchObject({ reason: "directory_unusable" });
});
