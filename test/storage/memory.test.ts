/** The conformance suite on the memory adapter, and the knobs that only it has. */
import { describe, expect, it } from "vitest";
import { type Clock, StorageError } from "../../src/engine/ports.ts";
import { makeMemoryDatabase, makeMemoryStorage } from "../../src/storage/memory/database.ts";
import type { MemoryOperation, MemoryScheduler } from "../../src/storage/memory/gate.ts";
import { freshStream, sampleCommit, sampleRow, systemClock } from "./samples.ts";
import { storageSuite } from "./suite.ts";

const timeoutMs = 10_000;

storageSuite("memory", async () => {
  const database = makeMemoryDatabase({ clock: systemClock });
  return {
    connect: async () => database.connect(),
    breakSignals: async () => database.crash(),
    dispose: async () => undefined,
  };
});

/** A clock that stands still until it is moved. */
function makeManualClock(): Clock & { readonly advance: (deltaMs: number) => void } {
  const timers = new Map<symbol, { readonly atMs: number; readonly callback: () => void }>();
  let now = 1_000;
  return {
    nowMs: () => now,
    monotonicMs: () => now,
    after: (delayMs, callback) => {
      const timer = Symbol("timer");
      timers.set(timer, { atMs: now + delayMs, callback });
      return () => timers.delete(timer);
    },
    advance: (deltaMs) => {
      now += deltaMs;
      for (const [timer, { atMs, callback }] of timers) {
        if (atMs > now || !timers.delete(timer)) continue;
        callback();
      }
    },
  };
}

async function kindOfFailure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    return error instanceof StorageError ? error.kind : String(error);
  }
}

describe("a memory database with manual journaling", () => {
  it("shows a commit before it is durable and acknowledges it after", async () => {
    const database = makeMemoryDatabase({ clock: systemClock, journaling: "manual" });
    const { journal } = database.connect();
    const commit = sampleCommit(freshStream(), 1);
    let isAcknowledged = false;
    const appended = journal.append([commit], timeoutMs).then(() => {
      isAcknowledged = true;
    });
    expect(await journal.headOf(commit.stream)).toBe(1);
    expect(isAcknowledged).toBe(false);
    expect(database.unjournaledCount()).toBe(1);
    database.flush();
    await appended;
    expect(database.unjournaledCount()).toBe(0);
  });

  it("loses by a crash exactly what was not journaled", async () => {
    const database = makeMemoryDatabase({ clock: systemClock, journaling: "manual" });
    const { journal, views } = database.connect();
    const stream = freshStream();
    const kept = journal.append([sampleCommit(stream, 1)], timeoutMs);
    database.flush();
    expect(await kept).toEqual(["stored"]);
    const lost = journal.append([sampleCommit(stream, 2)], timeoutMs);
    const row = sampleRow("namespace", "a");
    const lostRow = views.upsert([row]);
    expect(await journal.headOf(stream)).toBe(2);
    database.crash();
    expect(await kindOfFailure(lost)).toBe("unavailable");
    expect(await kindOfFailure(lostRow)).toBe("unavailable");
    expect(await journal.headOf(stream)).toBe(1);
    expect(await views.get([row.stream])).toEqual([]);
  });

  it("journals everything visible by a barrier and names its life in the token", async () => {
    const database = makeMemoryDatabase({ clock: systemClock, journaling: "manual" });
    const { journal } = database.connect();
    const commit = sampleCommit(freshStream(), 1);
    const appended = journal.append([commit], timeoutMs);
    const token = await journal.barrier();
    expect(await appended).toEqual(["stored"]);
    database.crash();
    expect(await journal.probe([commit])).toHaveLength(1);
    expect(await journal.barrier()).not.toBe(token);
  });

  it("fails an append whose journaling does not come within its timeout", async () => {
    const clock = makeManualClock();
    const database = makeMemoryDatabase({ clock, journaling: "manual" });
    const { journal } = database.connect();
    const appended = kindOfFailure(journal.append([sampleCommit(freshStream(), 1)], 500));
    clock.advance(501);
    expect(await appended).toBe("unavailable");
  });
});

describe("a memory database behind a scheduler", () => {
  /** Does to appends what it is told; everything else goes through. */
  function schedulerFor(fate: MemoryScheduler): MemoryScheduler {
    return async (operation, apply) => {
      if (operation.method === "append") return await fate(operation, apply);
      apply();
      return "answered";
    };
  }

  it("can lose an answer: the effect is there, the caller does not know", async () => {
    const scheduler = schedulerFor(async (_, apply) => {
      apply();
      return "lost";
    });
    const { journal } = makeMemoryDatabase({ clock: systemClock, scheduler }).connect();
    const commit = sampleCommit(freshStream(), 1);
    expect(await kindOfFailure(journal.append([commit], timeoutMs))).toBe("unavailable");
    expect(await journal.headOf(commit.stream)).toBe(1);
  });

  it("can lose a request: there is no effect", async () => {
    const scheduler = schedulerFor(async () => "lost");
    const { journal } = makeMemoryDatabase({ clock: systemClock, scheduler }).connect();
    const commit = sampleCommit(freshStream(), 1);
    expect(await kindOfFailure(journal.append([commit], timeoutMs))).toBe("unavailable");
    expect(await journal.headOf(commit.stream)).toBe(0);
  });

  it("can let an effect land after its caller was told of the failure", async () => {
    const landings: (() => void)[] = [];
    const scheduler = schedulerFor(async (_, apply) => {
      landings.push(apply);
      return "lost";
    });
    const { journal } = makeMemoryDatabase({ clock: systemClock, scheduler }).connect();
    const commit = sampleCommit(freshStream(), 1);
    expect(await kindOfFailure(journal.append([commit], timeoutMs))).toBe("unavailable");
    expect(await journal.headOf(commit.stream)).toBe(0);
    for (const land of landings) land();
    expect(await journal.headOf(commit.stream)).toBe(1);
  });

  it("drops what was under way when the database crashed", async () => {
    const landings: (() => void)[] = [];
    const scheduler = schedulerFor(async (_, apply) => {
      landings.push(apply);
      return "lost";
    });
    const database = makeMemoryDatabase({ clock: systemClock, scheduler });
    const { journal } = database.connect();
    const commit = sampleCommit(freshStream(), 1);
    await kindOfFailure(journal.append([commit], timeoutMs));
    database.crash();
    for (const land of landings) land();
    expect(await journal.headOf(commit.stream)).toBe(0);
  });

  it("tells the scheduler who asked for what", async () => {
    const operations: MemoryOperation[] = [];
    const scheduler: MemoryScheduler = async (operation, apply) => {
      operations.push(operation);
      apply();
      return "answered";
    };
    const database = makeMemoryDatabase({ clock: systemClock, scheduler });
    await database.connect("left").journal.headOf(freshStream());
    await database.connect("right").databaseTime();
    expect(operations).toEqual([
      { connection: "left", port: "journal", method: "headOf", sequence: 1 },
      { connection: "right", port: "storage", method: "databaseTime", sequence: 2 },
    ]);
  });
});

describe("a memory storage of its own", () => {
  it("says that it is not durable and refuses operations once it is closed", async () => {
    const storage = makeMemoryStorage({ clock: systemClock });
    expect(storage.facts).toMatchObject({ topology: "memory", durabilityTier: "ephemeral" });
    expect(storage.journal.readsAreDurable).toBe(false);
    await storage.close();
    expect(await kindOfFailure(storage.databaseTime())).toBe("unavailable");
  });
});
