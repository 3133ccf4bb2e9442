import { describe, expect, test } from "vitest";
import type { RuntimeEventEnvelope } from "./envelope.ts";
import { envelopesOfCommit } from "./envelopes.ts";
import {
  executor,
  externalEvent,
  operation,
  peer,
  prompt,
  registeredStory,
  type Story,
} from "./testing/story.ts";

/** The envelopes of the last commit. */
function envelopes(story: Story): readonly RuntimeEventEnvelope[] {
  const commit = story.commits.at(-1);
  if (commit === undefined) throw new Error("nothing is committed");
  return envelopesOfCommit(commit.before, commit.events, commit.revision, commit.at);
}

/** An envelope in one line: its code, what it is about, and a change of state. */
function line({ eventCode, event }: RuntimeEventEnvelope): string {
  switch (event.category) {
    case "input_lifecycle":
      return `${eventCode} ${event.inputId}`;
    case "runtime_state_change":
      return `${eventCode} ${event.from} ${event.to}`;
    default:
      return eventCode;
  }
}

const lines = (story: Story) => envelopes(story).map((envelope) => line(envelope));

describe("events_emitted_for_lifecycle", () => {
  test("registration and admission", () => {
    const story = registeredStory();
    expect(lines(story)).toEqual(["topology.runtime_created"]);
    story.ingest("a", prompt("a"), { correlationId: "talk-1", causationId: "mail-1" });
    expect(lines(story)).toEqual(["input.accepted a", "input.queued a"]);
    expect(envelopes(story)[1]).toEqual({
      eventId: "2.1",
      at: 1_000_000,
      runtimeId: "runtime-1",
      revision: 2,
      index: 1,
      eventCode: "input.queued",
      event: {
        category: "input_lifecycle",
        inputId: "a",
        change: { code: "queued", lane: "queue" },
      },
      causationId: "mail-1",
      correlationId: "talk-1",
      published: false,
    });
    story.ingest("b", operation());
    expect(lines(story)).toEqual(["input.accepted b", "input.consumed b"]);
  });

  test("a run from start to end, each set-valued event told per input", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent());
    story.ingest("b", externalEvent(), { correlationId: "talk-1" });
    story.assign();
    expect(lines(story)).toEqual([
      "executor.lease_granted",
      "runtime.state_changed idle attached",
      "run.started",
      "input.staged a",
      "input.staged b",
      "runtime.state_changed attached running",
    ]);
    expect(envelopes(story).map((it) => it.index)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(envelopes(story)[4]).toMatchObject({ correlationId: "talk-1" });
    story.acknowledge();
    expect(lines(story)).toEqual(["run.acknowledged"]);
    story.ingest("s", prompt("s", "steer"));
    story.boundary(true);
    expect(lines(story)).toEqual([
      "run.boundary_committed",
      "input.applied a",
      "input.applied b",
      "input.staged s",
    ]);
    story.boundary();
    story.complete();
    expect(lines(story)).toEqual([
      "run.completed",
      "input.consumed a",
      "input.consumed b",
      "input.consumed s",
      "runtime.state_changed running attached",
      "executor.lease_released",
      "runtime.state_changed attached idle",
    ]);
  });

  test("a failed run: rolled back inputs are told as such, abandoned ones with the error", () => {
    const story = registeredStory({ attemptLimit: 2 });
    story.ingest("a", externalEvent());
    story.assign();
    story.fail();
    story.now += 1_000;
    story.ingest("b", peer("message"));
    story.assign();
    story.fail();
    expect(lines(story).slice(0, 3)).toEqual([
      "run.failed",
      "input.state_transitioned b",
      "input.abandoned a",
    ]);
    expect(envelopes(story)[2]?.event).toMatchObject({
      change: { reason: "max_attempts_exhausted", attempts: 2, detail: "model unavailable" },
    });
  });

  test("supersession and coalescing name the later input", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "k" });
    story.ingest("b", prompt("2"), { supersessionKey: "k" });
    expect(lines(story)).toEqual(["input.accepted b", "input.queued b", "input.superseded a"]);
    story.ingest("c", peer("response_progress"), { supersessionKey: "k" });
    story.ingest("d", peer("response_progress"), { supersessionKey: "k" });
    expect(envelopes(story)[2]?.event).toMatchObject({
      inputId: "c",
      change: { code: "coalesced", aggregateId: "d" },
    });
  });

  test("a stop in the middle of a run", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.ingest("b", prompt("b"));
    story.assign();
    story.do({ type: "stop", reason: "maintenance" }, "report");
    expect(lines(story)).toEqual([
      "executor.lease_fenced",
      "run.failed",
      "input.abandoned a",
      "runtime.state_changed running idle",
      "input.abandoned b",
      "topology.runtime_stopped",
      "runtime.state_changed idle stopped",
    ]);
    expect(envelopes(story)[0]?.event).toMatchObject({ executorId: "worker", generation: 2 });
    expect(envelopes(story)[5]?.event).toMatchObject({ reason: "maintenance" });
  });

  test("attach, interrupt, detach", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.attach();
    expect(lines(story)).toEqual(["executor.lease_granted", "runtime.state_changed idle attached"]);
    const { runId } = story.assign();
    story.do({ type: "interrupt_run", reason: "stop it" }, "interrupted");
    expect(envelopes(story)[0]).toMatchObject({
      eventCode: "executor.interrupt_requested",
      event: { runId, executorId: "worker", reason: "stop it" },
    });
    story.do({ type: "release_lease", ...executor("worker") }, "released");
    expect(lines(story)).toEqual([
      "run.returned",
      "input.state_transitioned a",
      "runtime.state_changed running attached",
      "executor.lease_released",
      "runtime.state_changed attached idle",
    ]);
  });

  test("the other changes of topology", () => {
    const story = registeredStory();
    const codes = [
      [{ type: "recycle" }, "topology.runtime_recycled"],
      [{ type: "recover", fenceExecutor: false }, "topology.runtime_recovered"],
      [{ type: "retire", abandonIfUnattached: false }, "topology.runtime_retired"],
      [{ type: "reset" }, "topology.runtime_reset"],
      [{ type: "unregister_runtime", fenceExecutor: false }, "topology.runtime_unregistered"],
    ] as const;
    for (const [command, code] of codes) {
      story.do(command, "report");
      expect(lines(story)[0]).toBe(code);
    }
    story.ensure();
    expect(lines(story)).toEqual(["topology.runtime_registered"]);
    story.ensure({ keepAlive: true });
    expect(lines(story)).toEqual(["topology.runtime_configured"]);
    story.do({ type: "destroy" }, "report");
    expect(lines(story)).toEqual([
      "topology.runtime_destroyed",
      "runtime.state_changed idle destroyed",
    ]);
  });
});

test("a published event keeps its own id, code and ties", () => {
  const story = registeredStory();
  story.do(
    {
      type: "publish_event",
      eventId: "event-1",
      eventCode: "deploy.done",
      payload: { version: 3 },
      causationId: "build-1",
      correlationId: "talk-1",
    },
    "published",
  );
  expect(envelopes(story)).toEqual([
    {
      eventId: "event-1",
      at: 1_000_000,
      runtimeId: "runtime-1",
      revision: 2,
      index: 0,
      eventCode: "deploy.done",
      event: { category: "published", payload: { version: 3 } },
      causationId: "build-1",
      correlationId: "talk-1",
      published: true,
    },
  ]);
});
