// The grants of sessions alone, asked anything in any order, against a ledger that only counts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { grantsAggregate } from "../../src/core/grants/aggregate.ts";
import type { GrantsCommand } from "../../src/core/grants/commands.ts";
import { transferDeliveriesOf } from "../../src/core/grants/open-work.ts";
import { violationsOf } from "../../src/core/grants/testing/invariants.ts";
import {
  type Outcome,
  processes as processIds,
  type SessionStory,
  sessionStory,
} from "../../src/core/grants/testing/session-story.ts";
import { processIdOf, sessionIdOf } from "../../src/core/shared/ids.ts";
import { throughStorage, wholeImage } from "../../src/core/shared/testing/storage-codec.ts";
import {
  arrive,
  clear,
  leavingFrom,
  type Ledger,
  makeLedger,
  move,
  type Parcel,
  placeOf,
  placesOf,
  send,
  settle,
} from "./support/grants-ledger.ts";

const RUNS = { numRuns: 500 };
const SESSIONS = ["a", "b", "c"] as const;
const FRAMES = ["", "frame"] as const;
const PREFIX = "task:n:";
/** The first two have one name, which a scope gives once when it is asked to. */
const PROCESSES = ["task:n:1", "task:n:2", "p"] as const;

const step = fc.record({
  kind: fc.constantFrom(
    "grant" as const,
    "grant" as const,
    "grant" as const,
    "revoke" as const,
    "move" as const,
    "begin" as const,
    "begin" as const,
    "deliver" as const,
    "deliver" as const,
    "settle" as const,
    "settle" as const,
    "confirm" as const,
    "confirm" as const,
    "gone" as const,
    "delete" as const,
    "defer" as const,
  ),
  session: fc.constantFrom(...SESSIONS),
  other: fc.constantFrom(...SESSIONS),
  frame: fc.constantFrom(...FRAMES),
  toFrame: fc.constantFrom(...FRAMES),
  processes: fc.uniqueArray(fc.constantFrom(...PROCESSES), { minLength: 1, maxLength: 2 }),
  number: fc.nat(20),
  /** Whether the name is asked for. */
  isSole: fc.boolean(),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

const steps = fc.array(step, { minLength: 1, maxLength: 60, size: "max" });

/** Sessions and what they must have. */
interface Walk {
  readonly stories: ReadonlyMap<string, SessionStory>;
  readonly ledger: Ledger;
  readonly faults: string[];
}

function storyOf({ stories }: Walk, session: string): SessionStory {
  const story = stories.get(session);
  if (story === undefined) throw new Error(`there is no session ${session}`);
  return story;
}

/** The step, mostly about something that the session has. */
function aimed(walk: Walk, taken: Step): Step {
  const places = [...placesOf(walk.ledger, taken.session)];
  const place = places[taken.number % Math.max(1, places.length)];
  if (place === undefined || taken.number % 5 === 0) return taken;
  const [frame = "", name = ""] = place.split("|");
  const others = taken.processes.slice(1).filter((id) => places.includes(placeOf(frame, id)));
  const known = PROCESSES.filter((id) => id === name || others.includes(id));
  return { ...taken, frame: frame === "" ? "" : "frame", processes: known };
}

function grant(walk: Walk, taken: Step): void {
  const { session, frame, number, isSole } = taken;
  const [name = "p"] = taken.processes;
  const processId = processIdOf(name);
  const soleName = isSole && name !== "p" ? { soleName: { prefix: PREFIX, except: [] } } : {};
  const command = { type: "grant_handle" as const, frameId: frame, processId, descriptor: {} };
  const outcome = storyOf(walk, session).ask({ ...command, ...soleName });
  const places = placesOf(walk.ledger, session);
  const inFrame = [...places, ...leavingFrom(walk.ledger, session)];
  const rival = placeOf(frame, name === "task:n:1" ? "task:n:2" : "task:n:1");
  const isBarred = "soleName" in soleName && inFrame.includes(rival);
  if (outcome.kind === "committed") {
    if (isBarred) walk.faults.push(`${name} was granted beside another of its name`);
    places.add(placeOf(frame, name));
  }
  if (number % 3 > 0) storyOf(walk, session).confirm();
}

function begin(walk: Walk, { session, other, frame, toFrame, processes, isSole }: Step): void {
  if (session === other) return;
  const outcome = storyOf(walk, session).ask({
    type: "begin_transfer",
    fromFrameId: frame,
    toSessionId: sessionIdOf(other),
    toFrameId: toFrame,
    processIds: processIds(...processes),
    ...(isSole ? { solePrefixes: [PREFIX] } : {}),
  });
  if (outcome.kind !== "committed" || outcome.reply.type !== "moved") return;
  const { serial = 0 } = outcome.reply;
  const frames = { fromFrame: frame, toFrame };
  send(walk.ledger, { from: session, to: other, serial, ...frames, processes });
}

/** The intent of any transfer that ever began, also one that is long settled, as first written. */
function acceptOf(walk: Walk, parcel: Parcel): GrantsCommand {
  const source = storyOf(walk, parcel.from).state();
  const open = transferDeliveriesOf(source).find(({ serial }) => serial === parcel.serial);
  const soleNames = (open?.solePrefixes ?? []).map((prefix) => ({ prefix, except: [] }));
  const handles = parcel.processes.map((id) => ({ processId: processIdOf(id), descriptor: {} }));
  return {
    type: "accept_transfer",
    fromSessionId: sessionIdOf(parcel.from),
    serial: parcel.serial,
    // A late message knows of less.
    settledBelow: open?.settledBelow ?? 1,
    toFrameId: parcel.toFrame,
    handles,
    begunAt: 1000,
    soleNames,
  };
}

function deliver(walk: Walk, parcel: Parcel): void {
  // Nothing is sent for the first time once the source has settled it.
  const outcome = storyOf(walk, parcel.to).ask(acceptOf(walk, parcel));
  const verdict = verdictOf(outcome);
  if (parcel.verdict !== undefined && parcel.verdict !== verdict) {
    walk.faults.push(`transfer ${parcel.serial}: first ${parcel.verdict}, then ${verdict}`);
  }
  arrive(walk.ledger, parcel, verdict);
}

function verdictOf(outcome: Outcome): NonNullable<Parcel["verdict"]> {
  const reply = outcome.kind === "refused" ? undefined : outcome.reply;
  if (reply?.type === "verdict") return reply.verdict;
  throw new Error("a transfer was not answered");
}

function settleOne(walk: Walk, parcel: Parcel): void {
  const { verdict, serial } = parcel;
  if (verdict === undefined) return;
  storyOf(walk, parcel.from).ask({ type: "settle_transfer", serial, verdict });
  if (!parcel.isSettled) settle(walk.ledger, parcel);
}

function take(walk: Walk, taken: Step): void {
  const { kind, session, frame, toFrame, processes, number } = taken;
  const story = storyOf(walk, session);
  const { ledger } = walk;
  const parcel = ledger.parcels[number % Math.max(1, ledger.parcels.length)];
  const [name = "p"] = processes;
  const processId = processIdOf(name);
  switch (kind) {
    case "grant":
      grant(walk, taken);
      break;
    case "revoke": {
      const done = story.ask({ type: "revoke_handle", frameId: frame, processId });
      if (done.kind === "committed") placesOf(ledger, session).delete(placeOf(frame, name));
      break;
    }
    case "move": {
      const command = { type: "move_handles" as const, fromFrameId: frame, toFrameId: toFrame };
      const moved = story.ask({ ...command, processIds: processIds(...processes) });
      if (moved.kind === "committed") move(ledger, session, frame, toFrame, processes);
      break;
    }
    case "begin":
      begin(walk, taken);
      break;
    case "deliver":
      if (parcel) deliver(walk, parcel);
      break;
    case "settle":
      if (parcel) settleOne(walk, parcel);
      break;
    case "confirm":
      story.confirm();
      break;
    case "gone": {
      if (number > 0) break;
      const gone = [processId];
      story.ask({ type: "confirm_holds", acquired: [], released: [], gone });
      for (const each of FRAMES) placesOf(ledger, session).delete(placeOf(each, name));
      break;
    }
    case "delete": {
      if (number > 4) break;
      story.ask({ type: "delete_session", cancelOrphans: false, reason: "over" });
      clear(ledger, session);
      break;
    }
    case "defer":
      story.ask({ type: "defer_work", attempts: story.state().deferral?.attempts ?? 0 });
      break;
  }
}

function byText(left: string, right: string): number {
  return left < right ? -1 : 1;
}

function compare(walk: Walk): void {
  for (const [session, story] of walk.stories) {
    const { grants, transfers } = story.state();
    const granted = [...grants.values()].map(({ frameId, processId }) =>
      placeOf(frameId, processId),
    );
    const leaving = [...transfers.values()].flatMap(({ fromFrameId, handles }) =>
      handles.map(({ processId }) => placeOf(fromFrameId, processId)),
    );
    const has = `${granted.toSorted(byText).join()} and ${leaving.toSorted(byText).join()}`;
    const places = [...placesOf(walk.ledger, session)].toSorted(byText);
    const sent = leavingFrom(walk.ledger, session).toSorted(byText);
    const must = `${places.join()} and ${sent.join()}`;
    if (has !== must) walk.faults.push(`${session} has ${has} instead of ${must}`);
  }
}

function walkThrough(taken: readonly Step[]): Walk {
  const stories = new Map(SESSIONS.map((session) => [session, sessionStory()]));
  const walk: Walk = { stories, ledger: makeLedger(SESSIONS), faults: [] };
  let now = 1000;
  for (const one of taken) {
    now += 1;
    for (const story of stories.values()) story.at(now);
    take(walk, one.kind === "grant" ? one : aimed(walk, one));
    compare(walk);
  }
  return walk;
}

test("grants are conserved by any interleaving, and a sole name is never given twice", () => {
  fc.assert(
    fc.property(steps, (taken) => {
      const walk = walkThrough(taken);
      for (const parcel of walk.ledger.parcels) {
        if (!parcel.isSettled) deliver(walk, parcel);
        settleOne(walk, parcel);
      }
      for (const story of walk.stories.values()) for (let i = 0; i < 2; i += 1) story.confirm();
      compare(walk);
      expect(walk.faults).toEqual([]);
      for (const story of walk.stories.values()) {
        const { transfers, openHolds, holds, grants } = story.state();
        const held = new Set([...grants.values()].map(({ processId }) => processId));
        expect([transfers.size, openHolds.size]).toEqual([0, 0]);
        expect([...holds.keys()]).toEqual([...held].toSorted(byText));
      }
    }),
    RUNS,
  );
});

test("the fold of the history is the state, and so is that from any checkpoint", () => {
  fc.assert(
    fc.property(steps, (taken) => {
      for (const story of walkThrough(taken).stories.values()) {
        let genesis = grantsAggregate.initial;
        let checkpointed = grantsAggregate.initial;
        for (const [at, commit] of story.commits().entries()) {
          for (const [index, json] of commit.events.entries()) {
            const event = grantsAggregate.eventFromJson(json);
            if (event === "unknown") throw new Error("an event is not read back");
            const position = { revision: at + 1, index, at: commit.at };
            genesis = grantsAggregate.evolve(genesis, event, position);
            checkpointed = grantsAggregate.evolve(checkpointed, event, position);
          }
          const stored = throughStorage(grantsAggregate.stateToJson(checkpointed));
          checkpointed = grantsAggregate.stateFromJson(stored);
          expect(wholeImage(checkpointed)).toBe(wholeImage(genesis));
          expect(violationsOf(genesis)).toEqual([]);
        }
        expect(wholeImage(genesis)).toBe(wholeImage(story.state()));
      }
    }),
    RUNS,
  );
});
