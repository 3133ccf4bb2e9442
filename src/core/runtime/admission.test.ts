import { describe, expect, test } from "vitest";
import type { Durability, InputBody, InputSource } from "./input.ts";
import {
  continuation,
  externalEvent,
  ingestCommand,
  operation,
  peer,
  prompt,
  registeredStory,
  Story,
} from "./testing/story.ts";

/** Why an ingest was rejected, with the state where that is the reason. */
function rejection(story: Story, name: string, body: InputBody, durability?: Durability): string {
  const outcome = story.ingest(name, body, durability === undefined ? {} : { durability });
  if (outcome.type !== "rejected") return outcome.type;
  const { reason } = outcome;
  return reason.type === "not_ready" ? `${reason.type} ${reason.state}` : reason.type;
}

describe("admission", () => {
  test("accept_prompt_idle_queues_and_wakes", () => {
    const story = registeredStory();
    const outcome = story.ingest("a", prompt("hello"));
    expect(outcome).toMatchObject({
      type: "accepted",
      header: { state: "queued", lane: "queue", policy: "1/prompt/idle", attempts: 0, ordinal: 1 },
    });
    expect([story.state.wake, story.queued()]).toEqual([true, ["a"]]);
  });

  test("accept_prompt_running_queues_and_wakes: queued, and no wake before the run ends", () => {
    const story = registeredStory();
    story.ingest("a", prompt("first"));
    story.assign();
    story.ingest("b", prompt("second"));
    expect([story.state.wake, story.queued()]).toEqual([false, ["b"]]);
    story.boundary();
    story.complete();
    expect(story.state.wake).toBe(true);
  });

  test("accept_peer_terminal_idle_wakes", () => {
    const story = registeredStory();
    story.ingest("a", peer("response_terminal"));
    expect(story.state.wake).toBe(true);
  });

  test("accept_peer_terminal_running_no_wake", () => {
    const story = registeredStory();
    story.ingest("a", prompt("first"));
    story.assign();
    story.ingest("b", peer("response_terminal"));
    expect(story.state.wake).toBe(false);
  });

  test("accept_progress_no_wake", () => {
    const story = registeredStory();
    story.ingest("a", peer("response_progress"));
    expect([story.state.wake, story.header("a").lane]).toEqual([false, "steer"]);
  });

  test("accept_continuation_idle_wakes_and_requests_processing", () => {
    const story = registeredStory();
    story.ingest("a", continuation(), { source: { type: "system" }, durability: "derived" });
    expect([story.state.wake, story.header("a").lane]).toEqual([true, "steer"]);
  });

  test("accept_input_without_wake_keeps_idle_runtime_idle", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { withoutWake: true });
    story.ingest("b", prompt("hello", "steer"), { withoutWake: true });
    expect([story.state.wake, story.queued()]).toEqual([false, ["b", "a"]]);
  });

  test("steer_is_request_immediate: what steers wakes also while a run is in flight", () => {
    const story = registeredStory();
    story.ingest("a", prompt("first"));
    story.assign();
    story.ingest("b", peer("message", "steer"));
    expect(story.state.wake).toBe(true);
  });

  test("queue_peer_message_while_running_stays_passive", () => {
    const story = registeredStory();
    story.ingest("a", prompt("first"));
    story.assign();
    story.ingest("b", peer("message", "queue"));
    story.ingest("c", peer("response_progress"));
    expect(story.state.wake).toBe(false);
  });

  test("an operation is consumed on accept: no lane, no wake, counted", () => {
    const story = registeredStory({ queueLimit: 1 });
    story.ingest("a", prompt("fills the queue"), { withoutWake: true });
    story.ingest("b", operation());
    const header = story.header("b");
    expect([header.state, header.lane, header.outcome]).toEqual([
      "consumed",
      undefined,
      { type: "consumed" },
    ]);
    expect(header.completedRevision).toBe(header.admittedRevision);
    expect(story.state.counts).toMatchObject({ accepted: 2, queued: 1, consumed: 1 });
    expect(story.state.wake).toBe(false);
  });
});

describe("duplicates (decision 1)", () => {
  test("dedup_by_idempotency", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { idempotencyKey: "k", bodyHash: "same" });
    const same = story.ingest("b", prompt("hello"), { idempotencyKey: "k", bodyHash: "same" });
    const other = story.ingest("c", prompt("bye"), { idempotencyKey: "k", bodyHash: "other" });
    expect(same).toEqual({
      type: "deduplicated",
      inputId: "b",
      existingId: "a",
      sameContent: true,
    });
    expect(other).toMatchObject({ type: "deduplicated", existingId: "a", sameContent: false });
    expect(story.state.counts.accepted).toBe(1);
  });

  test("the same input id without a key is a duplicate of itself", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"));
    const again = story.ingest("a", prompt("hello"));
    expect(again).toMatchObject({ type: "deduplicated", existingId: "a", sameContent: true });
  });

  test("a duplicate is recognised in every phase, before the phase is looked at", () => {
    for (const action of ["retire", "stop", "destroy"] as const) {
      const story = registeredStory();
      story.ingest("a", prompt("hello"), { idempotencyKey: "k" });
      story.do(
        action === "retire" ? { type: "retire", abandonIfUnattached: false } : { type: action },
        "report",
      );
      const again = story.ingest("b", prompt("hello"), { idempotencyKey: "k" });
      expect(again).toMatchObject({ type: "deduplicated", existingId: "a" });
    }
  });

  test("an invalid duplicate is a duplicate, not a rejection", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { idempotencyKey: "k" });
    const again = story.ingest("b", prompt("hello"), {
      idempotencyKey: "k",
      durability: "derived",
    });
    expect(again.type).toBe("deduplicated");
  });

  test("a rejected input claims no key", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { idempotencyKey: "k", durability: "derived" });
    expect(story.ingest("b", prompt("hello"), { idempotencyKey: "k" }).type).toBe("accepted");
  });

  test("a key leads to the same input after it was consumed, forgotten and reloaded", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { idempotencyKey: "k" });
    story.drain();
    story.forget();
    story.reload();
    expect(story.state.inputs.size).toBe(0);
    const byKey = story.ingest("b", prompt("hello"), { idempotencyKey: "k" });
    const byId = story.ingest("a", prompt("hello"));
    expect(byKey).toMatchObject({ type: "deduplicated", existingId: "a" });
    expect(byId).toMatchObject({ type: "deduplicated", existingId: "a", sameContent: true });
  });

  test("a fresh id made by the server is not looked up", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { inputIdIsFresh: true });
    expect(story.header("a").state).toBe("queued");
  });
});

describe("rejections are outcomes (decision 2)", () => {
  test("reject_derived_prompt", () => {
    const story = registeredStory();
    expect(rejection(story, "a", prompt("hello"), "derived")).toBe("durability_violation");
    expect(story.state.counts.accepted).toBe(0);
  });

  test("retired_rejects_input, stopped and destroyed too", () => {
    const cases = [
      [{ type: "retire", abandonIfUnattached: false }, "not_ready retired"],
      [{ type: "stop" }, "not_ready stopped"],
      [{ type: "destroy" }, "not_ready destroyed"],
    ] as const;
    for (const [command, expected] of cases) {
      const story = registeredStory();
      story.do(command, "report");
      expect(rejection(story, "a", prompt("hello"))).toBe(expected);
    }
  });

  test("retired_rejects_new_input_while_draining", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"));
    story.assign();
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    expect(rejection(story, "b", prompt("hello"))).toBe("not_ready retired");
  });

  const derived: readonly [string, InputBody, InputSource["type"], string][] = [
    ["prompt from the system", prompt("a"), "system", "durability_violation"],
    ["peer message", peer("message"), "system", "durability_violation"],
    ["peer request", peer("request"), "system", "durability_violation"],
    ["peer terminal", peer("response_terminal"), "system", "durability_violation"],
    ["peer progress", peer("response_progress"), "system", "accepted"],
    ["peer without convention", { type: "peer", body: "x" }, "system", "accepted"],
    ["external event from the system", externalEvent(), "system", "accepted"],
    ["continuation", continuation(), "flow", "accepted"],
    ["operation", operation(), "system", "accepted"],
    ["external event from outside", externalEvent(), "external", "durability_violation"],
    ["progress from a peer", peer("response_progress"), "peer", "durability_violation"],
    ["operation of the operator", operation(), "operator", "durability_violation"],
  ];
  const sources: Readonly<Record<InputSource["type"], InputSource>> = {
    operator: { type: "operator" },
    peer: { type: "peer", peerId: "peer-1" },
    flow: { type: "flow", flowId: "flow-1", stepIndex: 0 },
    system: { type: "system" },
    external: { type: "external", sourceName: "webhook" },
  };
  for (const [name, body, source, expected] of derived) {
    test(`derived ${name}: ${expected}`, () => {
      const traits = { durability: "derived", source: sources[source] } as const;
      const outcome = registeredStory().ingest("a", body, traits);
      expect(outcome.type === "rejected" ? outcome.reason.type : outcome.type).toBe(expected);
    });
  }

  test("a derived flow step is refused", () => {
    const body: InputBody = { type: "flow_step", stepId: "s", instructions: "do" };
    const traits = { durability: "derived", source: { type: "system" } } as const;
    expect(registeredStory().ingest("a", body, traits).type).toBe("rejected");
  });

  test("accept_peer_response_progress_with_handling_mode_returns_rejected", () => {
    for (const mode of ["queue", "steer"] as const) {
      const body = peer("response_progress", mode);
      expect(rejection(registeredStory(), "a", body)).toBe("peer_handling_mode_invalid");
    }
  });

  test("a handling mode is allowed on every other peer input", () => {
    const story = registeredStory();
    for (const convention of ["message", "request", "response_terminal"] as const) {
      for (const mode of ["queue", "steer"] as const) {
        const outcome = story.ingest(`${convention} ${mode}`, peer(convention, mode));
        expect(outcome).toMatchObject({ type: "accepted", header: { lane: mode } });
      }
    }
    const bare: InputBody = { type: "peer", body: "x", handlingMode: "steer" };
    expect(story.ingest("bare", bare)).toMatchObject({ header: { lane: "steer" } });
  });
});

describe("registration", () => {
  test("a runtime that nobody ensured is refused and stays unknown", () => {
    const story = new Story();
    const refusal = story.refused(ingestCommand("a", prompt("hello")), "RUNTIME_NOT_REGISTERED");
    expect(refusal.metadata).toEqual({ runtimeId: "runtime-1" });
    expect(story.state.registration).toBe("none");
  });

  test("an ingest with ensure registers the runtime in the same commit", () => {
    const story = new Story();
    const outcome = story.ingest("a", prompt("hello"), { ensure: true });
    expect(outcome.type).toBe("accepted");
    expect(story.lastEvents()).toEqual(["runtime_registered", "input_admitted"]);
    expect(story.state).toMatchObject({ registration: "registered", runtimeId: "runtime-1" });
  });

  test("a rejected ingest with ensure registers nothing", () => {
    const story = new Story();
    const outcome = story.ingest("a", prompt("hello"), { ensure: true, durability: "derived" });
    expect([outcome.type, story.state.registration]).toEqual(["rejected", "none"]);
  });

  test("an unregistered runtime refuses even duplicates", () => {
    const story = registeredStory();
    story.ingest("a", prompt("hello"), { idempotencyKey: "k" });
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    const again = ingestCommand("b", prompt("hello"), { idempotencyKey: "k" });
    const refusal = story.refused(again, "RUNTIME_NOT_REGISTERED");
    expect(refusal.metadata).toEqual({ runtimeId: "runtime-1" });
  });

  test("ensure is idempotent, patches the configuration and keeps the epoch", () => {
    const story = new Story();
    expect(story.ensure({ pool: "gpu" }).created).toBe(true);
    const { epochId } = story.state;
    expect(story.ensure({ pool: "gpu" }).created).toBe(false);
    expect(story.commits).toHaveLength(1);
    expect(story.ensure({ labels: { team: "a" } }).created).toBe(false);
    expect(story.state.config).toMatchObject({ pool: "gpu", labels: { team: "a" } });
    expect([story.lastEvents(), story.state.epochId]).toEqual([["runtime_configured"], epochId]);
  });

  test("an unregistered runtime comes back with its epoch and its inputs", () => {
    const story = registeredStory({ pool: "gpu" });
    story.ingest("a", prompt("hello"));
    const { epochId, createdAt } = story.state;
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    story.now += 1_000;
    expect(story.ensure().created).toBe(true);
    expect(story.state).toMatchObject({ epochId, createdAt, config: { pool: "gpu" } });
    expect(story.queued()).toEqual(["a"]);
  });
});

describe("the queue limit", () => {
  test("a full queue refuses, naming the limit, and changes nothing", () => {
    const story = registeredStory({ queueLimit: 2 });
    story.ingest("a", prompt("1"));
    story.ingest("b", prompt("2"));
    const before = story.state;
    const command = ingestCommand("c", prompt("3"), { idempotencyKey: "k" });
    const refusal = story.refused(command, "QUEUE_FULL");
    expect(refusal.metadata).toEqual({ queueLimit: "2", queued: "2" });
    expect(refusal.retryAfterMs).toBe(1_000);
    expect(story.state).toBe(before);
  });

  test("an input that replaces a queued one needs no room", () => {
    const story = registeredStory({ queueLimit: 1 });
    story.ingest("a", prompt("1"), { supersessionKey: "draft" });
    expect(story.ingest("b", prompt("2"), { supersessionKey: "draft" }).type).toBe("accepted");
    expect(story.queued()).toEqual(["b"]);
  });

  test("staged inputs do not fill the queue", () => {
    const story = registeredStory({ queueLimit: 1 });
    story.ingest("a", prompt("1"));
    story.assign();
    expect(story.ingest("b", prompt("2")).type).toBe("accepted");
  });
});
