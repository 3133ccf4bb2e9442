import { expect, test } from "vitest";
import { inputIdOf } from "../shared/ids.ts";
import { wordsOf } from "./cause-words.ts";
import { type ExecutorFacts, explain } from "./explain.ts";
import { continuation, executor, peer, prompt, registeredStory, Story } from "./testing/story.ts";

const NOBODY: ExecutorFacts = { poolExecutors: 0, busyExecutors: 0 };
const IDLE: ExecutorFacts = { poolExecutors: 2, busyExecutors: 0 };
const BUSY: ExecutorFacts = { poolExecutors: 2, busyExecutors: 2 };
/** One of them is on its way from one replica to another. */
const MOVING: ExecutorFacts = { poolExecutors: 2, busyExecutors: 1 };

function causes(story: Story, facts: ExecutorFacts = IDLE) {
  return explain(story.state, facts, story.now);
}

function types(story: Story, facts: ExecutorFacts = IDLE): readonly string[] {
  return causes(story, facts).map(({ type }) => type);
}

test("an empty runtime has nothing queued, since its last input was taken", () => {
  const story = registeredStory();
  const registeredAt = story.now;
  story.now += 5_000;
  expect(causes(story)).toEqual([{ type: "nothing_queued", since: registeredAt }]);
  story.ingest("a", prompt("a"));
  story.now += 1_000;
  story.assign();
  const takenAt = story.now;
  story.now += 1_000;
  story.boundary();
  story.complete();
  expect(causes(story)).toEqual([{ type: "nothing_queued", since: takenAt }]);
});

test("without an executor the pool is named, and since when it has none", () => {
  const story = registeredStory({ pool: "gpu" });
  const registeredAt = story.now;
  const without = (poolServedUntil?: number) => {
    const facts = poolServedUntil === undefined ? NOBODY : { ...NOBODY, poolServedUntil };
    return causes(story, facts).at(-1);
  };
  story.now += 5_000;
  const ever = { type: "no_executor", pool: "gpu", since: registeredAt };
  expect([without(), without(registeredAt - 1)]).toEqual([ever, ever]);
  expect(without(registeredAt + 10)).toEqual({ ...ever, since: registeredAt + 10 });
  // The clocks of two servers are not quite the same.
  expect(without(story.now + 10)).toEqual({ ...ever, since: story.now });
  story.attach("worker");
  story.now += 1_000;
  story.do({ type: "release_lease", ...executor("worker") }, "released");
  story.now += 1_000;
  expect(without(registeredAt + 10)).toEqual({ ...ever, since: story.now - 1_000 });
});

test("work that is due waits for an executor that is free", () => {
  const story = registeredStory({ pool: "gpu" });
  const since = story.now;
  story.ingest("a", prompt("a"));
  story.now += 3_000;
  expect(causes(story, NOBODY)).toEqual([{ type: "no_executor", pool: "gpu", since }]);
  expect(types(story, MOVING)).toEqual(["awaiting_assignment"]);
  expect(causes(story, BUSY)).toEqual([
    { type: "executors_busy", pool: "gpu", executors: 2, since },
  ]);
  expect(causes(story, IDLE)).toEqual([{ type: "awaiting_assignment", executors: 2, since }]);
});

test("a run is told with its executor, and whether its end was asked for", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  const since = story.now;
  const { runId } = story.assign("worker");
  const about = { ...executor("worker"), generation: 1 };
  const until = since + 10_000;
  expect(causes(story)).toEqual([{ type: "run_unacknowledged", runId, since, until, ...about }]);
  story.acknowledge();
  story.now += 2_000;
  story.do({ type: "interrupt_run" }, "interrupted");
  const askedAt = story.now;
  story.now += 1_000;
  expect(causes(story)).toEqual([
    { type: "run_in_flight", runId, attempt: 1, since, ...about },
    { type: "interrupt_pending", runId, since: askedAt, ...about },
  ]);
});

test("a run whose executor stopped renewing is told with that", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  story.assign("worker");
  story.acknowledge();
  const renewedAt = story.now;
  const register = { renewedAt, expiresAt: renewedAt + 30_000, isLapsed: false };
  const facts = { ...IDLE, holder: register };
  story.now += 29_999;
  expect(types(story, facts)).toEqual(["run_in_flight"]);
  story.now += 1;
  const about = { ...executor("worker"), generation: 1 };
  expect(causes(story, facts).slice(1)).toEqual([
    { type: "lease_lapsing", since: renewedAt, ...about },
  ]);
});

test("the head of a lane that backs off is named with its attempts and its time", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  story.assign();
  story.fail();
  const { notBefore } = story.header("a");
  const facts = { inputId: "a", lane: "queue", attempts: 1, since: story.now, until: notBefore };
  expect(causes(story)).toEqual([{ type: "backing_off", ...facts }]);
  story.ingest("b", continuation());
  expect(types(story)).toEqual(["backing_off", "awaiting_assignment"]);
  story.now = notBefore;
  expect(types(story)).toEqual(["awaiting_assignment"]);
});

test("what woke nobody is named, with the first input and how many there are", () => {
  const story = registeredStory();
  const since = story.now;
  story.ingest("a", prompt("a"), { withoutWake: true });
  story.ingest("b", peer("response_progress"));
  expect(causes(story)).toEqual([{ type: "not_woken", inputId: "a", queued: 2, since }]);
  story.do({ type: "recycle" }, "report");
  expect(types(story)).toEqual(["awaiting_assignment"]);
});

test("a lease is told with its holder, and when it stopped renewing", () => {
  const story = registeredStory();
  story.attach("worker");
  const since = story.now;
  const about = { ...executor("worker"), generation: 1 };
  const register = { renewedAt: since, expiresAt: since + 30_000, isLapsed: false };
  const facts = { ...NOBODY, holder: register };
  expect(causes(story, facts)).toEqual([
    { type: "nothing_queued", since },
    { type: "lease_held", since, until: since + 30_000, ...about },
  ]);
  story.ingest("a", prompt("a"));
  expect(types(story, facts)).toEqual(["lease_held", "awaiting_assignment"]);
  const lapsing = { type: "lease_lapsing", since, ...about };
  const lapsed = { ...NOBODY, holder: { ...register, isLapsed: true } };
  expect(causes(story, lapsed)).toEqual([lapsing]);
  story.now += 30_000;
  expect(causes(story, facts)).toEqual([lapsing]);
  expect(types(story, NOBODY)).toEqual(["lease_held", "awaiting_assignment"]);
});

test("a closed or full intake comes after what holds the queue up", () => {
  const story = registeredStory({ queueLimit: 1 });
  story.ingest("a", prompt("a"));
  const since = story.now;
  story.do({ type: "retire", abandonIfUnattached: false }, "report");
  expect(causes(story, NOBODY).slice(1)).toEqual([
    { type: "retired", since },
    { type: "intake_full", queued: 1, limit: 1, since },
  ]);
});

test("a full intake is told since it was filled last, or since its limit came down", () => {
  const story = registeredStory({ queueLimit: 2 });
  const fullCause = () => causes(story).find(({ type }) => type === "intake_full");
  story.ingest("a", prompt("a"));
  expect(fullCause()).toBeUndefined();
  story.now += 1_000;
  story.ingest("b", prompt("b"));
  const filledAt = story.now;
  story.now += 1_000;
  expect(fullCause()).toEqual({ type: "intake_full", queued: 2, limit: 2, since: filledAt });
  story.assign();
  story.boundary();
  story.complete();
  expect(fullCause()).toBeUndefined();
  story.now += 1_000;
  story.ensure({ queueLimit: 1 });
  expect(fullCause()).toEqual({ type: "intake_full", queued: 1, limit: 1, since: story.now });
});

test("what is over is told alone, with the time when it ended", () => {
  const stopped = registeredStory();
  stopped.now += 1_000;
  stopped.do({ type: "stop" }, "report");
  const since = stopped.now;
  stopped.now += 1_000;
  stopped.do({ type: "set_silent_intents", intents: ["ask"] }, "silent_intents_set");
  expect(causes(stopped, NOBODY)).toEqual([{ type: "stopped", since }]);
  stopped.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
  expect(causes(stopped)).toEqual([{ type: "unregistered", since: stopped.now }]);
  const destroyed = registeredStory();
  destroyed.do({ type: "destroy" }, "report");
  expect(causes(destroyed)).toEqual([{ type: "destroyed", since: destroyed.now }]);
  expect(causes(new Story())).toEqual([]);
});

test("one of something is not told as several", () => {
  const summaryOf = (executors: number): string => {
    return wordsOf({ type: "executors_busy", pool: "gpu", executors, since: 1 }).summary;
  };
  expect(summaryOf(1)).toBe("the only executor of the pool takes no run now");
  expect(summaryOf(2)).toBe("none of the 2 executors of the pool takes a run now");
  const alone = wordsOf({ type: "not_woken", inputId: inputIdOf("a"), queued: 1, since: 1 });
  expect(alone.summary).toBe("an input is queued that woke nobody");
});

test("every cause says in words what it is and what would help", () => {
  const story = registeredStory({ queueLimit: 1 });
  story.ingest("a", prompt("a"), { withoutWake: true });
  for (const cause of causes(story, NOBODY)) {
    const { summary, remedy } = wordsOf(cause);
    expect([summary.length > 0, remedy.length > 0]).toEqual([true, true]);
  }
});
