// Renewals share writes; see src/dispatch/renewals.ts.
import { expect, it } from "vitest";
import { makeManualClock } from "../property/support/manual-clock.ts";
import { settle } from "../property/support/wait.ts";
import { makeMemoryStorage } from "../../src/storage/memory/database.ts";
import { StorageError } from "../../src/engine/ports.ts";
import { makeRenewals } from "../../src/dispatch/renewals.ts";

it("all renewals of a tenth of a second share one write", async () => {
  const clock = makeManualClock();
  const { leases } = makeMemoryStorage({ clock });
  const writes: (readonly string[])[] = [];
  const counted = {
    renew: (holders: readonly string[]) => {
      writes.push(holders);
      return leases.renew(holders);
    },
  };
  const renewals = makeRenewals(counted, clock);
  for (const holder of ["a", "b"]) await leases.open(holder, 1000);
  const answers = [renewals.renew("a"), renewals.renew("b"), renewals.renew("a")];
  clock.advance(50);
  answers.push(renewals.renew("never opened"));
  clock.advance(50);
  expect(await Promise.all(answers)).toEqual([true, true, true, false]);
  expect(writes).toEqual([["a", "b", "never opened"]]);
  const later = renewals.renew("a");
  clock.advance(100);
  expect(await later).toBe(true);
  expect(writes).toHaveLength(2);
});

it("a renewal of a lapsed register is refused for good", async () => {
  const clock = makeManualClock();
  const { leases } = makeMemoryStorage({ clock });
  const renewals = makeRenewals(leases, clock);
  await leases.open("a", 1000);
  clock.advance(1001);
  expect(await leases.lapse("a")).toBe(true);
  const renewed = renewals.renew("a");
  clock.advance(100);
  expect(await renewed).toBe(false);
});

it("a failed write fails those who waited for it, and nobody after them", async () => {
  const clock = makeManualClock();
  let isAway = true;
  const renewals = makeRenewals(
    {
      renew: async () => {
        if (isAway) throw new StorageError("unavailable", "away");
        return [];
      },
    },
    clock,
  );
  const first = renewals.renew("a").catch((error: unknown) => error);
  clock.advance(100);
  expect(await first).toBeInstanceOf(StorageError);
  isAway = false;
  const second = renewals.renew("a");
  clock.advance(100);
  await settle();
  expect(await second).toBe(true);
});
