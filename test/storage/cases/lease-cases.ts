/** What every lease store promises. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { LeaseStore } from "../../../src/engine/ports.ts";
import type { CaseSetup } from "../case-setup.ts";
import { eventually } from "../waiting.ts";

const longTtlMs = 3_600_000;
const shortTtlMs = 1;

function freshHolder(): string {
  return `$executor/${randomUUID()}`;
}

function registerCases(setup: CaseSetup): void {
  const leases = (): LeaseStore => setup.storage().leases;

  it("opens a register with the database's time, and opening again renews it", async () => {
    const holder = freshHolder();
    expect(await leases().get(holder)).toBeUndefined();
    const before = await setup.storage().databaseTime();
    expect(await leases().open(holder, longTtlMs, { serves: "" })).toBe(1);
    const opened = await leases().get(holder);
    expect(opened).toMatchObject({ holder, state: "live", ttlMs: longTtlMs, attachments: 1 });
    expect(opened?.renewedAt).toBeGreaterThanOrEqual(before);
    expect(await leases().open(holder, longTtlMs * 2, { serves: "" })).toBe(2);
    expect(await leases().open(holder, longTtlMs * 2)).toBe(2);
    const renewed = await leases().get(holder);
    expect(renewed?.ttlMs).toBe(longTtlMs * 2);
    expect(renewed?.renewedAt).toBeGreaterThanOrEqual(opened?.renewedAt ?? Number.NaN);
  });

  it("renews many at once and names those that are not live", async () => {
    const [first, second, lapsed, unknown] = [
      freshHolder(),
      freshHolder(),
      freshHolder(),
      freshHolder(),
    ];
    for (const holder of [first, second, lapsed]) await leases().open(holder, longTtlMs);
    await leases().close(lapsed);
    const lost = await leases().renew([first, lapsed, second, unknown]);
    expect(lost.toSorted()).toEqual([lapsed, unknown].toSorted());
    expect(await leases().renew([first, second])).toEqual([]);
    expect(await leases().renew([])).toEqual([]);
  });

  it("finds the live registers of those who serve something", async () => {
    const pool = `$pool/${randomUUID()}`;
    const [first, second, gone, late, other] = [
      freshHolder(),
      freshHolder(),
      freshHolder(),
      freshHolder(),
      freshHolder(),
    ];
    for (const holder of [first, second, gone]) {
      await leases().open(holder, longTtlMs, { serves: pool });
    }
    await leases().open(late, shortTtlMs, { serves: pool });
    await leases().open(other, longTtlMs, { serves: "another" });
    await leases().close(gone);
    await leases().open(first, longTtlMs);
    await eventually("the short one is over", async () => {
      const serving = await leases().serving(pool, 10);
      return (
        serving
          .map(({ holder }) => holder)
          .toSorted()
          .join() === [first, second].toSorted().join()
      );
    });
    expect(await leases().serving(pool, 1)).toHaveLength(1);
    await leases().open(second, longTtlMs, { serves: "" });
    expect((await leases().serving(pool, 10)).map(({ holder }) => holder)).toEqual([first]);
  });

  it("knows when the last of those who serve something was over, or would be", async () => {
    const pool = `$pool/${randomUUID()}`;
    const [first, last] = [freshHolder(), freshHolder()];
    expect(await leases().servedUntil(pool)).toBeUndefined();
    await leases().open(first, shortTtlMs, { serves: pool });
    const opened = await leases().get(first);
    expect(await leases().servedUntil(pool)).toBe((opened?.renewedAt ?? 0) + shortTtlMs);
    await leases().open(last, longTtlMs, { serves: pool });
    const renewed = await leases().get(last);
    expect(await leases().servedUntil(pool)).toBe((renewed?.renewedAt ?? 0) + longTtlMs);
    await leases().close(first);
    const before = await setup.storage().databaseTime();
    await leases().close(last);
    const over = await leases().servedUntil(pool);
    expect(over).toBeGreaterThanOrEqual(before);
    expect(over).toBeLessThanOrEqual(await setup.storage().databaseTime());
    await leases().settle(last);
    expect(await leases().servedUntil(pool)).toBe(over);
    expect(await leases().servedUntil("another, which nobody serves")).toBeUndefined();
  });

  it("moves the time of a register with every renewal", async () => {
    const holder = freshHolder();
    await leases().open(holder, longTtlMs);
    const opened = (await leases().get(holder))?.renewedAt ?? 0;
    await eventually("the database's time has moved", async () => {
      return (await setup.storage().databaseTime()) > opened;
    });
    expect(await leases().renew([holder])).toEqual([]);
    expect((await leases().get(holder))?.renewedAt).toBeGreaterThan(opened);
  });
}

function lapseCases(setup: CaseSetup): void {
  const leases = (): LeaseStore => setup.storage().leases;

  /** A register whose time is over but which is still live. */
  async function openOverdue(): Promise<string> {
    const holder = freshHolder();
    await leases().open(holder, shortTtlMs);
    await eventually("the register is overdue", async () =>
      (await leases().overdue(1_000)).some((row) => row.holder === holder),
    );
    return holder;
  }

  it("does not lapse a register whose time is not over", async () => {
    const holder = freshHolder();
    await leases().open(holder, longTtlMs);
    expect(await leases().lapse(holder)).toBe(false);
    expect(await leases().lapse(freshHolder())).toBe(false);
    expect((await leases().get(holder))?.state).toBe("live");
    expect((await leases().overdue(1_000)).map((row) => row.holder)).not.toContain(holder);
  });

  it("lapses an overdue register for good", async () => {
    const holder = await openOverdue();
    expect(await leases().lapse(holder)).toBe(true);
    const lapsed = await leases().get(holder);
    expect(await leases().lapse(holder)).toBe(false);
    expect(await leases().renew([holder])).toEqual([holder]);
    expect(await leases().open(holder, longTtlMs)).toBe("lapsed");
    expect(await leases().get(holder)).toEqual(lapsed);
    expect((await leases().overdue(1_000)).map((row) => row.holder)).not.toContain(holder);
  });

  it("lets one of several lapses at once win", async () => {
    const holder = await openOverdue();
    const other = setup.otherStorage().leases;
    const stores = [leases(), other, leases(), other, leases(), other];
    const answers = await Promise.all(stores.map((store) => store.lapse(holder)));
    expect(answers.filter((isLapsed) => isLapsed)).toHaveLength(1);
  });

  it("settles the race of renewal and lapse in the register", async () => {
    for (let round = 0; round < 20; round += 1) {
      const holder = await openOverdue();
      const [isLapsed] = await Promise.all([
        leases().lapse(holder),
        setup.otherStorage().leases.renew([holder]),
      ]);
      expect((await leases().get(holder))?.state).toBe(isLapsed ? "lapsed" : "live");
      expect(await leases().renew([holder])).toEqual(isLapsed ? [holder] : []);
    }
  });

  it("ends a register at the wish of its holder, before its time is over", async () => {
    const holder = freshHolder();
    await leases().open(holder, longTtlMs);
    await leases().close(holder);
    expect((await leases().get(holder))?.state).toBe("lapsed");
    expect(await leases().renew([holder])).toEqual([holder]);
    await leases().close(freshHolder());
  });

  it("keeps a lapsed register unsettled until it is settled", async () => {
    const [left, right] = [freshHolder(), freshHolder()];
    for (const holder of [left, right]) {
      await leases().open(holder, longTtlMs);
      await leases().close(holder);
    }
    const unsettled = async (): Promise<readonly string[]> =>
      (await leases().unsettled(1_000)).map((row) => row.holder);
    expect(await unsettled()).toEqual(expect.arrayContaining([left, right]));
    await leases().settle(left);
    expect(await unsettled()).not.toContain(left);
    expect(await unsettled()).toContain(right);
    expect(await leases().open(left, longTtlMs)).toBe("lapsed");
  });

  it("opens many new registers in one write, each with its own time", async () => {
    const [short, long] = [freshHolder(), freshHolder()];
    const registers = [
      { holder: short, ttlMs: longTtlMs },
      { holder: long, ttlMs: longTtlMs * 2 },
    ];
    await leases().openNew(registers);
    await leases().openNew([]);
    const rows = [await leases().get(short), await leases().get(long)];
    expect(rows.map((row) => [row?.state, row?.ttlMs])).toEqual([
      ["live", longTtlMs],
      ["live", longTtlMs * 2],
    ]);
    expect(await leases().renew([short, long])).toEqual([]);
    expect(await leases().open(short, longTtlMs)).not.toBe("lapsed");
  });

  it("discards registers, live or lapsed, whose holder is then not known any more", async () => {
    const [live, lapsed, kept] = [freshHolder(), freshHolder(), freshHolder()];
    for (const holder of [live, lapsed, kept]) await leases().open(holder, longTtlMs);
    await leases().close(lapsed);
    await leases().discard([live, lapsed, freshHolder()]);
    await leases().discard([]);
    expect(await leases().renew([live, lapsed, kept])).toEqual([live, lapsed]);
    expect([await leases().get(live), await leases().get(lapsed)]).toEqual([undefined, undefined]);
    const unsettled = (await leases().unsettled(1_000)).map((row) => row.holder);
    expect(unsettled).not.toContain(lapsed);
  });

  it("does not settle a live register", async () => {
    const holder = freshHolder();
    await leases().open(holder, longTtlMs);
    await leases().settle(holder);
    await leases().close(holder);
    const unsettled = await leases().unsettled(1_000);
    expect(unsettled.map((row) => row.holder)).toContain(holder);
  });

  it("limits what it answers", async () => {
    await openOverdue();
    await openOverdue();
    expect(await leases().overdue(1)).toHaveLength(1);
    for (const holder of [freshHolder(), freshHolder()]) {
      await leases().open(holder, longTtlMs);
      await leases().close(holder);
    }
    expect(await leases().unsettled(1)).toHaveLength(1);
  });
}

/** See the header of this file. */
export function leaseCases(setup: CaseSetup): void {
  describe("leases", () => {
    registerCases(setup);
    lapseCases(setup);
  });
}
