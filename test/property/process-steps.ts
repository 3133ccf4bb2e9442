/**
 * Random lives of a process: steps are drawn without knowing the state and become commands when
 * they are taken, so that most of them make sense and some never do.
 */
import fc from "fast-check";
import type { LeaseProof, ProcessCommand, ProcessReply } from "../../src/core/process/commands.ts";
import type { DescribedProcess } from "../../src/core/process/core-types.ts";
import type { TaskRegistration } from "../../src/core/process/task.ts";
import {
  declared,
  owner,
  PROCESS_ID,
  proofOf,
  type Story,
  success,
} from "../../src/core/process/testing/story.ts";
import { inputIdOf, leaseTokenOf, runtimeIdOf, sessionIdOf } from "../../src/core/shared/ids.ts";
import type { Refusal } from "../../src/core/shared/refusal.ts";

const WAKE = { input: { type: "payload" }, dedupe: { type: "event_identity" } } as const;

/** Types of the process of a life: plain, waking, ending, and both at once. */
const TYPES = [
  declared("progress"),
  declared("woke", { wake: WAKE }),
  declared("finished", { terminal: { status: "completed" } }),
  declared("last", { terminal: { status: "completed" }, wake: WAKE }),
];

const step = fc.record({
  kind: fc.constantFrom(
    "append" as const,
    "append" as const,
    "append" as const,
    "append" as const,
    "finish" as const,
    "cancel" as const,
    "complete" as const,
    "fail" as const,
    "claim" as const,
    "claim" as const,
    "release" as const,
    "lapse" as const,
    "wait" as const,
    "abandon" as const,
    "reconcile" as const,
    "recover" as const,
    "hold" as const,
    "hold" as const,
    "release_hold" as const,
    "release_hold" as const,
    "ack" as const,
    "settle" as const,
    "settle" as const,
    "defer" as const,
    "register" as const,
    "pass" as const,
    "prune" as const,
    "affirm" as const,
    "cancel_task" as const,
    "abort_task" as const,
    "report" as const,
    "notice" as const,
    "transfer" as const,
  ),
  number: fc.nat(7),
  name: fc.constantFrom("first", "second"),
  flag: fc.boolean(),
  /** Mostly the present hold, sometimes one of the past. */
  isStale: fc.integer({ min: 0, max: 7 }).map((number) => number === 0),
});

/** One step of a life. */
export type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** A life: what it is, and a few dozen steps. */
export const life = fc.record({
  disposition: fc.constantFrom(
    "rerunnable" as const,
    "owner_bound" as const,
    "externally_owned" as const,
  ),
  /** Whether the process is a background task of session `first`. */
  isTask: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: 80, size: "max" }),
});

/** One life. */
export type Life = typeof life extends fc.Arbitrary<infer Value> ? Value : never;

/** What the process of a life is registered as. */
export function traitsOf({ disposition, isTask }: Omit<Life, "steps">): Partial<DescribedProcess> {
  const task: TaskRegistration = {
    taskId: "task-1",
    kind: "other",
    visibility: "managed",
    producer: "suite",
    sessionId: sessionIdOf("first"),
    cancelPolicy: "cooperative",
    closePolicy: "cancel",
    attempt: { attempt: 1 },
  };
  return { disposition, eventTypes: TYPES, ...(isTask ? { task } : {}) };
}

/** What a life remembers besides the process. */
export interface Walk {
  readonly story: Story;
  past: LeaseProof;
}

/** A walk at its beginning. */
export function startWalk(story: Story): Walk {
  return { story, past: { leaseToken: leaseTokenOf("unknown"), generation: 0 } };
}

function leaseOf(walk: Walk, isStale: boolean): LeaseProof {
  const { lease } = walk.story.state;
  return lease === null || isStale ? walk.past : proofOf(lease);
}

function appendCommand(walk: Walk, { kind, number, flag, isStale }: Step): ProcessCommand {
  const { story } = walk;
  const eventType = (kind === "finish" ? ["finished", "last"] : ["progress", "woke"])[number % 2];
  const isFenced = kind === "finish" || flag;
  return story.appendCommand(eventType ?? "progress", number % 4, {
    ...(kind === "finish" || flag ? { replayKey: `key-${number}` } : {}),
    ...(isFenced && story.state.generation > 0 ? { lease: leaseOf(walk, isStale) } : {}),
    wakeRuntimeId: runtimeIdOf(`session-${number % 2}`),
  });
}

function leaseCommand(walk: Walk, taken: Step): ProcessCommand {
  const { story } = walk;
  const { kind, number, name, isStale } = taken;
  const lease = leaseOf(walk, isStale);
  const failure = { type: "failure", class: "a", code: "b", message: `${number % 2}` } as const;
  switch (kind) {
    case "claim": {
      const claim = story.claimCommand(owner(name, 1 + (number % 2)), 1_000 * (1 + (number % 2)));
      return { ...claim, isForAnyWork: taken.flag };
    }
    case "release":
      return story.releaseCommand(lease);
    case "lapse":
      return { type: "lapse_lease", leaseToken: lease.leaseToken };
    case "fail":
      return story.completeCommand(failure, { type: "external_owner", grantedTo: name });
    case "reconcile":
      return story.completeCommand(
        { type: "abandoned", writer: "reconciled_request" },
        { type: "reconciled_abandon" },
      );
    default:
      return story.completeCommand(success(number % 2), lease);
  }
}

function wakeCommand({ kind, number, flag }: Step, story: Story): ProcessCommand {
  const sequence = 1 + number;
  const processId = PROCESS_ID;
  if (kind === "ack") return { type: "ack_wake", processId, sequence };
  if (kind === "defer") {
    const attempts = story.state.outbox.get(sequence)?.attempts ?? 0;
    return { type: "defer_wake", sequence, attempts, cause: "queue_full" };
  }
  const settlement = flag
    ? ({ type: "delivered", inputId: inputIdOf(`input-${number}`) } as const)
    : ({ type: "discarded", cause: "target_gone" } as const);
  return { type: "settle_wake", sequence, settlement };
}

function taskCommand({ kind, number, name, flag }: Step): ProcessCommand {
  const processId = PROCESS_ID;
  switch (kind) {
    case "cancel_task": {
      const reason = flag ? name : null;
      return { type: "cancel_task", processId, reason, graceMs: 3_600_000 * number };
    }
    case "report":
      return { type: "report_task", processId, report: flag ? "running" : "waiting" };
    case "notice":
      return { type: "settle_task_notice", processId, control: flag ? "cancel" : "abort" };
    case "transfer": {
      const [one, other] = [sessionIdOf("first"), sessionIdOf("second")];
      const [fromSessionId, sessionId] = flag ? [one, other] : [other, one];
      return { type: "transfer_task", processId, fromSessionId, sessionId };
    }
    default:
      return { type: "abort_task", processId };
  }
}

function commandOf(walk: Walk, taken: Step): ProcessCommand | undefined {
  const { story } = walk;
  const { kind, number, name, flag } = taken;
  const processId = PROCESS_ID;
  const sessionId = sessionIdOf(name);
  switch (kind) {
    case "append":
    case "finish":
      return appendCommand(walk, taken);
    case "cancel":
      return story.cancelCommand(flag ? null : name);
    case "ack":
    case "settle":
    case "defer":
      return wakeCommand(taken, story);
    case "wait": {
      const wait = flag ? { signalName: name, eventType: "progress", ordinal: 1 + number } : null;
      const held = story.state.lease === null ? {} : { lease: leaseOf(walk, taken.isStale) };
      return { type: "set_wait", processId, wait, ...held };
    }
    case "recover":
      return { type: "reconcile_abandon", processId };
    case "abandon":
      return { type: "request_abandon", processId, requestedBy: name };
    case "hold":
      return { type: "hold", processId, sessionId, mark: number };
    case "release_hold": {
      const deletion = { reason: "session deleted", cancelOrphans: taken.isStale };
      const deleted = flag ? { deletion } : {};
      return { type: "release_hold", processId, sessionId, mark: number, ...deleted };
    }
    case "register":
      return story.registerCommand({ eventTypes: flag ? TYPES : [] });
    case "prune":
      return number === 0 ? { type: "prune_process", processId, before: story.now } : undefined;
    case "cancel_task":
    case "abort_task":
    case "report":
    case "notice":
    case "transfer":
      return taskCommand(taken);
    case "affirm":
      return { type: "affirm_process" };
    case "pass":
      return undefined;
    default:
      return leaseCommand(walk, taken);
  }
}

/** Takes a step; answers the command and what it met, or undefined where it was none. */
export function take(
  walk: Walk,
  taken: Step,
): { readonly command: ProcessCommand; readonly reply: ProcessReply | Refusal } | undefined {
  const { story } = walk;
  story.now += taken.kind === "pass" ? 3_600_000 * taken.number : 1;
  const command = commandOf(walk, taken);
  if (command === undefined) return undefined;
  const { lease } = story.state;
  const reply = story.try(command);
  if (lease !== null && story.state.lease?.leaseToken !== lease.leaseToken) {
    walk.past = proofOf(lease);
  }
  return { command, reply };
}
