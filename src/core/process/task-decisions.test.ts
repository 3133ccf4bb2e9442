import { describe, expect, test } from "vitest";
import { processIdOf, sessionIdOf } from "../shared/ids.ts";
import { processFactsOf } from "./facts-codec.ts";
import type { TaskRegistration } from "./task.ts";
import { sessionsRunning, taskDueAt, taskWorkOf } from "./task-work.ts";
import { PROCESS_ID, registeredStory, type Story, success } from "./testing/story.ts";

const processId = PROCESS_ID;
const task: TaskRegistration = {
  taskId: "task-1",
  kind: "subagent",
  visibility: "managed",
  producer: "planner",
  sessionId: sessionIdOf("session-1"),
  cancelPolicy: "cooperative",
  closePolicy: "cancel",
  attempt: { attempt: 1 },
};
const ABORT = { type: "abort_task", processId } as const;

function cancel(graceMs: number, reason: string | null = "no more", isForced?: true) {
  const forced = isForced === undefined ? {} : { isForced };
  return { type: "cancel_task", processId, reason, graceMs, ...forced } as const;
}

function settle(control: "cancel" | "abort") {
  return { type: "settle_task_notice", processId, control } as const;
}

function hold(story: Story, sessionId: string, mark = 1): void {
  story.do({ type: "hold", processId, sessionId: sessionIdOf(sessionId), mark }, "hold");
}

/** A task that is run in its session, where its session has the grant. */
function sessionStory(changes: Partial<TaskRegistration> = {}): Story {
  const story = registeredStory({
    task: { ...task, ...changes },
    input: { type: "external", metadata: null },
    disposition: "externally_owned",
  });
  hold(story, "session-1");
  return story;
}

function noticeOf(story: Story) {
  return story.state.task?.notice?.control;
}

describe("a task", () => {
  const report = { type: "report_task", processId, report: "running" } as const;
  const stateOf = (story: Story) => processFactsOf(story.state)?.task?.state;

  test("is pending, then what is reported, then asked to cancel, then as the process ends", () => {
    const story = registeredStory({ task });
    const states = [stateOf(story)];
    story.do(report, "done");
    states.push(stateOf(story));
    story.do({ ...report, report: "waiting" }, "done");
    states.push(stateOf(story));
    story.do(story.cancelCommand(null), "appended");
    states.push(stateOf(story));
    story.do(story.completeCommand(success(1), story.claim()), "appended");
    states.push(stateOf(story));
    expect(states).toEqual(["pending", "running", "waiting", "cancel_requested", "completed"]);
    expect(story.do(report, "done").changed).toBe(false);
  });

  test("that is external runs from the beginning", () => {
    expect(stateOf(registeredStory({ task: { ...task, visibility: "external" } }))).toBe("running");
  });

  test("shows the session that it was transferred to", () => {
    const story = registeredStory({ task });
    const transfer = {
      type: "transfer_task",
      processId,
      fromSessionId: sessionIdOf("session-1"),
      sessionId: sessionIdOf("session-2"),
    } as const;
    expect(story.do(transfer, "done").changed).toBe(true);
    expect(story.do(transfer, "done").changed).toBe(false);
    expect(processFactsOf(story.state)?.task?.sessionId).toBe("session-2");
    hold(story, "session-2");
    const late = { ...transfer, sessionId: sessionIdOf("session-3") };
    expect(story.do(late, "done").changed).toBe(false);
  });

  test("is a process with a facet: others refuse", () => {
    expect(registeredStory().met(report)).toBe("NOT_A_TASK");
  });
});

describe("a task that is to be cancelled", () => {
  test("T2: its runner is told of the first wish only", () => {
    const story = sessionStory();
    story.do(cancel(10_000, "first"), "done");
    expect(story.lastEvents()).toEqual(["process_event_appended", "task_abort_scheduled"]);
    expect(noticeOf(story)).toBe("cancel");
    expect(story.do(settle("cancel"), "done").changed).toBe(true);
    expect(story.do(settle("cancel"), "done").changed).toBe(false);
    expect(story.do(cancel(10_000, "second"), "done").changed).toBe(false);
    story.do(story.cancelCommand("third"), "appended");
    expect([noticeOf(story), story.state.cancelRequest?.reason]).toEqual([undefined, "first"]);
  });

  test("a wish of the registry is told, too, and sets no time", () => {
    const story = sessionStory();
    story.do(story.cancelCommand("by hand"), "appended");
    expect([noticeOf(story), story.state.task?.abortAt]).toEqual(["cancel", null]);
    story.do(cancel(5_000), "done");
    expect(story.lastEvents()).toEqual(["task_abort_scheduled"]);
  });

  test("T3: is aborted when the grace is over, not before, and once", () => {
    const story = sessionStory();
    expect(story.do(ABORT, "done").changed).toBe(false);
    story.do(cancel(10_000), "done");
    expect(taskDueAt(story.state)).toBe(story.now + 3_000);
    story.do(settle("cancel"), "done");
    expect(taskDueAt(story.state)).toBe(story.now + 10_000);
    story.now += 9_999;
    expect(taskWorkOf(story.state, story.now)).toBe(undefined);
    expect(story.do(ABORT, "done").changed).toBe(false);
    story.now += 1;
    expect(taskWorkOf(story.state, story.now)).toMatchObject({ isAbortDue: true });
    expect(story.do(ABORT, "done").changed).toBe(true);
    expect([story.state.end?.status, noticeOf(story)]).toEqual(["cancelled", "abort"]);
    expect(story.do(ABORT, "done").changed).toBe(false);
    story.do(settle("abort"), "done");
    expect(taskDueAt(story.state)).toBe(undefined);
  });

  test("an earlier end of the grace counts, a later one does not", () => {
    const story = sessionStory();
    story.do(cancel(10_000), "done");
    const first = story.state.task?.abortAt;
    expect(story.do(cancel(20_000), "done").changed).toBe(false);
    story.do(cancel(1_000), "done");
    expect([first, story.state.task?.abortAt]).toEqual([story.now + 10_000, story.now + 1_000]);
  });

  test("is aborted at once, or never, as its policy says", () => {
    const local = sessionStory({ cancelPolicy: "abort_local" });
    local.do(cancel(10_000), "done");
    expect(local.state.task?.abortAt).toBe(local.now);
    const outside = sessionStory({ cancelPolicy: "external" });
    outside.do(cancel(0), "done");
    expect([outside.state.task?.abortAt, noticeOf(outside)]).toEqual([null, "cancel"]);
    outside.do(cancel(0, null, true), "done");
    expect(outside.state.task?.abortAt).toBe(outside.now);
  });

  test("T1: one that ended stays as it ended", () => {
    const story = sessionStory();
    story.do(cancel(0), "done");
    const by = { type: "external_owner", grantedTo: "session" } as const;
    story.do(story.completeCommand(success(1), by), "appended");
    expect([noticeOf(story), story.state.task?.abortAt]).toEqual([undefined, null]);
    expect(story.do(ABORT, "done").changed).toBe(false);
    expect(story.do(cancel(0, "late"), "done").changed).toBe(false);
    const other = story.completeCommand({ type: "cancelled", message: "" }, by);
    expect(story.met(other)).toBe("PROCESS_TERMINAL");
    const settled = story.do({ ...other, isSettledByAnyEnd: true }, "appended");
    expect([settled.replayed, settled.place.sequence]).toEqual([true, 2]);
    expect(story.state.end?.status).toBe("completed");
  });

  test("a worker loses its lease with the abort and is told by its events", () => {
    const story = registeredStory({ task });
    const lease = story.claim();
    story.do(cancel(0), "done");
    expect(noticeOf(story)).toBe(undefined);
    story.do(ABORT, "done");
    expect([story.state.lease, noticeOf(story)]).toEqual([null, undefined]);
    expect(story.met(story.completeCommand(success(1), lease))).toBe("PROCESS_TERMINAL");
  });

  test("others refuse, and nobody wishes anything of what is not there", () => {
    const story = registeredStory();
    expect(story.met(cancel(0))).toBe("NOT_A_TASK");
    expect(story.do(ABORT, "done").changed).toBe(false);
    expect(story.do(settle("cancel"), "done").changed).toBe(false);
  });

  test("a wish whose key an event of the process has is refused", () => {
    const story = registeredStory({ task });
    const replayKey = `process:${processIdOf(PROCESS_ID)}:cancel_requested:mine`;
    story.append("progress", 1, { replayKey });
    expect(story.met(cancel(0, "mine"))).toBe("REPLAY_KEY_CONFLICT");
  });
});

describe("what is left to be done", () => {
  test("the grant of its session, until there ever was one", () => {
    const story = registeredStory({ task });
    expect(taskWorkOf(story.state, story.now)).toMatchObject({ needsGrant: true });
    expect(taskDueAt(story.state)).toBe(story.state.createdAt + 3_000);
    hold(story, "session-1");
    expect(taskWorkOf(story.state, story.now)).toBe(undefined);
    const gone = { sessionId: sessionIdOf("session-1"), mark: 1 };
    story.do({ type: "release_hold", processId, ...gone }, "hold");
    expect(taskWorkOf(story.state, story.now)).toBe(undefined);
  });

  test("is told where the task is looked after, or wherever it may be meanwhile", () => {
    const story = sessionStory();
    hold(story, "session-2");
    expect(sessionsRunning(story.state)).toEqual(["session-1"]);
    story.do(
      { type: "release_hold", processId, sessionId: sessionIdOf("session-1"), mark: 1 },
      "hold",
    );
    expect(sessionsRunning(story.state)).toEqual(["session-2"]);
    const [fromSessionId, sessionId] = [sessionIdOf("session-2"), sessionIdOf("session-3")];
    story.do({ type: "transfer_task", processId, fromSessionId, sessionId }, "done");
    hold(story, "session-3");
    expect(sessionsRunning(story.state)).toEqual(["session-3"]);
  });
});
