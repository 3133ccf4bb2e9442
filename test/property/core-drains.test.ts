// Drains in random lives: one that is wanted comes, in its time, and what is said of one that is
// over changes nothing. That at most one is active is shown with the other rules of the runtime.
import fc from "fast-check";
import { expect, test } from "vitest";
import { desiredDrainMode } from "../../src/core/runtime/drain.ts";
import type { RuntimeEvent } from "../../src/core/runtime/events.ts";
import type { RuntimeState } from "../../src/core/runtime/state.ts";
import { executor, Story } from "../../src/core/runtime/testing/story.ts";
import { drainingLife, startWalk, type Step, take } from "./runtime-steps.ts";

const RUNS = { numRuns: 600 };

const WAITING_OR_ACTIVE = ["starting", "running", "exited_respawnable"];

/** Commits of a life with the states around them. */
interface Change {
  readonly before: RuntimeState;
  readonly events: readonly RuntimeEvent[];
  readonly at: number;
  readonly after: RuntimeState;
}

function changesOf(steps: readonly Step[], random = 0.5): readonly Change[] {
  const story = new Story();
  story.random = random;
  const walk = startWalk(story);
  for (const step of steps) take(walk, step);
  return story.commits.map(({ before, events, at }, index) => {
    return { before, events, at, after: story.commits[index + 1]?.before ?? story.state };
  });
}

/** Whether an event ends a drain because somebody wants it to be over. */
function isEndOnPurpose(event: RuntimeEvent): boolean {
  if (event.type === "drain_aborted") return true;
  return event.type === "drain_exited" && ["dismissed", "aborted"].includes(event.reason);
}

test("one that is wanted is active or waits for its time, unless it was ended on purpose", () => {
  let wanted = 0;
  fc.assert(
    fc.property(drainingLife, (steps) => {
      let isEnded = false;
      for (const { events, after } of changesOf(steps)) {
        if (events.some(({ type }) => type === "drain_started")) isEnded = false;
        const isWanted = desiredDrainMode(after) !== null;
        const { phase } = after.drain;
        // What ends because it is not wanted any more comes back once it is.
        if (isWanted && phase === "stopped" && events.some(isEndOnPurpose)) isEnded = true;
        if (!isWanted || isEnded) continue;
        wanted += 1;
        expect(WAITING_OR_ACTIVE).toContain(phase);
      }
    }),
    RUNS,
  );
  expect(wanted).toBeGreaterThan(RUNS.numRuns);
});

test("one that waits has an executor that asks from its time on, and none before", () => {
  fc.assert(
    fc.property(drainingLife, (steps) => {
      const story = new Story();
      const walk = startWalk(story);
      const early = steps.filter((step) => {
        const { drain } = story.state;
        const reply = take(walk, step)?.reply;
        if (reply === undefined || "reason" in reply || reply.type !== "drain_hosted") return false;
        return drain.phase !== "running" && story.now < drain.notBefore && reply.hosted;
      });
      expect(early).toEqual([]);
      const { drain, lease } = story.state;
      const isWaiting = drain.phase === "starting" || drain.phase === "exited_respawnable";
      fc.pre(isWaiting && desiredDrainMode(story.state) !== null);
      story.now = Math.max(story.now, drain.notBefore);
      const { executorId, incarnationId } = lease ?? executor("anybody");
      const command = { type: "host_drain", executorId, incarnationId } as const;
      expect(story.do(command, "drain_hosted").hosted).toBe(true);
    }),
    RUNS,
  );
});

/** How long a drain must wait at least and at most after so many failures in a row. */
function pauseBoundsMs(failures: number): readonly [number, number] {
  const plainMs = Math.min(1_000 * 2 ** (Math.max(failures, 1) - 1), 60_000);
  return [Math.floor(plainMs * 0.8), Math.ceil(plainMs * 1.2)];
}

test("a failure is followed by a backoff that doubles up to its limit, with jitter", () => {
  const seen = new Set<number>();
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(drainingLife, chance, (steps, random) => {
      const failing = steps.map((step) => {
        return "exit" in step && !step.keepAlive ? { ...step, exit: "failed" as const } : step;
      });
      for (const { before, events, at } of changesOf(failing, random)) {
        for (const event of events) {
          if (event.type !== "drain_exited") continue;
          const { reason, failures, notBefore } = event;
          const expected = reason === "failed" ? [1, before.drain.failures + 1] : [0];
          expect(expected).toContain(failures);
          seen.add(failures);
          const comesBack = reason === "failed" || reason === "session_shutdown";
          const [leastMs, mostMs] = comesBack ? pauseBoundsMs(failures) : [-at, -at];
          expect(notBefore - at).toBeGreaterThanOrEqual(leastMs);
          expect(notBefore - at).toBeLessThanOrEqual(mostMs);
        }
      }
    }),
    RUNS,
  );
  expect([...seen]).toEqual(expect.arrayContaining([0, 1, 2]));
});

test("an exit of a drain of the past changes nothing", () => {
  let past = 0;
  fc.assert(
    fc.property(drainingLife, (steps) => {
      const story = new Story();
      const walk = startWalk(story);
      for (const step of steps) {
        const { sequence } = story.state.drain;
        const revision = story.commits.length;
        const taken = take(walk, step);
        if (taken?.command.type !== "notify_drain_exited") continue;
        const said = taken.command.sequence;
        if (said === 0 || said === sequence || "reason" in taken.reply) continue;
        past += 1;
        expect(taken.reply).toEqual({ type: "drain_ended", ended: false });
        expect(story.commits).toHaveLength(revision);
      }
    }),
    RUNS,
  );
  expect(past).toBeGreaterThan(0);
});
