// For how long a replica says that nothing disturbed it, which is what expiry waits for; with a
// clock that the case moves. See src/engine/membership.ts.
import { expect, it } from "vitest";
import { makeDatabaseTime } from "../../src/engine/database-time.ts";
import { makeMembership } from "../../src/engine/membership.ts";
import { silentObserver } from "../../src/engine/observer.ts";
import { makeMemoryDatabase } from "../../src/storage/memory/database.ts";
import { makeManualClock } from "../property/support/manual-clock.ts";
import { pass, passUntil, settle } from "../property/support/wait.ts";

async function joined() {
  const clock = makeManualClock();
  let stepMs = 0;
  const gate: { held: PromiseWithResolvers<void> | null } = { held: null };
  const database = makeMemoryDatabase({
    clock: { ...clock, nowMs: () => clock.nowMs() + stepMs },
    scheduler: async (_operation, apply) => {
      await gate.held?.promise;
      apply();
      return "answered";
    },
  });
  const membership = makeMembership({
    replicas: database.connect("a").replicas,
    clock,
    time: makeDatabaseTime(clock),
    observer: silentObserver,
    replicaId: "a",
    address: "here",
    version: "0.0.0",
    lowWatermark: () => 0,
  });
  await pass(clock, membership.join());
  const elapse = async (durationMs: number): Promise<void> => {
    const endMs = clock.monotonicMs() + durationMs;
    await passUntil(clock, () => clock.monotonicMs() >= endMs);
  };
  const step = (byMs: number): void => {
    stepMs += byMs;
  };
  return { clock, membership, elapse, step, gate };
}

it("a replica that is not disturbed is steady since it joined", async () => {
  const { membership, elapse } = await joined();
  await elapse(60_000);
  expect(membership.steadyForMs()).toBeGreaterThanOrEqual(60_000);
});

it("a heartbeat without an answer is a disturbance, also before the answer comes", async () => {
  const { membership, elapse, gate } = await joined();
  await elapse(60_000);
  gate.held = Promise.withResolvers();
  await elapse(10_000);
  expect(membership.steadyForMs()).toBe(0);
  gate.held.resolve();
  gate.held = null;
  await settle();
  expect(membership.steadyForMs()).toBe(0);
  await elapse(5000);
  expect(membership.steadyForMs()).toBeLessThanOrEqual(5100);
  expect(membership.steadyForMs()).toBeGreaterThanOrEqual(4900);
});

it("a pause of the process is a disturbance, also before the next heartbeat", async () => {
  const { clock, membership, elapse } = await joined();
  await elapse(60_000);
  clock.advance(5000);
  expect(membership.steadyForMs()).toBe(0);
  await elapse(2000);
  expect(membership.steadyForMs()).toBeLessThanOrEqual(2100);
});

it.each([5000, -5000])(
  "a step of the database's clock by %i ms is a disturbance, once",
  async (stepMs) => {
    const { membership, elapse, step } = await joined();
    await elapse(60_000);
    step(stepMs);
    await elapse(1100);
    expect(membership.steadyForMs()).toBeLessThanOrEqual(1100);
    await elapse(30_000);
    expect(membership.steadyForMs()).toBeGreaterThanOrEqual(30_000);
  },
);

it("a replica that others may have counted as gone was absent until it beats again", async () => {
  const { clock, membership, elapse, gate, step } = await joined();
  await elapse(60_000);
  clock.advance(20_000);
  await elapse(2000);
  expect(membership.presentForMs()).toBeGreaterThanOrEqual(82_000);
  clock.advance(31_000);
  expect(membership.presentForMs()).toBe(0);
  await elapse(2000);
  expect(membership.presentForMs()).toBeLessThanOrEqual(2100);
  gate.held = Promise.withResolvers();
  await elapse(32_000);
  expect(membership.presentForMs()).toBe(0);
  gate.held.resolve();
  gate.held = null;
  await elapse(2000);
  expect(membership.presentForMs()).toBeLessThanOrEqual(2100);
  await elapse(10_000);
  step(60_000);
  await elapse(1100);
  expect(membership.presentForMs()).toBeLessThanOrEqual(1100);
});
