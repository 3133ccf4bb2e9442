import fc from "fast-check";
import { expect, test } from "vitest";
import { runtimeAggregate } from "../../src/core/runtime/aggregate.ts";
import type { RuntimeCommand, RuntimeReply } from "../../src/core/runtime/commands.ts";
import { completionOf, settledInputs } from "../../src/core/runtime/completion.ts";
import { envelopesOfCommit } from "../../src/core/runtime/envelopes.ts";
import { isTerminal } from "../../src/core/runtime/input-lifecycle.ts";
import type { InputHeader, RuntimeState } from "../../src/core/runtime/state.ts";
import { Story, type StoryCommit } from "../../src/core/runtime/testing/story.ts";
import type { InputId } from "../../src/core/shared/ids.ts";
import type { Refusal } from "../../src/core/shared/refusal.ts";
import { life, startWalk, type Step, take } from "./runtime-steps.ts";

const RUNS = { numRuns: 800 };

const ENDS = ["input.consumed", "input.abandoned", "input.superseded", "input.coalesced"];

/** A state as its checkpoint, which is all there is to it. */
function image(state: RuntimeState): string {
  return JSON.stringify(runtimeAggregate.stateToJson(state));
}

/** Takes all steps; answers what each met. */
function live(
  story: Story,
  steps: readonly Step[],
  between: (story: Story, index: number) => void = () => undefined,
): readonly (RuntimeReply | Refusal | undefined)[] {
  const walk = startWalk(story);
  return steps.map((step, index) => {
    between(story, index);
    return take(walk, step)?.reply;
  });
}

function isRefusal(reply: RuntimeReply | Refusal): reply is Refusal {
  return "reason" in reply;
}

/** Everything that a commit ends, by the headers before and after each event. */
function endedByHeaders(before: RuntimeState, after: RuntimeState): readonly InputId[] {
  return [...after.inputs.values()]
    .filter((header) => {
      const earlier = before.inputs.get(header.inputId);
      return isTerminal(header.state) && !(earlier && isTerminal(earlier.state));
    })
    .map((header) => header.inputId);
}

/** Calls `visit` with the states around every event of a life. */
function replay(
  commits: readonly StoryCommit[],
  visit: (before: RuntimeState, event: StoryCommit["events"][number], after: RuntimeState) => void,
): void {
  for (const { events, revision, at, before } of commits) {
    let state = before;
    for (const [index, event] of events.entries()) {
      const after = runtimeAggregate.evolve(state, event, { revision, index, at });
      visit(state, event, after);
      state = after;
    }
  }
}

test("R1 to R6: every commit of every life leaves a sound state", () => {
  // The story checks the invariants from the headers up after each commit.
  fc.assert(
    fc.property(life, (steps) => {
      live(new Story(), steps);
    }),
    RUNS,
  );
  expect.assertions(0);
});

test("R7: a refused or merely answered command leaves the state untouched", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      const walk = startWalk(story);
      for (const step of steps) {
        const before = story.state;
        const imageBefore = image(before);
        const count = story.commits.length;
        const taken = take(walk, step);
        const isCommitted = story.commits.length > count;
        const isRefused = taken !== undefined && isRefusal(taken.reply);
        expect([isCommitted && isRefused, !isCommitted && story.state !== before]).toEqual([
          false,
          false,
        ]);
        expect(image(before)).toBe(imageBefore);
      }
    }),
    { numRuns: 100 },
  );
});

test("R8: the same key leads to the same existing input for ever, forgotten or not", () => {
  fc.assert(
    fc.property(life, fc.nat(7), (steps, rhythm) => {
      const story = new Story();
      const walk = startWalk(story);
      const owners = new Map<string, string>();
      for (const [index, step] of steps.entries()) {
        if (index % (rhythm + 2) === 0) story.forget();
        const taken = take(walk, step);
        if (taken?.command.type !== "ingest" || isRefusal(taken.reply)) continue;
        if (taken.reply.type !== "ingested") continue;
        const { outcome } = taken.reply;
        const key = taken.command.input.idempotencyKey;
        if (key === undefined) continue;
        const told = outcome.type === "deduplicated" ? outcome.existingId : outcome.type;
        expect(told).toBe(owners.get(key) ?? told);
        if (outcome.type === "accepted") owners.set(key, outcome.header.inputId);
      }
    }),
    RUNS,
  );
});

test("R9: a run takes the head of its lane and never passes a queued input by", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      live(story, steps);
      replay(story.commits, (before, event, after) => {
        if (event.type !== "run_started") return;
        const ordinals = event.inputIds.map((id) => before.inputs.get(id)?.ordinal ?? Infinity);
        expect(ordinals).toEqual([...ordinals].toSorted((left, right) => left - right));
        const [first] = event.inputIds;
        const lane = first === undefined ? undefined : before.inputs.get(first)?.lane;
        const rest = lane === "steer" ? after.steerLane : after.queueLane;
        expect(rest.minKey() ?? Infinity).toBeGreaterThan(ordinals.at(-1) ?? 0);
      });
    }),
    RUNS,
  );
});

test("R10: the generation never falls; every grant and every fence bumps it", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      live(story, steps);
      replay(story.commits, (before, event, after) => {
        expect(after.generation).toBeGreaterThanOrEqual(before.generation);
        const isGrant = event.type === "lease_granted" && before.lease === null;
        expect(after.generation > before.generation).toBe(isGrant || event.type === "lease_fenced");
      });
    }),
    RUNS,
  );
});

test("R4: each accepted input ends at most once, and its waiters are told in that commit", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      live(story, steps);
      const ends = new Map<string, number>();
      for (const { before, events, revision, at } of story.commits) {
        for (const { eventCode, event } of envelopesOfCommit(before, events, revision, at)) {
          if (event.category !== "input_lifecycle" || !ENDS.includes(eventCode)) continue;
          ends.set(event.inputId, (ends.get(event.inputId) ?? 0) + 1);
        }
      }
      expect([...ends.values()].filter((count) => count !== 1)).toEqual([]);
      replay(story.commits, (before, event, after) => {
        const settled = [...settledInputs(before, event)].toSorted();
        expect(settled).toEqual([...endedByHeaders(before, after)].toSorted());
      });
      const isOver = (header: InputHeader) => completionOf(header, []).type !== "pending";
      const over = [...story.state.inputs.values()].filter((header) => isOver(header));
      expect(over).toHaveLength(ends.size);
    }),
    RUNS,
  );
});

test("P1 to P3: a drain is named once, spawned once, and told to end before another begins", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      live(story, steps);
      const started: number[] = [];
      const spawned: number[] = [];
      replay(story.commits, (before, event, after) => {
        if (event.type === "drain_started") started.push(event.sequence);
        if (event.type === "drain_spawned") spawned.push(event.sequence);
        const isOver = after.drain.sequence > before.drain.sequence && before.drain.host !== null;
        expect(isOver).toBe(false);
      });
      expect(started).toEqual(started.map((_, index) => index + 1));
      expect(new Set(spawned).size).toBe(spawned.length);
    }),
    RUNS,
  );
});

test("an ingress update answers true exactly when its commit started a drain", () => {
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      const walk = startWalk(story);
      for (const step of steps) {
        const { sequence } = story.state.drain;
        const reply = take(walk, step)?.reply;
        if (reply === undefined || isRefusal(reply) || reply.type !== "ingress_updated") continue;
        expect(reply.spawned).toBe(story.state.drain.sequence > sequence);
      }
    }),
    RUNS,
  );
});

test("a checkpoint at any point changes nothing that follows", () => {
  fc.assert(
    fc.property(life, fc.nat(7), (steps, rhythm) => {
      const kept = new Story();
      const reloaded = new Story();
      const replies = live(kept, steps);
      const repliesAfterReload = live(reloaded, steps, (story, index) => {
        if (index % (rhythm + 2) === 0) story.reload();
      });
      expect(repliesAfterReload).toEqual(replies);
      expect(image(reloaded.state)).toBe(image(kept.state));
    }),
    { numRuns: 200 },
  );
});

test("forgetting at any point changes no reply, and no event", () => {
  fc.assert(
    fc.property(life, fc.nat(7), (steps, rhythm) => {
      const kept = new Story();
      const forgetful = new Story();
      const replies = live(kept, steps);
      const repliesAfterForgetting = live(forgetful, steps, (story, index) => {
        if (index % (rhythm + 2) === 0) story.forget();
      });
      expect(repliesAfterForgetting).toEqual(replies);
      expect(forgetful.commits.map(({ events }) => events)).toEqual(
        kept.commits.map(({ events }) => events),
      );
      kept.forget();
      forgetful.forget();
      expect(image(forgetful.state)).toBe(image(kept.state));
    }),
    { numRuns: 200 },
  );
});

test("a command that was committed is answered the same when it is sent again at once", () => {
  const repeatable: readonly RuntimeCommand["type"][] = [
    "commit_boundary",
    "complete_run",
    "fail_run",
    "cancel_run",
    "release_run",
  ];
  fc.assert(
    fc.property(life, (steps) => {
      const story = new Story();
      const walk = startWalk(story);
      for (const step of steps) {
        const count = story.commits.length;
        const taken = take(walk, step);
        if (taken === undefined || story.commits.length === count) continue;
        if (!repeatable.includes(taken.command.type)) continue;
        expect(story.try(taken.command)).toEqual(taken.reply);
        expect(story.commits).toHaveLength(count + 1);
      }
    }),
    RUNS,
  );
});
