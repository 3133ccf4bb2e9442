/** What every view store promises. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { StreamQuery, StreamRow, ViewStore } from "../../../src/engine/ports.ts";
import { streamNameOf } from "../../../src/core/shared/ids.ts";
import { sampleRow } from "../samples.ts";
import type { CaseSetup } from "../case-setup.ts";

/** A query over all rows of a namespace. */
function everyRow(namespace: string, changes: Partial<StreamQuery> = {}): StreamQuery {
  return { kind: "runtime", namespace, includeGone: true, limit: 100, ...changes };
}

function idsOf(rows: readonly StreamRow[]): readonly string[] {
  return rows.map((row) => row.id);
}

function upsertCases(setup: CaseSetup): void {
  const views = (): ViewStore => setup.storage().views;

  it("answers a row as it was written", async () => {
    const row = sampleRow(randomUUID(), "a/b:c%", {
      revision: 7,
      state: "running",
      labels: { team: "x=y", "dotted.$name": "ü" },
      pool: "workers",
      runnableSince: 1_700_000_000_001,
      dueAt: 1_700_000_000_002,
      holder: "executor/incarnation",
      gone: true,
    });
    await views().upsert([row]);
    expect(await views().get([row.stream])).toEqual([row]);
  });

  it("lets only a higher revision replace a row, in whatever order they come", async () => {
    const namespace = randomUUID();
    const row = (revision: number): StreamRow =>
      sampleRow(namespace, "a", { revision, state: `state ${revision}` });
    const other = setup.otherStorage().views;
    await views().upsert([row(5)]);
    await other.upsert([row(3)]);
    await other.upsert([{ ...row(5), state: "late" }]);
    expect(await views().get([row(5).stream])).toEqual([row(5)]);
    await Promise.all([9, 6, 8, 7].map((revision) => other.upsert([row(revision)])));
    expect(await views().get([row(9).stream])).toEqual([row(9)]);
  });

  it("replaces a row as a whole: what the new one lacks is gone", async () => {
    const namespace = randomUUID();
    const full = sampleRow(namespace, "a", { pool: "p", runnableSince: 5, dueAt: 5, holder: "h" });
    await views().upsert([full]);
    await views().upsert([sampleRow(namespace, "a", { revision: 2 })]);
    expect(await views().get([full.stream])).toEqual([sampleRow(namespace, "a", { revision: 2 })]);
    expect(await views().runnable("runtime", namespace, "p", 10, 10)).toEqual([]);
  });

  it("leaves absent rows out", async () => {
    const row = sampleRow(randomUUID(), "a");
    await views().upsert([row]);
    await views().upsert([]);
    const absent = sampleRow(randomUUID(), "b").stream;
    expect(await views().get([absent, row.stream])).toEqual([row]);
  });
}

function listCases(setup: CaseSetup): void {
  const views = (): ViewStore => setup.storage().views;

  it("lists a namespace by id in pages", async () => {
    const namespace = randomUUID();
    const ids = ["B", "a", "a-1", "a/1", "ö", "\uffee", "\u{1f680}"];
    await views().upsert(ids.toReversed().map((id) => sampleRow(namespace, id)));
    await views().upsert([sampleRow(randomUUID(), "elsewhere")]);
    expect(idsOf(await views().list(everyRow(namespace)))).toEqual(ids);
    const first = await views().list(everyRow(namespace, { limit: 3 }));
    expect(idsOf(first)).toEqual(ids.slice(0, 3));
    const rest = await views().list(everyRow(namespace, { afterId: first[2]?.id ?? "" }));
    expect(idsOf(rest)).toEqual(ids.slice(3));
  });

  it("lists up to a last id, in the order of the database", async () => {
    const namespace = randomUUID();
    expect(await views().lastId("runtime", namespace)).toBeUndefined();
    const ids = ["B", "a", "\uffee", "\u{1f680}"];
    await views().upsert(ids.toReversed().map((id) => sampleRow(namespace, id)));
    expect(await views().lastId("runtime", namespace)).toBe("\u{1f680}");
    expect(await views().lastId("elsewhere", namespace)).toBeUndefined();
    const page = await views().list(everyRow(namespace, { throughId: "\uffee" }));
    expect(idsOf(page)).toEqual(ids.slice(0, 3));
    const rest = everyRow(namespace, { afterId: "a", throughId: "\uffee" });
    expect(idsOf(await views().list(rest))).toEqual(["\uffee"]);
  });

  it("filters by state, pool, kind and what is gone", async () => {
    const namespace = randomUUID();
    await views().upsert([
      sampleRow(namespace, "a", { state: "idle", pool: "p" }),
      sampleRow(namespace, "b", { state: "running", pool: "p" }),
      sampleRow(namespace, "c", { state: "stopped", pool: "q" }),
      sampleRow(namespace, "d", { state: "idle", gone: true }),
      { ...sampleRow(namespace, "e"), kind: "process", stream: sampleRow(namespace, "e").stream },
    ]);
    const list = async (changes: Partial<StreamQuery>): Promise<readonly string[]> =>
      idsOf(await views().list(everyRow(namespace, changes)));
    expect(await list({})).toEqual(["a", "b", "c", "d"]);
    expect(await list({ includeGone: false })).toEqual(["a", "b", "c"]);
    expect(await list({ states: ["idle", "stopped"] })).toEqual(["a", "c", "d"]);
    expect(await list({ pool: "p", states: ["running"] })).toEqual(["b"]);
    expect(await list({ kind: "process" })).toEqual(["e"]);
  });

  it("pages through the processes that have not ended, whatever lies between them", async () => {
    const namespace = randomUUID();
    const process = (id: string, revision: number, state: string): StreamRow => {
      const stream = streamNameOf(`process/${namespace}/${id}`);
      return { ...sampleRow(namespace, id, { revision, state }), kind: "process", stream };
    };
    const ids = Array.from({ length: 9 }, (_, index) => `p${index}`);
    await views().upsert(ids.map((id) => process(id, 1, "running")));
    const ended = ["p0", "p2", "p3", "p4", "p8"].map((id) => process(id, 2, "completed"));
    await views().upsert([...ended, sampleRow(namespace, "p9", { state: "running" })]);
    const live = { kind: "process", states: ["running"], includeGone: false };
    const list = async (changes: Partial<StreamQuery>): Promise<readonly string[]> =>
      idsOf(await views().list(everyRow(namespace, { ...live, ...changes })));
    expect(await list({ limit: 2 })).toEqual(["p1", "p5"]);
    expect(await list({ afterId: "p5", throughId: "p8" })).toEqual(["p6", "p7"]);
    expect(await list({ pool: "nobody" })).toEqual([]);
    expect(await list({ states: ["completed"] })).toEqual(["p0", "p2", "p3", "p4", "p8"]);
  });

  it("filters by labels, all of which have to match by name and value", async () => {
    const namespace = randomUUID();
    await views().upsert([
      sampleRow(namespace, "a", { labels: { team: "x", tier: "1" } }),
      sampleRow(namespace, "b", { labels: { team: "x", tier: "2" } }),
      sampleRow(namespace, "c", { labels: { tier: "x" } }),
    ]);
    const list = async (labels: Record<string, string>): Promise<readonly string[]> =>
      idsOf(await views().list(everyRow(namespace, { labels })));
    expect(await list({ team: "x" })).toEqual(["a", "b"]);
    expect(await list({ team: "x", tier: "2" })).toEqual(["b"]);
    expect(await list({ team: "1" })).toEqual([]);
    expect(await list({})).toEqual(["a", "b", "c"]);
  });

  it("pages through labelled rows by id", async () => {
    const namespace = randomUUID();
    const ids = Array.from({ length: 9 }, (_, index) => `r${index}`);
    await views().upsert(
      ids.map((id, index) =>
        sampleRow(namespace, id, { labels: { even: String(index % 2 === 0), all: "1" } }),
      ),
    );
    const labels = { even: "true", all: "1" };
    const first = await views().list(everyRow(namespace, { labels, limit: 2 }));
    const rest = await views().list(everyRow(namespace, { labels, afterId: "r2" }));
    expect(idsOf(first)).toEqual(["r0", "r2"]);
    expect(idsOf(rest)).toEqual(["r4", "r6", "r8"]);
  });

  it("filters by work that is due at a time", async () => {
    const namespace = randomUUID();
    await views().upsert([
      sampleRow(namespace, "a", { runnableSince: 100 }),
      sampleRow(namespace, "b", { runnableSince: 200 }),
      sampleRow(namespace, "c"),
    ]);
    const rows = await views().list(everyRow(namespace, { runnableAt: 150 }));
    expect(idsOf(rows)).toEqual(["a"]);
  });
}

function orderCases(setup: CaseSetup): void {
  const views = (): ViewStore => setup.storage().views;

  it("answers the runnable rows of a pool, oldest first", async () => {
    const namespace = randomUUID();
    const since = (id: string, runnableSince: number, pool = "p"): StreamRow =>
      sampleRow(namespace, id, { pool, runnableSince });
    await views().upsert([since("a", 30), since("b", 10), since("c", 20), since("d", 5, "q")]);
    await views().upsert([since("e", 900), sampleRow(namespace, "f", { pool: "p" })]);
    const runnable = async (at: number, limit: number): Promise<readonly string[]> =>
      idsOf(await views().runnable("runtime", namespace, "p", at, limit));
    expect(await runnable(100, 10)).toEqual(["b", "c", "a"]);
    expect(await runnable(100, 2)).toEqual(["b", "c"]);
    expect(await runnable(9, 10)).toEqual([]);
    expect(await views().runnable("runtime", randomUUID(), "p", 100, 10)).toEqual([]);
  });

  it("answers rows whose timer is due, earliest first, of all namespaces", async () => {
    const [left, right] = [randomUUID(), randomUUID()];
    const epoch = -Math.floor(Math.random() * 1e12) - 1_000;
    await views().upsert([
      sampleRow(left, "a", { dueAt: epoch + 3 }),
      sampleRow(right, "b", { dueAt: epoch + 1 }),
      sampleRow(left, "c", { dueAt: epoch + 2 }),
      sampleRow(left, "d", { dueAt: epoch + 900 }),
    ]);
    const mine = async (at: number, limit: number): Promise<readonly string[]> =>
      idsOf(await views().due(at, limit)).filter((id) => ["a", "b", "c", "d"].includes(id));
    expect(await mine(epoch + 3, 1_000)).toEqual(["b", "c", "a"]);
    expect(await mine(epoch + 2, 1)).toEqual(["b"]);
    await views().upsert([sampleRow(right, "b", { revision: 2 })]);
    expect(await mine(epoch + 3, 1_000)).toEqual(["c", "a"]);
  });

  it("answers the rows that a holder has", async () => {
    const namespace = randomUUID();
    const holder = `${randomUUID()}/1`;
    await views().upsert([
      sampleRow(namespace, "a", { holder }),
      sampleRow(namespace, "b", { holder }),
      sampleRow(namespace, "c", { holder: `${holder}1` }),
    ]);
    expect(idsOf(await views().heldBy(holder, 10)).toSorted()).toEqual(["a", "b"]);
    expect(await views().heldBy(holder, 1)).toHaveLength(1);
    await views().upsert([sampleRow(namespace, "a", { revision: 2 })]);
    expect(idsOf(await views().heldBy(holder, 10))).toEqual(["b"]);
  });
}

function drainCases(setup: CaseSetup): void {
  const views = (): ViewStore => setup.storage().views;

  it("answers a row with its drain as it was written", async () => {
    const namespace = randomUUID();
    const rows = [
      sampleRow(namespace, "a", { drain: { state: "waiting" } }),
      sampleRow(namespace, "b", { drain: { state: "waiting" }, holder: "h/1" }),
      sampleRow(namespace, "c", { drain: { state: "hosted", host: "x/1" } }),
      sampleRow(namespace, "d", { drain: { state: "hosted", host: "x/1" }, holder: "h/1" }),
      sampleRow(namespace, "e", { drain: { state: "hosted", host: "x/1" }, holder: "x/1" }),
    ];
    await views().upsert(rows);
    expect(await views().get(rows.map((row) => row.stream))).toEqual(rows);
  });

  it("answers the rows whose drain runs at a holder, also beside another lease", async () => {
    const namespace = randomUUID();
    const [host, holder] = [`${randomUUID()}/1`, `${randomUUID()}/1`];
    const drain = { state: "hosted", host } as const;
    await views().upsert([
      sampleRow(namespace, "a", { drain }),
      sampleRow(namespace, "b", { drain, holder }),
      sampleRow(namespace, "c", { drain: { state: "waiting" }, holder }),
    ]);
    expect(idsOf(await views().heldBy(host, 10)).toSorted()).toEqual(["a", "b"]);
    expect(idsOf(await views().heldBy(holder, 10)).toSorted()).toEqual(["b", "c"]);
    await views().upsert([sampleRow(namespace, "a", { revision: 2 })]);
    expect(idsOf(await views().heldBy(host, 10))).toEqual(["b"]);
  });

  it("answers the drains of a namespace, and those that wait in a pool", async () => {
    const namespace = randomUUID();
    const [kind, host] = ["runtime", `${randomUUID()}/1`];
    await views().upsert([
      sampleRow(namespace, "a", { pool: "p", drain: { state: "waiting" } }),
      sampleRow(namespace, "b", { pool: "q", drain: { state: "waiting" } }),
      sampleRow(namespace, "c", { pool: "p", drain: { state: "hosted", host } }),
      sampleRow(namespace, "d", { pool: "p" }),
      sampleRow(randomUUID(), "e", { pool: "p", drain: { state: "waiting" } }),
    ]);
    const all = await views().drains({ kind, namespace }, 10);
    expect(idsOf(all).toSorted()).toEqual(["a", "b", "c"]);
    expect(await views().drains({ kind, namespace }, 2)).toHaveLength(2);
    expect(idsOf(await views().drains({ kind, namespace, waitingIn: "p" }, 10))).toEqual(["a"]);
    await views().upsert([sampleRow(namespace, "a", { revision: 2, pool: "p" })]);
    expect(await views().drains({ kind, namespace, waitingIn: "p" }, 10)).toEqual([]);
  });
}

/** See the header of this file. */
export function viewCases(setup: CaseSetup): void {
  describe("views", () => {
    upsertCases(setup);
    listCases(setup);
    orderCases(setup);
    drainCases(setup);
  });
}
