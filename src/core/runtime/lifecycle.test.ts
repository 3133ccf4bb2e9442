import { describe, expect, test } from "vitest";
import { epochIdOf, inputIdOf, runIdOf } from "../shared/ids.ts";
import type { LifecycleCommand } from "./lifecycle.ts";
import type { RuntimeCommand } from "./commands.ts";
import { STORIES_IN } from "./testing/situations.ts";
import { RUNTIME_ACTIONS, type Situation, situationOf, stateNameOf } from "./table.ts";
import {
  executor,
  externalEvent,
  ingestCommand,
  prompt,
  registerCommand,
  registeredStory,
  type Story,
} from "./testing/story.ts";

const RETIRE = { type: "retire", abandonIfUnattached: false } as const;

const ACTIONS: Readonly<Record<keyof typeof RUNTIME_ACTIONS, RuntimeCommand>> = {
  ensure_runtime: {
    type: "ensure_runtime",
    runtimeId: ingestCommand("x", prompt("x")).runtimeId,
    config: { keepAlive: true },
    defaults: ingestCommand("x", prompt("x")).defaults,
  },
  ingest: ingestCommand("new", prompt("new")),
  retire: RETIRE,
  reset: { type: "reset" },
  recycle: { type: "recycle" },
  recover: { type: "recover", fenceExecutor: false },
  stop: { type: "stop" },
  destroy: { type: "destroy" },
  unregister_runtime: { type: "unregister_runtime", fenceExecutor: false },
  cancel_inputs: {
    type: "cancel_inputs",
    selection: { type: "suffix", anchor: { inputId: inputIdOf("a") } },
  },
  set_silent_intents: { type: "set_silent_intents", intents: ["status"] },
  interrupt_run: { type: "interrupt_run" },
  publish_event: { type: "publish_event", eventId: "e", eventCode: "a.b", payload: null },
  register_operation: registerCommand("operation-1"),
  grant_lease: { type: "grant_lease", ...executor("worker"), ttlMs: 30_000 },
};

/** Decision 3 and its later rows, once more: `to` after the action, or what stands against it. */
const DECIDED: Readonly<Record<keyof typeof RUNTIME_ACTIONS, readonly string[]>> = {
  ensure_runtime: [
    "idle",
    "attached",
    "running",
    "retired",
    "draining",
    "stopped",
    "RUNTIME_DESTROYED",
  ],
  ingest: ["idle", "attached", "running", "rejected", "rejected", "rejected", "rejected"],
  retire: [
    "retired",
    "retired",
    "draining",
    "no commit",
    "no commit",
    "INVALID_STATE",
    "RUNTIME_DESTROYED",
  ],
  reset: [
    "idle",
    "attached",
    "RUN_IN_FLIGHT",
    "idle",
    "RUN_IN_FLIGHT",
    "idle",
    "RUNTIME_DESTROYED",
  ],
  recycle: [
    "idle",
    "attached",
    "RUN_IN_FLIGHT",
    "idle",
    "RUN_IN_FLIGHT",
    "INVALID_STATE",
    "RUNTIME_DESTROYED",
  ],
  recover: [
    "idle",
    "attached",
    "RUN_IN_FLIGHT",
    "retired",
    "RUN_IN_FLIGHT",
    "INVALID_STATE",
    "RUNTIME_DESTROYED",
  ],
  stop: ["stopped", "stopped", "stopped", "stopped", "stopped", "no commit", "RUNTIME_DESTROYED"],
  destroy: [
    "destroyed",
    "destroyed",
    "destroyed",
    "destroyed",
    "destroyed",
    "destroyed",
    "RUNTIME_DESTROYED",
  ],
  unregister_runtime: [
    "unregistered",
    "unregistered",
    "RUN_IN_FLIGHT",
    "unregistered",
    "RUN_IN_FLIGHT",
    "unregistered",
    "no commit",
  ],
  cancel_inputs: ["idle", "attached", "running", "retired", "draining", "no commit", "no commit"],
  set_silent_intents: [
    "idle",
    "attached",
    "running",
    "retired",
    "draining",
    "stopped",
    "RUNTIME_DESTROYED",
  ],
  interrupt_run: [
    "NO_CURRENT_RUN",
    "NO_CURRENT_RUN",
    "running",
    "NO_CURRENT_RUN",
    "draining",
    "NO_CURRENT_RUN",
    "RUNTIME_DESTROYED",
  ],
  publish_event: [
    "idle",
    "attached",
    "running",
    "retired",
    "draining",
    "stopped",
    "RUNTIME_DESTROYED",
  ],
  register_operation: [
    "idle",
    "attached",
    "running",
    "retired",
    "draining",
    "INVALID_STATE",
    "RUNTIME_DESTROYED",
  ],
  grant_lease: [
    "attached",
    "no commit",
    "running",
    "retired",
    "draining",
    "INVALID_STATE",
    "RUNTIME_DESTROYED",
  ],
};

/** What a command does to a story, in the words of the table above. */
function effect(story: Story, command: RuntimeCommand): string {
  const count = story.commits.length;
  const reply = story.try(command);
  if ("reason" in reply) return reply.reason;
  if (reply.type === "ingested" && reply.outcome.type === "rejected") return "rejected";
  if (story.commits.length === count) return "no commit";
  return story.state.registration === "unregistered" ? "unregistered" : situationOf(story.state);
}

describe("the table of actions (decision 3)", () => {
  const situations = Object.keys(STORIES_IN) as Situation[];
  for (const [action, expected] of Object.entries(DECIDED)) {
    for (const [column, situation] of situations.entries()) {
      const result = expected[column] ?? "";
      test(`${action} while ${situation}: ${result}`, () => {
        const story = STORIES_IN[situation]();
        expect(situationOf(story.state)).toBe(situation);
        const before = story.state;
        const name = action as keyof typeof RUNTIME_ACTIONS;
        expect(effect(story, ACTIONS[name])).toBe(result);
        const isRefused = /^[A-Z_]+$/.test(result);
        const isUnchanged = isRefused || result === "no commit" || result === "rejected";
        expect(story.state === before).toBe(isUnchanged);
        const { verdict } = RUNTIME_ACTIONS[name][situation];
        const says: string = verdict === "fence_on_request" ? "RUN_IN_FLIGHT" : verdict;
        expect(/^[A-Z_]+$/.test(says) ? says : "").toBe(isRefused ? result : "");
      });
    }
  }

  test("with a fence, recover and unregister work while a run is in flight", () => {
    for (const [situation, recovered] of [
      ["running", "idle"],
      ["draining", "retired"],
    ] as const) {
      const recover = { type: "recover", fenceExecutor: true } as const;
      expect(effect(STORIES_IN[situation](), recover)).toBe(recovered);
      const unregister = { type: "unregister_runtime", fenceExecutor: true } as const;
      expect(effect(STORIES_IN[situation](), unregister)).toBe("unregistered");
    }
  });

  test("an unregistered runtime refuses every action but ensure", () => {
    for (const [name, command] of Object.entries(ACTIONS)) {
      const story = STORIES_IN.idle();
      story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
      const expected = name === "ensure_runtime" ? "idle" : "RUNTIME_NOT_REGISTERED";
      expect([name, effect(story, command)]).toEqual([name, expected]);
    }
  });
});

describe("epochs (decision 4)", () => {
  test("reset and recover rotate the epoch, everything else keeps it", () => {
    const rotates: Readonly<Record<string, boolean>> = {
      retire: false,
      recycle: false,
      stop: false,
      destroy: false,
      unregister_runtime: false,
      reset: true,
      recover: true,
    };
    for (const [name, isRotated] of Object.entries(rotates)) {
      const story = STORIES_IN.idle();
      const { epochId } = story.state;
      story.do(ACTIONS[name as keyof typeof ACTIONS], "report");
      expect([name, story.state.epochId !== epochId]).toEqual([name, isRotated]);
    }
  });
});

describe("retire", () => {
  test("retire_preserves_queued_for_drain", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.ingest("b", prompt("b"));
    const report = story.do(RETIRE, "report");
    expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 2 });
    expect(story.queued()).toEqual(["a", "b"]);
  });

  test("retire_without_runtime_loop_abandons_waited_work, on request (decision 5)", () => {
    const story = STORIES_IN.idle();
    const report = story.do({ type: "retire", abandonIfUnattached: true }, "report");
    expect(report).toMatchObject({ inputsAbandoned: 1, inputsPendingDrain: 0 });
    expect(story.header("a").outcome).toMatchObject({ type: "abandoned", reason: "retired" });
  });

  test("with an executor attached nothing is abandoned, whatever the request says", () => {
    const story = STORIES_IN.attached();
    const report = story.do({ type: "retire", abandonIfUnattached: true }, "report");
    expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 1 });
  });

  test("again answers what is still pending and changes nothing", () => {
    const story = STORIES_IN.draining();
    const before = story.state;
    expect(story.do(RETIRE, "report")).toMatchObject({ inputsPendingDrain: 2 });
    expect(story.state).toBe(before);
  });

  test("retired_can_drain_queue_via_run_cycle", () => {
    const story = STORIES_IN.retired();
    story.drain();
    expect([stateNameOf(story.state), story.header("a").state]).toEqual(["retired", "consumed"]);
  });

  test("retire during run then complete, fail or cancel stays retired", () => {
    for (const end of ["complete", "fail", "cancel"] as const) {
      const story = STORIES_IN.draining();
      if (end === "complete") {
        story.boundary();
        story.complete();
      } else if (end === "fail") story.fail();
      else story.cancel(false);
      expect(situationOf(story.state)).toBe("retired");
    }
  });
});

describe("reset", () => {
  test("reset_abandons_and_drains", () => {
    const story = STORIES_IN.idle();
    expect(story.do({ type: "reset" }, "report").inputsAbandoned).toBe(1);
    expect(story.header("a").outcome).toMatchObject({ type: "abandoned", reason: "reset" });
    expect([story.queued(), story.state.wake]).toEqual([[], false]);
  });

  test("reset_after_retire_returns_runtime_to_idle", () => {
    const story = STORIES_IN.retired();
    story.do({ type: "reset" }, "report");
    expect(story.ingest("b", prompt("b")).type).toBe("accepted");
  });

  test("reset_rejected_while_running, naming the run", () => {
    const story = STORIES_IN.running();
    const refusal = story.refused({ type: "reset" }, "RUN_IN_FLIGHT");
    expect(refusal.metadata).toMatchObject({ runId: story.run().runId, generation: "1" });
  });

  test("reset from attached keeps the lease and its generation", () => {
    const story = STORIES_IN.attached();
    story.do({ type: "reset" }, "report");
    expect(story.state.lease?.generation).toBe(1);
  });
});

describe("recycle", () => {
  test("recycle_preserves_queued_work: order kept, backlog counted", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.ingest("b", prompt("b"));
    expect(story.do({ type: "recycle" }, "report").inputsTransferred).toBe(2);
    expect([story.queued(), stateNameOf(story.state)]).toEqual([["a", "b"], "idle"]);
  });

  test("recycle reopens a retired runtime", () => {
    const story = STORIES_IN.retired();
    story.do({ type: "recycle" }, "report");
    expect(story.ingest("b", prompt("b")).type).toBe("accepted");
  });
});

describe("recover", () => {
  test("recovery_counts_queued_as_recovered", () => {
    const report = STORIES_IN.idle().do({ type: "recover", fenceExecutor: false }, "report");
    expect(report).toMatchObject({ inputsRecovered: 1, inputsRequeued: 0, inputsAbandoned: 0 });
  });

  test("with a fence the staged inputs are queued again, in order and due at once", () => {
    const story = registeredStory();
    for (const name of ["a", "b", "c"]) story.ingest(name, externalEvent());
    story.assign("worker", 2);
    story.acknowledge();
    const report = story.do({ type: "recover", fenceExecutor: true }, "report");
    expect(report).toMatchObject({ inputsRecovered: 3, inputsRequeued: 2, inputsAbandoned: 0 });
    expect(story.queued()).toEqual(["a", "b", "c"]);
    expect(story.header("a")).toMatchObject({ attempts: 1, notBefore: 0 });
    expect(story.lastEvents()).toEqual(["lease_fenced", "run_failed", "runtime_recovered"]);
    expect([story.state.generation, story.state.wake]).toEqual([2, true]);
  });

  test("recover_consumes_committed_applied_pending_inputs", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.boundary();
    const report = story.do({ type: "recover", fenceExecutor: true }, "report");
    expect(report).toMatchObject({ inputsRecovered: 0, inputsRequeued: 0 });
    expect(story.header("a").state).toBe("consumed");
  });

  test("the attempt budget holds for what recover takes back", () => {
    const story = registeredStory({ attemptLimit: 1 });
    story.ingest("a", prompt("a"));
    story.assign();
    story.acknowledge();
    const report = story.do({ type: "recover", fenceExecutor: true }, "report");
    expect(report).toMatchObject({ inputsAbandoned: 1, inputsRecovered: 0, inputsRequeued: 0 });
  });
});

describe("stop and destroy", () => {
  test("stop_abandons_all_active_inputs, after cutting off the executor", () => {
    const story = STORIES_IN.running();
    const stale = story.completeCommand();
    expect(story.do({ type: "stop" }, "report").inputsAbandoned).toBe(2);
    expect(story.lastEvents()).toEqual([
      "lease_fenced",
      "run_failed",
      "queue_abandoned",
      "runtime_stopped",
    ]);
    expect([story.header("a").outcome, story.header("b").outcome]).toEqual([
      { type: "abandoned", reason: "stopped", attempts: 1 },
      { type: "abandoned", reason: "stopped", attempts: 0 },
    ]);
    story.refused(stale, "LEASE_LOST");
  });

  test("destroy_with_queued_inputs_abandons_all", () => {
    const story = STORIES_IN.idle();
    expect(story.do({ type: "destroy" }, "report").inputsAbandoned).toBe(1);
    expect(story.header("a").outcome).toMatchObject({ type: "abandoned", reason: "destroyed" });
  });

  test("destroy_transitions_to_terminal, also from retired and stopped", () => {
    for (const situation of ["idle", "retired", "stopped"] as const) {
      const story = STORIES_IN[situation]();
      story.do({ type: "destroy" }, "report");
      expect(stateNameOf(story.state)).toBe("destroyed");
      story.refused({ type: "destroy" }, "RUNTIME_DESTROYED");
    }
  });

  test("a staged input under a receipt is consumed, not abandoned", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.boundary();
    expect(story.do({ type: "stop" }, "report").inputsAbandoned).toBe(0);
    expect(story.header("a").state).toBe("consumed");
  });

  test("an attached executor is fenced also without a run", () => {
    const story = STORIES_IN.attached();
    story.do({ type: "stop" }, "report");
    expect([story.state.lease, story.state.generation]).toEqual([null, 2]);
  });
});

describe("unregister", () => {
  test("detaches the executor and keeps inputs, keys and history", () => {
    const story = STORIES_IN.attached();
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    expect(story.lastEvents()).toEqual(["lease_released", "runtime_unregistered"]);
    expect([story.state.lease, story.queued()]).toEqual([null, ["a"]]);
  });

  test("with a fence the run goes back to the queue first", () => {
    const story = STORIES_IN.running();
    story.do({ type: "unregister_runtime", fenceExecutor: true }, "report");
    expect(story.queued()).toEqual(["a", "b"]);
    story.ensure();
    expect(story.assign("other").generation).toBe(3);
  });
});

describe("interrupt (decision 12)", () => {
  test("is recorded once and ends nothing by itself", () => {
    const story = STORIES_IN.running();
    const { runId } = story.run();
    expect(story.do({ type: "interrupt_run" }, "interrupted").runId).toBe(runId);
    expect(story.run().interruptedAt).toBe(story.now);
    const before = story.state;
    story.do({ type: "interrupt_run", runId }, "interrupted");
    expect(story.state).toBe(before);
    story.refused({ type: "interrupt_run", runId: runIdOf("other") }, "RUN_NOT_FOUND");
    story.boundary();
    story.complete();
    expect(story.header("a").state).toBe("consumed");
  });
});

describe("preconditions", () => {
  const actions: readonly LifecycleCommand[] = [
    { type: "reset" },
    { type: "stop" },
    { type: "recover", fenceExecutor: true },
  ];
  for (const action of actions) {
    test(`${action.type} of another state or epoch is refused with the actual one`, () => {
      const story = STORIES_IN.idle();
      const { epochId } = story.state;
      const state = story.refused({ ...action, expectedState: "running" }, "STATE_MISMATCH");
      expect(state.metadata).toEqual({ expectedState: "running", state: "idle" });
      const other = epochIdOf("other");
      const epoch = story.refused({ ...action, expectedEpochId: other }, "EPOCH_MISMATCH");
      expect(epoch.metadata).toEqual({ expectedEpochId: "other", epochId });
      story.do({ ...action, expectedState: "idle", expectedEpochId: epochId }, "report");
    });
  }
});

describe("publish", () => {
  const event = { type: "publish_event", eventId: "event-1", payload: { a: 1 } } as const;

  test("keeps the envelope and leaves the state alone", () => {
    const story = STORIES_IN.idle();
    const before = story.state;
    const reply = story.do({ ...event, eventCode: "deploy.done" }, "published");
    expect([reply.eventId, story.state]).toEqual(["event-1", before]);
  });

  test("refuses the server's own codes", () => {
    for (const eventCode of ["input.queued", "run.x", "runtime.y", "topology.z", "executor.w"]) {
      const refusal = STORIES_IN.idle().refused({ ...event, eventCode }, "EVENT_CODE_RESERVED");
      expect(refusal.metadata).toEqual({ eventCode });
    }
  });
});
