import { expect, test } from "vitest";
import { type Storage, StorageError } from "../../src/engine/ports.ts";
import { makeMemoryDatabase, type MemoryDatabase } from "../../src/storage/memory/database.ts";
import { type LedgerAggregate, ledgerAggregate } from "./support/ledger-aggregate.ts";
import {
  envelopeOf,
  ledgerName,
  type LedgerReplica,
  type LedgerReplicaOptions,
  makeLedgerReplica,
} from "./support/ledger-replica.ts";
import type { LedgerCommand } from "./support/ledger-types.ts";
import { makeManualClock, type ManualClock } from "./support/manual-clock.ts";
import { pass, passUntil, settle } from "./support/wait.ts";

const stream = ledgerName("one");

interface Ground {
  readonly clock: ManualClock;
  readonly database: MemoryDatabase;
  readonly start: (
    replicaId: string,
    options?: Partial<LedgerReplicaOptions> & { readonly wrap?: (storage: Storage) => Storage },
  ) => Promise<LedgerReplica>;
}

function makeGround(): Ground {
  const clock = makeManualClock();
  const database = makeMemoryDatabase({ clock });
  return {
    clock,
    database,
    start: async (replicaId, { wrap, ...options } = {}) => {
      const connected = database.connect(replicaId);
      const storage = wrap ? wrap(connected) : connected;
      const replica = makeLedgerReplica({ storage, clock, replicaId, ...options });
      await pass(clock, replica.engine.start());
      return replica;
    },
  };
}

const add = (key: string, amount = 1): LedgerCommand => ({ type: "add", key, amount });

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "no refusal";
  } catch (error) {
    return (error as { refusal?: { reason: string } }).refusal?.reason ?? String(error);
  }
}

test("a command is committed and read back", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  const first = await pass(clock, ledgers.submit(stream, envelopeOf(add("k1", 5))));
  expect(first).toMatchObject({ reply: { serial: 1 }, revision: 1 });
  expect(first.hash).toHaveLength(32);
  const fold = await pass(clock, ledgers.fresh(stream));
  expect(fold).toMatchObject({ revision: 1, state: { total: 5 } });
});

test("commands that wait together share one commit and are answered in order", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  const keys = ["k1", "k2", "k3", "k2"];
  const all = Promise.all(keys.map((key) => ledgers.submit(stream, envelopeOf(add(key)))));
  const answers = await pass(clock, all);
  expect(answers.map((answer) => answer.revision)).toEqual([1, 1, 1, 1]);
  expect(answers.map((answer) => answer.reply.serial)).toEqual([1, 2, 3, 2]);
  expect(answers.map((answer) => answer.reply.isDuplicate)).toEqual([false, false, false, true]);
});

test("two replicas that write one stream at once lose nothing and agree", async () => {
  const { clock, start } = makeGround();
  const replicas = [await start("a"), await start("b")];
  const work = replicas.flatMap(({ ledgers }, side) =>
    Array.from({ length: 30 }, (_, index) =>
      ledgers.submit(stream, envelopeOf(add(`k${(side * 20 + index) % 40}`))),
    ),
  );
  await pass(clock, Promise.all(work));
  for (const { ledgers } of replicas) {
    const fold = await pass(clock, ledgers.fresh(stream));
    expect(fold.state).toMatchObject({ total: 40, nextSerial: 41 });
    expect(await pass(clock, ledgers.verify(stream))).toMatchObject({ valid: true });
  }
});

test("a request id gets its first answer again, at any replica", async () => {
  const { clock, start } = makeGround();
  const [a, b] = [await start("a"), await start("b")];
  await pass(clock, a.ledgers.submit(stream, envelopeOf({ type: "claim", holder: "h" })));
  await pass(clock, a.ledgers.submit(stream, envelopeOf(add("k1"))));
  await pass(clock, a.ledgers.submit(stream, envelopeOf(add("k2"))));
  const consume = envelopeOf({ type: "consume", generation: 1, holder: "h" }, "request-1");
  const first = await pass(clock, a.ledgers.submit(stream, consume));
  const again = await pass(clock, b.ledgers.submit(stream, consume));
  expect(first.reply.serial).toBe(1);
  expect(again).toMatchObject({ reply: first.reply, revision: first.revision, at: first.at });
  expect(again.hash).toEqual(first.hash);
  const other = envelopeOf({ type: "claim", holder: "h" }, "request-1");
  expect(await pass(clock, reasonOf(b.ledgers.submit(stream, other)))).toBe("REQUEST_ID_REUSED");
});

test("the same request id twice in one batch does its work once", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  const claim = envelopeOf({ type: "claim", holder: "h" }, "request-1");
  const both = Promise.all([ledgers.submit(stream, claim), ledgers.submit(stream, claim)]);
  const answers = await pass(clock, both);
  expect(answers.map((answer) => answer.reply.generation)).toEqual([1, 1]);
});

test("an expected revision must be the base and the first change of its commit", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  const expecting = (expectedRevision: number, key: string) =>
    ledgers.submit(stream, { ...envelopeOf(add(key)), expectedRevision });
  expect(await pass(clock, expecting(0, "k1"))).toMatchObject({ revision: 1 });
  const both = Promise.all([reasonOf(expecting(1, "k2")), reasonOf(expecting(1, "k3"))]);
  expect(await pass(clock, both)).toEqual(["no refusal", "REVISION_MISMATCH"]);
});

test("a preview shows the events and commits nothing", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  await pass(clock, ledgers.submit(stream, envelopeOf(add("k1", 3))));
  const preview = await pass(clock, ledgers.preview(stream, envelopeOf(add("k2", 4))));
  expect(preview).toMatchObject({
    kind: "commit",
    events: [{ type: "item_added", serial: 2, key: "k2", amount: 4 }],
    before: { revision: 1 },
    after: { total: 7 },
  });
  expect((await pass(clock, ledgers.fresh(stream))).revision).toBe(1);
});

test("a stream can be read at every revision, also behind checkpoints", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  await pass(clock, ledgers.submit(stream, envelopeOf({ type: "claim", holder: "h" })));
  for (let turn = 1; turn <= 12; turn += 1) {
    await pass(clock, ledgers.submit(stream, envelopeOf(add(`k${turn}`))));
    const consume = envelopeOf({ type: "consume", generation: 1, holder: "h" });
    await pass(clock, ledgers.submit(stream, consume));
  }
  await settle();
  const { ledgers: cold } = await start("b");
  for (const revision of [1, 2, 7, 14, 20, 25]) {
    const fold = await pass(clock, cold.at(stream, revision));
    expect(fold.revision).toBe(revision);
    expect(fold.state.total).toBe(Math.floor(revision / 2));
  }
  expect(await pass(clock, reasonOf(cold.at(stream, 26)))).toBe("REVISION_NOT_FOUND");
});

test("history is read in pages of folds", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  for (const key of ["k1", "k2", "k3"]) {
    await pass(clock, ledgers.submit(stream, envelopeOf(add(key))));
  }
  const from = await pass(clock, ledgers.at(stream, 1));
  const page = await pass(clock, ledgers.history(stream, from));
  expect(page.isEnd).toBe(true);
  expect(page.commits.map((commit) => commit.after.state.total)).toEqual([2, 3]);
});

test("keys are known for ever, also when the folded state has forgotten them", async () => {
  const { clock, start } = makeGround();
  const { ledgers } = await start("a");
  await pass(clock, ledgers.submit(stream, envelopeOf({ type: "claim", holder: "h" })));
  for (let turn = 1; turn <= 20; turn += 1) {
    await pass(clock, ledgers.submit(stream, envelopeOf(add(`k${turn}`))));
    const consume = envelopeOf({ type: "consume", generation: 1, holder: "h" });
    await pass(clock, ledgers.submit(stream, consume));
  }
  await settle();
  const live = await pass(clock, ledgers.fresh(stream));
  expect(live.state.serials.size).toBeLessThan(20);
  const { ledgers: cold } = await start("b");
  for (let turn = 1; turn <= 20; turn += 1) {
    for (const replica of [ledgers, cold]) {
      const again = await pass(clock, replica.submit(stream, envelopeOf(add(`k${turn}`))));
      expect(again.reply).toMatchObject({ serial: turn, isDuplicate: true });
    }
  }
});

test("a listener hears the commits of other replicas by signals, in order", async () => {
  const { clock, start } = makeGround();
  const [a, b] = [await start("a"), await start("b")];
  await pass(clock, Promise.resolve());
  clock.advance(1100);
  await settle();
  const heard: number[] = [];
  b.ledgers.listen(stream, (commit) => heard.push(commit.after.revision));
  await pass(clock, b.ledgers.fresh(stream));
  const beforeMs = clock.monotonicMs();
  for (const key of ["k1", "k2", "k3"]) {
    const submitted = a.ledgers.submit(stream, envelopeOf(add(key)));
    await settle();
    await submitted;
  }
  await settle();
  expect(heard).toEqual([1, 2, 3]);
  expect(clock.monotonicMs()).toBe(beforeMs);
});

test("a listener hears by the poll what no signal told", async () => {
  const { clock, start } = makeGround();
  const deaf = (storage: Storage): Storage => ({
    ...storage,
    signals: { ...storage.signals, publish: async () => undefined },
  });
  const [a, b] = [await start("a", { wrap: deaf }), await start("b")];
  const heard: number[] = [];
  const stop = b.ledgers.listen(stream, (commit) => heard.push(commit.after.revision));
  await pass(clock, b.ledgers.fresh(stream));
  await pass(clock, a.ledgers.submit(stream, envelopeOf(add("k1"))));
  await passUntil(clock, () => heard.length > 0);
  stop();
  await pass(clock, a.ledgers.submit(stream, envelopeOf(add("k2"))));
  clock.advance(5000);
  await settle();
  expect(heard).toEqual([1]);
});

test("views show every stream at its head after a flush", async () => {
  const { clock, database, start } = makeGround();
  const { engine, ledgers } = await start("a", { cacheBytesMax: 1 });
  const names = Array.from({ length: 8 }, (_, index) => ledgerName(`many-${index}`));
  for (let round = 0; round < 3; round += 1) {
    for (const name of names) {
      await pass(clock, ledgers.submit(name, envelopeOf(add(`k${round}`))));
    }
  }
  await pass(clock, engine.views.flush());
  const rows = await database.connect().views.get(names);
  expect(rows.map((row) => row.revision)).toEqual(names.map(() => 3));
});

test("the cache keeps to its bytes and listeners keep their entry", async () => {
  const { clock, start } = makeGround();
  const { engine, ledgers } = await start("a", { cacheBytesMax: 20_000 });
  const heard: number[] = [];
  ledgers.listen(stream, (commit) => heard.push(commit.after.revision));
  for (let index = 0; index < 60; index += 1) {
    await pass(clock, ledgers.submit(ledgerName(`other-${index}`), envelopeOf(add("k"))));
  }
  await pass(clock, ledgers.submit(stream, envelopeOf(add("k"))));
  expect(heard).toEqual([1]);
  expect(engine.cache.stats().bytes).toBeLessThan(25_000);
  expect(engine.cache.stats().bytes).toBeGreaterThan(0);
});

test("a stopped engine takes nothing new, has its views written and is not listed", async () => {
  const { clock, database, start } = makeGround();
  const { engine, ledgers } = await start("a");
  const last = ledgers.submit(stream, envelopeOf(add("k1")));
  await pass(clock, engine.stop());
  expect((await last).revision).toBe(1);
  expect(await reasonOf(ledgers.submit(stream, envelopeOf(add("k2"))))).toBe("SERVER_DRAINING");
  const storage = database.connect();
  expect(await storage.views.get([stream])).toMatchObject([{ revision: 1 }]);
  clock.advance(60_000);
  await settle();
  expect(await storage.replicas.list()).toEqual([]);
});

test("a replica that died holds up the watermark for a minute", async () => {
  const { clock, database, start } = makeGround();
  const storage = database.connect();
  const diedAt = clock.nowMs();
  const { engine } = await start("a");
  await storage.replicas.heartbeat({
    replicaId: "died",
    address: "there",
    version: "0.0.0",
    startedAt: diedAt,
    lowWatermark: diedAt,
    busyPools: [],
  });
  await passUntil(clock, () => engine.membership.rows().some((row) => row.buried));
  expect(engine.membership.lowWatermark()).toBe(diedAt);
  await passUntil(clock, () => engine.membership.lowWatermark() > diedAt + 30_000);
  expect(clock.nowMs() - diedAt).toBeGreaterThan(60_000);
  expect(engine.membership.rows()).toHaveLength(2);
});

test("a replica that died is listed for an hour, also when all were down meanwhile", async () => {
  const { clock, database, start } = makeGround();
  const storage = database.connect();
  const listed = async () => (await storage.replicas.list()).map((row) => row.replicaId);
  await storage.replicas.heartbeat({
    replicaId: "died",
    address: "there",
    version: "0.0.0",
    startedAt: clock.nowMs(),
    lowWatermark: clock.nowMs(),
    busyPools: [],
  });
  clock.advance(1_800_000);
  const { engine } = await start("a");
  await passUntil(clock, () => engine.membership.rows().some((row) => row.buried));
  expect(await listed()).toEqual(["died", "a"]);
  clock.advance(1_700_000);
  await settle();
  expect(await listed()).toEqual(["died", "a"]);
  clock.advance(200_000);
  await passUntil(clock, () => engine.membership.rows().length === 1);
  expect(await listed()).toEqual(["a"]);
});

test("an engine that stops while its database is away answers everybody who waits", async () => {
  const { clock, database, start } = makeGround();
  const gone = { isSo: false };
  const unplug = (storage: Storage): Storage => ({
    ...storage,
    journal: {
      ...storage.journal,
      append: async (commits, timeoutMs) => {
        if (gone.isSo) throw new StorageError("unavailable", "the database is away");
        return await storage.journal.append(commits, timeoutMs);
      },
    },
    views: {
      ...storage.views,
      upsert: async (rows) => {
        if (gone.isSo) throw new StorageError("unavailable", "the database is away");
        await storage.views.upsert(rows);
      },
    },
  });
  const { engine, ledgers } = await start("a", { wrap: unplug, answerTimeoutMs: 60_000 });
  await pass(clock, ledgers.submit(stream, envelopeOf(add("k1"))));
  gone.isSo = true;
  const safe = { ...envelopeOf(add("k2")), retrySafe: true };
  const waiting = Promise.all([
    reasonOf(ledgers.submit(stream, safe)),
    reasonOf(ledgers.submit(stream, envelopeOf({ type: "claim", holder: "h" }))),
  ]);
  await settle();
  await pass(clock, engine.stop());
  expect(await waiting).toEqual(["DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN"]);
  const storage = database.connect();
  expect((await storage.replicas.list()).map((row) => row.replicaId)).toEqual(["a"]);
});

test("a call that was answered as not done is never done later", async () => {
  const { clock, start } = makeGround();
  const held: (() => void)[] = [];
  const slow = (storage: Storage): Storage => ({
    ...storage,
    checkpoints: {
      ...storage.checkpoints,
      latest: async (streams, foldVersion) => {
        await new Promise<void>((resolve) => held.push(resolve));
        return await storage.checkpoints.latest(streams, foldVersion);
      },
    },
  });
  const { ledgers } = await start("a", { wrap: slow, answerTimeoutMs: 1000 });
  const claim = envelopeOf({ type: "claim", holder: "h" });
  const answer = reasonOf(ledgers.submit(stream, claim));
  await passUntil(clock, () => held.length > 0);
  clock.advance(3000);
  expect(await answer).toBe("DATABASE_UNAVAILABLE");
  for (const release of held.splice(0)) release();
  await settle();
  expect((await pass(clock, ledgers.fresh(stream))).revision).toBe(0);
});

test("a state that throws costs its own command, not its neighbours", async () => {
  const { clock, start } = makeGround();
  const fragile: LedgerAggregate = {
    ...ledgerAggregate,
    evolve: (state, event, position) => {
      if (event.type === "item_added" && event.key === "bad") throw new Error("a bug");
      return ledgerAggregate.evolve(state, event, position);
    },
  };
  const { ledgers } = await start("a", { aggregate: fragile });
  const reasons = ["k1", "bad", "k2"].map((key) =>
    reasonOf(ledgers.submit(stream, envelopeOf(add(key)))),
  );
  expect(await pass(clock, Promise.all(reasons))).toEqual(["no refusal", "INTERNAL", "no refusal"]);
  expect((await pass(clock, ledgers.fresh(stream))).state.total).toBe(2);
});

test("an unknown event makes the stream wait for a newer server, and harms no other", async () => {
  const { clock, start } = makeGround();
  const older: LedgerAggregate = {
    ...ledgerAggregate,
    eventFromJson: (json) => {
      const event = ledgerAggregate.eventFromJson(json);
      return event !== "unknown" && event.type === "lease_granted" ? "unknown" : event;
    },
  };
  const [newer, old] = [await start("a"), await start("b", { aggregate: older })];
  const claim = envelopeOf({ type: "claim", holder: "h" });
  await pass(clock, newer.ledgers.submit(stream, claim));
  expect(await pass(clock, reasonOf(old.ledgers.fresh(stream)))).toBe("NEEDS_NEWER_SERVER");
  const refused = reasonOf(old.ledgers.submit(stream, envelopeOf(add("k1"))));
  expect(await pass(clock, refused)).toBe("NEEDS_NEWER_SERVER");
  const other = old.ledgers.submit(ledgerName("two"), envelopeOf(add("k1")));
  expect(await pass(clock, other)).toMatchObject({ revision: 1 });
});

test("a changed commit is found by verify, and the stream is refused", async () => {
  const { clock, start } = makeGround();
  const writer = await start("a");
  for (const key of ["k1", "k2", "k3"]) {
    await pass(clock, writer.ledgers.submit(stream, envelopeOf(add(key))));
  }
  const forge = (storage: Storage): Storage => ({
    ...storage,
    journal: {
      ...storage.journal,
      readAfter: async (points) => {
        const page = await storage.journal.readAfter(points);
        const commits = page.commits.map((commit) =>
          commit.revision === 2
            ? { ...commit, eventsText: commit.eventsText.replace("k2", "k9") }
            : commit,
        );
        return { ...page, commits };
      },
    },
  });
  const { ledgers } = await start("b", { wrap: forge });
  expect(await pass(clock, ledgers.verify(stream))).toMatchObject({
    valid: false,
    firstBadRevision: 2,
    commitCount: 1,
  });
  expect(await pass(clock, reasonOf(ledgers.fresh(stream)))).toBe("STREAM_CORRUPT");
});

test("a commit that is shown to anybody survives a crash of the database", async () => {
  const clock = makeManualClock();
  const database = makeMemoryDatabase({ clock, journaling: "manual" });
  const [a, b] = ["a", "b"].map((replicaId) =>
    makeLedgerReplica({ storage: database.connect(replicaId), clock, replicaId }),
  );
  if (!a || !b) throw new Error("two replicas are needed");
  const unanswered = a.ledgers.submit(stream, envelopeOf(add("k1")));
  await settle();
  expect(database.unjournaledCount()).toBeGreaterThan(0);
  const shown = await pass(clock, b.ledgers.commit(stream, 1));
  database.crash();
  expect(await pass(clock, b.ledgers.commit(stream, 1))).toEqual(shown);
  expect((await pass(clock, unanswered)).revision).toBe(1);
  expect(await pass(clock, reasonOf(b.ledgers.commit(stream, 2)))).toBe("REVISION_NOT_FOUND");
});

test("a stream that cannot be summarized keeps no other stream out of the views", async () => {
  const { clock, database, start } = makeGround();
  const shy: LedgerAggregate = {
    ...ledgerAggregate,
    summarize: (state) => {
      if (state.serials.has("shy")) throw new Error("a bug");
      return ledgerAggregate.summarize(state);
    },
  };
  const { engine, ledgers } = await start("a", { aggregate: shy });
  await pass(clock, ledgers.submit(stream, envelopeOf(add("shy"))));
  await pass(clock, ledgers.submit(ledgerName("two"), envelopeOf(add("k1"))));
  await pass(clock, engine.views.flush());
  const rows = await database.connect().views.get([stream, ledgerName("two")]);
  expect(rows.map((row) => row.id)).toEqual(["two"]);
});
