import { describe, expect, test } from "vitest";
import { FoldError } from "../shared/fold-error.ts";
import type { InputKind } from "./input.ts";
import { handlingModeOf, kindOf, laneOfPolicy, policyOf, resolvePolicy } from "./policy.ts";
import { continuation, externalEvent, operation, peer, prompt } from "./testing/story.ts";

const TURN = "stage_run_start fifo on_run_complete queue_next_turn queue true";
const STEER = "stage_run_boundary fifo on_run_complete steer_batch steer true";

/** The columns of the kind table: everything but the wake mode, and the wake mode when idle. */
const KINDS: Readonly<Record<InputKind, readonly [string, string]>> = {
  prompt: [TURN, "wake_if_idle"],
  peer_message: [TURN, "wake_if_idle"],
  peer_request: [TURN, "wake_if_idle"],
  peer_response_terminal: [TURN, "wake_if_idle"],
  flow_step: [TURN, "wake_if_idle"],
  external_event: [TURN, "wake_if_idle"],
  peer_response_progress: [
    "stage_run_boundary coalesce on_run_complete steer_batch steer true",
    "none",
  ],
  continuation: ["stage_run_boundary fifo on_run_complete steer_batch steer false", "wake_if_idle"],
  operation: ["ignore priority on_accept ignore drop false", "none"],
};

function columns(reference: string): string {
  const { applyMode, queueMode, consumePoint, drainPolicy, routingDisposition, recordTranscript } =
    policyOf(reference);
  return [
    applyMode,
    queueMode,
    consumePoint,
    drainPolicy,
    routingDisposition,
    recordTranscript,
  ].join(" ");
}

describe("kind table", () => {
  for (const [kind, [expected, wakeWhenIdle]] of Object.entries(KINDS)) {
    test(`${kind} while idle and while running`, () => {
      const idle = resolvePolicy(kind as InputKind, undefined, "idle");
      const running = resolvePolicy(kind as InputKind, undefined, "running");
      expect(idle).toBe(`1/${kind}/idle`);
      expect(columns(idle)).toBe(expected);
      expect(columns(running)).toBe(expected);
      expect(policyOf(idle).wakeMode).toBe(wakeWhenIdle);
      expect(policyOf(running).wakeMode).toBe("none");
    });
  }
});

describe("handling mode override matrix", () => {
  const overridden = ["prompt", "peer_message", "peer_request", "external_event"] as const;
  for (const kind of overridden) {
    test(`${kind} follows the mode it carries`, () => {
      expect(columns(resolvePolicy(kind, "queue", "idle"))).toBe(TURN);
      expect(columns(resolvePolicy(kind, "steer", "idle"))).toBe(STEER);
    });
  }

  test("terminal honours both modes", () => {
    const queue = policyOf(resolvePolicy("peer_response_terminal", "queue", "running"));
    const steer = policyOf(resolvePolicy("peer_response_terminal", "steer", "running"));
    expect([queue.routingDisposition, steer.routingDisposition]).toEqual(["queue", "steer"]);
  });

  test("progress with a mode falls through to the row of its kind", () => {
    expect(resolvePolicy("peer_response_progress", "steer", "idle")).toBe(
      "1/peer_response_progress/idle",
    );
    expect(resolvePolicy("peer_response_progress", "queue", "idle")).toBe(
      "1/peer_response_progress/idle",
    );
  });

  test("a continuation is kept out of the transcript in both modes", () => {
    const queue = policyOf(resolvePolicy("continuation", "queue", "idle"));
    const steer = policyOf(resolvePolicy("continuation", "steer", "idle"));
    expect([queue.recordTranscript, queue.emitOperatorContent]).toEqual([false, false]);
    expect([steer.recordTranscript, steer.emitOperatorContent]).toEqual([false, false]);
    expect([queue.routingDisposition, steer.routingDisposition]).toEqual(["queue", "steer"]);
  });

  test("explicit modes wake an idle runtime and no running one", () => {
    for (const mode of ["queue", "steer"] as const) {
      expect(policyOf(resolvePolicy("prompt", mode, "idle")).wakeMode).toBe("wake_if_idle");
      expect(policyOf(resolvePolicy("prompt", mode, "running")).wakeMode).toBe("none");
    }
  });
});

test("content is shown to the operator exactly where it is recorded", () => {
  for (const kind of Object.keys(KINDS)) {
    const decision = policyOf(resolvePolicy(kind as InputKind, undefined, "idle"));
    expect(decision.emitOperatorContent).toBe(decision.recordTranscript);
    expect(decision.policyVersion).toBe(1);
  }
});

test("the kind of a peer input follows its convention; none means a message", () => {
  expect(kindOf({ type: "peer", body: "hello" })).toBe("peer_message");
  expect(kindOf(peer("message"))).toBe("peer_message");
  expect(kindOf(peer("request"))).toBe("peer_request");
  expect(kindOf(peer("response_progress"))).toBe("peer_response_progress");
  expect(kindOf(peer("response_terminal"))).toBe("peer_response_terminal");
});

test("the handling mode is read from where each kind carries it", () => {
  expect(handlingModeOf(prompt("a"))).toBeUndefined();
  expect(handlingModeOf(prompt("a", "steer"))).toBe("steer");
  expect(handlingModeOf(peer("message", "queue"))).toBe("queue");
  expect(handlingModeOf(externalEvent())).toBe("queue");
  expect(handlingModeOf(continuation("steer"))).toBe("steer");
  expect(handlingModeOf(operation())).toBeUndefined();
});

test("a lane belongs to everything but what is consumed on accept", () => {
  expect(laneOfPolicy(policyOf("1/operation/idle"))).toBeUndefined();
  expect(laneOfPolicy(policyOf("1/prompt/idle"))).toBe("queue");
  expect(laneOfPolicy(policyOf("1/peer_response_progress/running"))).toBe("steer");
});

test("an unknown reference is never guessed", () => {
  expect(() => policyOf("2/prompt/idle")).toThrow(FoldError);
});
