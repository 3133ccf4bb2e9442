// What reads whole streams, or all of them, again: verifications and rebuilds of the views.
import { expect, test } from "vitest";
import type { Clock, Storage } from "../../src/engine/ports.ts";
import type { RebuildProgress } from "../../src/engine/repair.ts";
import { makeMemoryDatabase } from "../../src/storage/memory/database.ts";
import { envelopeOf, ledgerName, makeLedgerReplica } from "./support/ledger-replica.ts";
import type { LedgerCommand } from "./support/ledger-types.ts";
import { makeManualClock } from "./support/manual-clock.ts";
import { pass } from "./support/wait.ts";

const stream = ledgerName("one");
const add = (key: string): LedgerCommand => ({ type: "add", key, amount: 1 });

function ground() {
  const clock = makeManualClock();
  return { clock, database: makeMemoryDatabase({ clock }) };
}

/** A replica that does nothing on its own: its engine is not started. */
function replicaOver(replicaId: string, storage: Storage, clock: Clock) {
  return makeLedgerReplica({ storage, clock, replicaId });
}

test("a verification that is given up reads no further", async () => {
  const { clock, database } = ground();
  const writer = replicaOver("a", database.connect("a"), clock);
  for (const key of ["k1", "k2", "k3"]) {
    await pass(clock, writer.ledgers.submit(stream, envelopeOf(add(key))));
  }
  const giveUp = new AbortController();
  let pages = 0;
  const byOne = (storage: Storage): Storage => ({
    ...storage,
    journal: {
      ...storage.journal,
      readAfter: async (points) => {
        pages += 1;
        if (pages === 2) giveUp.abort();
        const { commits } = await storage.journal.readAfter(points);
        return { commits: commits.slice(0, 1), complete: commits.length <= 1 };
      },
    },
  });
  const { ledgers } = replicaOver("b", byOne(database.connect("b")), clock);
  const verified = pass(clock, ledgers.verify(stream, giveUp.signal));
  await expect(verified).rejects.toThrow("aborted");
  expect(pages).toBe(2);
});

test("a rebuild writes the missing rows and counts the streams that it cannot read", async () => {
  const { clock, database } = ground();
  let isLosing = true;
  const losing = (storage: Storage): Storage => ({
    ...storage,
    views: {
      ...storage.views,
      upsert: async (rows) => {
        if (!isLosing) await storage.views.upsert(rows);
      },
    },
    journal: {
      ...storage.journal,
      readAfter: async (points) => {
        const page = await storage.journal.readAfter(points);
        const commits = page.commits.map((commit) =>
          commit.stream === ledgerName("torn") ? { ...commit, eventsText: "[]" } : commit,
        );
        return { ...page, commits };
      },
    },
  });
  const writer = replicaOver("a", losing(database.connect("a")), clock);
  for (const id of ["one", "torn", "two"]) {
    await pass(clock, writer.ledgers.submit(ledgerName(id), envelopeOf(add("k1"))));
  }
  await pass(clock, writer.engine.views.flush());
  isLosing = false;
  await pass(clock, writer.ledgers.submit(ledgerName("three"), envelopeOf(add("k1"))));
  await pass(clock, writer.engine.views.flush());
  await pass(clock, writer.engine.stop());
  const { engine } = replicaOver("b", losing(database.connect("b")), clock);
  const isWanted = (name: string): boolean => name !== ledgerName("two");
  const last = async () => {
    let progress: RebuildProgress | undefined;
    for await (const step of engine.repair.rebuild(isWanted)) progress = step;
    return progress;
  };
  const counts = { streamsRead: 3, rowsWritten: 1, streamsFailed: 1 };
  expect(await pass(clock, last())).toEqual(counts);
  const names = ["one", "torn", "two", "three"].map(ledgerName);
  const rows = await database.connect().views.get(names);
  expect(rows.map((row) => row.id).toSorted()).toEqual(["one", "three"]);
});
