import fc from "fast-check";
import { expect, test } from "vitest";
import { processAggregate } from "../../src/core/process/aggregate.ts";
import type { LeaseProof, ProcessReply } from "../../src/core/process/commands.ts";
import type { EventAppended, ProcessStreamEvent } from "../../src/core/process/events.ts";
import type { ProcessState } from "../../src/core/process/state.ts";
import {
  type Decide,
  owner,
  registeredStory,
  type Story,
} from "../../src/core/process/testing/story.ts";
import { throughStorage, wholeImage } from "../../src/core/shared/testing/storage-codec.ts";
import type { Refusal } from "../../src/core/shared/refusal.ts";
import { type Life, life, startWalk, type Step, take, traitsOf } from "./process-steps.ts";

const RUNS = { numRuns: 600 };

function storyOf(lived: Omit<Life, "steps">): Story {
  return registeredStory(traitsOf(lived));
}

/** Everything that a state holds. */
function image(state: ProcessState): string {
  return wholeImage(state);
}

/** Takes all steps; answers what each met. */
function live(
  story: Story,
  steps: readonly Step[],
  between: (story: Story, index: number) => void = () => undefined,
): readonly (ProcessReply | Refusal | undefined)[] {
  const walk = startWalk(story);
  return steps.map((step, index) => {
    between(story, index);
    return take(walk, step)?.reply;
  });
}

function eventsOf(story: Story): readonly ProcessStreamEvent[] {
  return story.commits.flatMap(({ events }) => events);
}

function loggedBy(story: Story): readonly EventAppended[] {
  return eventsOf(story).filter((event) => event.type === "process_event_appended");
}

test("P1, P2: sequences have no gap, and at most one event ends the process, for ever", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      live(story, steps);
      const logged = loggedBy(story);
      expect(logged.map(({ sequence }) => sequence)).toEqual(logged.map((_, index) => index + 1));
      const ends = logged.filter(({ terminal }) => terminal !== undefined);
      expect(ends.length).toBe(story.state.end === null ? 0 : 1);
      expect(story.state.end?.status).toBe(ends[0]?.terminal);
      expect(story.state.end?.place.sequence).toBe(ends[0]?.sequence);
    }),
    RUNS,
  );
});

/** Holds with a wrong generation, and writes under a hold that was not the one of its time. */
function fencingFaults(story: Story): readonly ProcessStreamEvent[] {
  let current = 0;
  let isHeld = false;
  const faults: ProcessStreamEvent[] = [];
  for (const event of eventsOf(story)) {
    if (event.type === "process_lease_claimed") {
      if (isHeld || event.generation !== current + 1) faults.push(event);
      current = event.generation;
      isHeld = true;
    }
    const isEnd = event.type === "process_lease_released" || event.type === "process_lease_lapsed";
    if (isEnd) isHeld = false;
    if (event.type !== "process_event_appended") continue;
    const isFenced = event.generation !== undefined;
    if (isFenced && !(isHeld && event.generation === current)) faults.push(event);
    if (event.terminal !== undefined) isHeld = false;
  }
  return faults;
}

test("P3: every new hold has the next generation, and only its own writes count", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      live(story, steps);
      expect(fencingFaults(story)).toEqual([]);
    }),
    RUNS,
  );
});

/** Decides a command as if the hold that it presents were the one on the process. */
function believed(proof: LeaseProof, ...[state, command, context]: Parameters<Decide>) {
  const { leaseToken, generation } = proof;
  const lease = { leaseToken, generation, owner: owner("any"), ttlMs: 1, claimedAt: 0 };
  return processAggregate.decide({ ...state, lease }, command, context);
}

/** Cores that do not ask who holds the process. */
const UNFENCED: readonly (readonly [name: string, decide: Decide])[] = [
  [
    "a completion",
    (state, command, context) =>
      command.type === "complete_process" && command.by.type === "lease"
        ? believed(command.by, state, command, context)
        : processAggregate.decide(state, command, context),
  ],
  [
    "an append",
    (state, command, context) =>
      command.type === "append_event" && command.lease !== undefined
        ? believed(command.lease, state, command, context)
        : processAggregate.decide(state, command, context),
  ],
];

test.each(UNFENCED)("P3 finds %s without fencing", (_name, decide) => {
  const found = fc.check(
    fc.property(life, ({ steps, ...lived }) => {
      const story = registeredStory(traitsOf(lived), decide);
      live(story, steps);
      return fencingFaults(story).length === 0;
    }),
    { ...RUNS, endOnFailure: true },
  );
  expect(found.failed).toBe(true);
});

test("P5: every wake enters the outbox with its event and leaves it once, in order", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      live(story, steps);
      const wakes = loggedBy(story).filter(({ wake }) => wake !== undefined);
      expect(wakes.map(({ wake }) => wake?.wakeOrdinal)).toEqual(wakes.map((_, at) => at + 1));
      const settled = eventsOf(story).flatMap((event) =>
        event.type === "wake_settled" ? [event.sequence] : [],
      );
      const pending = [...story.state.outbox.keys()];
      expect(new Set(settled).size).toBe(settled.length);
      expect([...settled, ...pending].toSorted((left, right) => left - right)).toEqual(
        wakes.map(({ sequence }) => sequence),
      );
    }),
    RUNS,
  );
});

test("P7: nothing that the clock does ends a process", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      const walk = startWalk(story);
      for (const step of steps) {
        const before = story.state.end;
        const taken = take(walk, step);
        if (before !== null || story.state.end === null) continue;
        const { type = "" } = taken?.command ?? {};
        const isWished = story.state.abandonRequest !== null;
        const follows = ["lapse_lease", "release_lease", "reconcile_abandon"].includes(type);
        const isAsked = ["append_event", "complete_process", "request_abandon"].includes(type);
        const isGraceOver = type === "abort_task" && story.state.cancelRequest !== null;
        expect(isAsked || (isWished && follows) || isGraceOver).toBe(true);
      }
    }),
    RUNS,
  );
});

test("P8: a refused or merely answered command leaves the state untouched", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      const walk = startWalk(story);
      for (const step of steps) {
        const before = image(story.state);
        const count = story.commits.length;
        const taken = take(walk, step);
        const isCommitted = story.commits.length > count;
        const isRefused = taken !== undefined && "reason" in taken.reply;
        const isChanged = image(story.state) !== before;
        expect([isRefused && isCommitted, isChanged && !isCommitted]).toEqual([false, false]);
      }
    }),
    { numRuns: 150 },
  );
});

test("P9: marks of sessions lead to the same holders in any order and number", () => {
  const mark = fc.record({ session: fc.nat(2), mark: fc.nat(4), held: fc.boolean() });
  fc.assert(
    fc.property(fc.array(mark), fc.array(fc.nat(), { minLength: 9 }), (marks, lots) => {
      const inOrder = storyOf({ disposition: "rerunnable", isTask: false });
      const shuffled = storyOf({ disposition: "rerunnable", isTask: false });
      const order = [...marks, ...marks]
        .map((entry, index) => ({ entry, lot: lots[index % lots.length] ?? 0 }))
        .toSorted((left, right) => left.lot - right.lot)
        .map(({ entry }) => entry);
      const say = (story: Story, entry: (typeof marks)[number]) =>
        take(startWalk(story), {
          kind: entry.held ? "hold" : "release_hold",
          number: entry.mark,
          name: entry.session === 0 ? "first" : "second",
          flag: false,
          isStale: false,
        });
      for (const entry of marks) say(inOrder, entry);
      for (const entry of order) say(shuffled, entry);
      expect([...shuffled.state.holders.entries()]).toEqual([...inOrder.state.holders.entries()]);
    }),
    RUNS,
  );
});

test("the fold of the stored history is the state, after every commit", () => {
  fc.assert(
    fc.property(life, ({ steps, ...lived }) => {
      const story = storyOf(lived);
      live(story, steps, (walked) => {
        let refolded = processAggregate.initial;
        for (const { events, revision, at } of walked.commits) {
          for (const [index, event] of events.entries()) {
            refolded = processAggregate.evolve(refolded, event, { revision, index, at });
          }
        }
        expect(image(refolded)).toBe(image(walked.state));
        const stored = throughStorage(processAggregate.stateToJson(walked.state));
        expect(image(processAggregate.stateFromJson(stored))).toBe(image(walked.state));
      });
    }),
    { numRuns: 60 },
  );
});

test("a checkpoint at any point changes nothing that follows", () => {
  fc.assert(
    fc.property(life, fc.nat(7), ({ steps, ...lived }, rhythm) => {
      const kept = storyOf(lived);
      const reloaded = storyOf(lived);
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
    fc.property(life, fc.nat(7), ({ steps, ...lived }, rhythm) => {
      const kept = storyOf(lived);
      const forgetful = storyOf(lived);
      const replies = live(kept, steps);
      const repliesAfterForgetting = live(forgetful, steps, (story, index) => {
        if (index % (rhythm + 2) === 0) story.forget();
      });
      expect(repliesAfterForgetting).toEqual(replies);
      expect(eventsOf(forgetful)).toEqual(eventsOf(kept));
      kept.forget();
      forgetful.forget();
      expect(image(forgetful.state)).toBe(image(kept.state));
    }),
    { numRuns: 200 },
  );
});

test("P4: an event with a key is answered the same for ever, until the process is pruned", () => {
  fc.assert(
    fc.property(life, fc.nat(5), ({ steps, ...lived }, rhythm) => {
      const story = storyOf(lived);
      const walk = startWalk(story);
      const first = new Map<string, Extract<ProcessReply, { readonly type: "appended" }>>();
      for (const [index, step] of steps.entries()) {
        if (index % (rhythm + 2) === 0) story.forget();
        const taken = take(walk, step);
        if (taken === undefined || "reason" in taken.reply) continue;
        const { command, reply } = taken;
        if (reply.type !== "appended" || command.type !== "append_event") continue;
        if (command.replayKey === undefined) continue;
        const told = first.get(command.replayKey);
        first.set(command.replayKey, told ?? reply);
        expect(reply).toEqual(told === undefined ? reply : { ...told, replayed: true });
        expect(story.try(command)).toEqual({ ...reply, replayed: true });
      }
    }),
    RUNS,
  );
});
