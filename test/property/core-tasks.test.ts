import fc from "fast-check";
import { expect, test } from "vitest";
import type { ProcessCommand } from "../../src/core/process/commands.ts";
import { processFactsOf } from "../../src/core/process/facts-codec.ts";
import type { TaskControlName } from "../../src/core/process/task.ts";
import { taskDueAt, taskWorkOf } from "../../src/core/process/task-work.ts";
import {
  owner,
  PROCESS_ID,
  proofOf,
  registeredStory,
  type Story,
  success,
} from "../../src/core/process/testing/story.ts";
import { sessionIdOf } from "../../src/core/shared/ids.ts";

const RUNS = { numRuns: 600 };
const processId = PROCESS_ID;

const step = fc.record({
  kind: fc.constantFrom(
    "cancel" as const,
    "cancel" as const,
    "force" as const,
    "wish" as const,
    "abort" as const,
    "abort" as const,
    "settle" as const,
    "settle" as const,
    "drive" as const,
    "drive" as const,
    "report" as const,
    "complete" as const,
    "claim" as const,
    "lapse" as const,
    "transfer" as const,
    "hold" as const,
    "release" as const,
    "reload" as const,
    "forget" as const,
  ),
  number: fc.nat(7),
  flag: fc.boolean(),
  /** Time that passes before the step. */
  passesMs: fc.constantFrom(0, 0, 1, 500, 2_000, 10_000),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

const life = fc.record({
  cancelPolicy: fc.constantFrom(
    "cooperative" as const,
    "abort_local" as const,
    "external" as const,
  ),
  isOutside: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: "max" }),
});

type Life = typeof life extends fc.Arbitrary<infer Value> ? Value : never;

function storyOf({ cancelPolicy, isOutside }: Life): Story {
  return registeredStory({
    task: {
      taskId: "task-1",
      kind: "other",
      visibility: "managed",
      producer: "suite",
      sessionId: sessionIdOf("session-1"),
      cancelPolicy,
      closePolicy: "cancel",
      attempt: { attempt: 1 },
    },
    ...(isOutside
      ? { input: { type: "external", metadata: null }, disposition: "externally_owned" }
      : {}),
  });
}

/** What a replica does when the timer of the task is due; answers what was told. */
function drive(story: Story): TaskControlName | undefined {
  const work = taskWorkOf(story.state, story.now);
  const sessionId = story.state.task?.sessionId;
  if (work?.needsGrant === true && sessionId !== undefined) {
    story.do({ type: "hold", processId, sessionId, mark: 1 }, "hold");
  }
  if (work?.isAbortDue === true) {
    story.do({ type: "abort_task", processId }, "done");
    return undefined;
  }
  const control = work?.notice?.control;
  if (control === undefined) return undefined;
  const settled = story.do({ type: "settle_task_notice", processId, control }, "done");
  return settled.changed ? control : undefined;
}

function hold(story: Story, number: number): void {
  const sessionId = sessionIdOf(`session-${1 + (number % 3)}`);
  story.try({ type: "hold", processId, sessionId, mark: number });
}

function commandOf(story: Story, { kind, number, flag }: Step): ProcessCommand | undefined {
  const graceMs = number * 1_000;
  const reason = flag ? "enough" : null;
  const { lease } = story.state;
  switch (kind) {
    case "cancel":
      return { type: "cancel_task", processId, reason, graceMs };
    case "force":
      if (number > 0) return undefined;
      return { type: "cancel_task", processId, reason, graceMs, isForced: true };
    case "wish":
      return story.cancelCommand(reason);
    case "abort":
      return { type: "abort_task", processId };
    case "settle": {
      const control = flag ? "cancel" : "abort";
      return { type: "settle_task_notice", processId, control };
    }
    case "report":
      return { type: "report_task", processId, report: flag ? "running" : "waiting" };
    case "complete": {
      if (number > 1) return undefined;
      const by = lease ? proofOf(lease) : { type: "external_owner" as const, grantedTo: "s" };
      const command = story.completeCommand(success(number), by);
      return flag ? { ...command, isSettledByAnyEnd: true } : command;
    }
    case "claim":
      return story.claimCommand(owner("worker", 1 + (number % 2)));
    case "lapse":
      return lease ? { type: "lapse_lease", leaseToken: lease.leaseToken } : undefined;
    case "transfer":
      return {
        type: "transfer_task",
        processId,
        fromSessionId: sessionIdOf(`session-${1 + (number % 2)}`),
        sessionId: sessionIdOf(`session-${1 + (number % 3)}`),
      };
    case "release": {
      const sessionId = sessionIdOf(`session-${1 + (number % 3)}`);
      return { type: "release_hold", processId, sessionId, mark: number };
    }
    default:
      return undefined;
  }
}

/** What there is to judge of a life. */
interface Lived {
  readonly story: Story;
  readonly told: readonly TaskControlName[];
  /** States that the task was seen in after its end. */
  readonly ends: ReadonlySet<string>;
}

function live(lived: Life): Lived {
  const story = storyOf(lived);
  const told: TaskControlName[] = [];
  const ends = new Set<string>();
  for (const taken of lived.steps) {
    story.now += taken.passesMs;
    if (taken.kind === "drive") {
      const control = drive(story);
      if (control !== undefined) told.push(control);
    } else if (taken.kind === "hold") hold(story, taken.number);
    else if (taken.kind === "reload") story.reload();
    else if (taken.kind === "forget") story.forget();
    else {
      const command = commandOf(story, taken);
      const reply = command && story.try(command);
      const isTold = command?.type === "settle_task_notice" && reply && "changed" in reply;
      if (isTold && reply.type === "done" && reply.changed) told.push(command.control);
    }
    if (story.state.end !== null) ends.add(processFactsOf(story.state)?.task?.state ?? "");
  }
  return { story, told, ends };
}

test("T1: a task that ended stays as it ended, whatever is asked of it", () => {
  fc.assert(
    fc.property(life, (lived) => {
      const { story, ends } = live(lived);
      expect(ends.size).toBe(story.state.end === null ? 0 : 1);
      const terminal = story.commits.flatMap(({ events }) =>
        events.filter((event) => event.type === "process_event_appended" && event.terminal),
      );
      expect(terminal.length).toBe(story.state.end === null ? 0 : 1);
    }),
    RUNS,
  );
});

test("T2: a runner in the session is told of one wish and one abort, a worker of none", () => {
  fc.assert(
    fc.property(life, (lived) => {
      const { told } = live(lived);
      const possible = lived.isOutside ? ["", "cancel", "abort", "cancel,abort"] : [""];
      expect(possible).toContain(told.join());
    }),
    RUNS,
  );
});

test("T3: an abort comes once, after a wish, and not before the grace is over", () => {
  fc.assert(
    fc.property(life, (lived) => {
      const { story } = live(lived);
      const faults: string[] = [];
      let abortAt = Number.POSITIVE_INFINITY;
      let isWished = false;
      let aborts = 0;
      for (const { at, events } of story.commits) {
        for (const event of events) {
          if (event.type === "task_abort_scheduled") {
            if (event.abortAt >= abortAt) faults.push("the grace was made longer");
            abortAt = event.abortAt;
          }
          if (event.type !== "process_event_appended") continue;
          if (event.eventType === "process.cancel_requested") isWished = true;
          if (event.aborted !== true) continue;
          aborts += 1;
          if (!isWished || at < abortAt) faults.push(`aborted at ${at} instead of ${abortAt}`);
        }
      }
      expect([faults, aborts <= 1]).toEqual([[], true]);
    }),
    RUNS,
  );
});

test("what is open is done by the timers alone, and nothing is due afterwards", () => {
  fc.assert(
    fc.property(life, (lived) => {
      const { story } = live(lived);
      const { end, task } = story.state;
      const expected = end === null && task?.abortAt !== null ? "cancelled" : end?.status;
      for (let rounds = 0; rounds < 10; rounds += 1) {
        const dueAt = taskDueAt(story.state);
        if (dueAt === undefined) break;
        story.now = Math.max(story.now, dueAt);
        drive(story);
        story.reload();
      }
      expect(taskDueAt(story.state)).toBe(undefined);
      expect(taskWorkOf(story.state, story.now)).toBe(undefined);
      expect(story.state.end?.status).toBe(expected);
    }),
    RUNS,
  );
});
