/**
 * Random lives of a runtime: steps are drawn without knowing the state and become commands when
 * they are taken, so that most of them make sense and some never do.
 */
import fc from "fast-check";
import type {
  IngestCommand,
  RuntimeCommand,
  RuntimeReply,
} from "../../src/core/runtime/commands.ts";
import type { InputBody } from "../../src/core/runtime/input.ts";
import type { InputTarget } from "../../src/core/runtime/input-target.ts";
import {
  continuation,
  DEFAULTS,
  executor,
  externalEvent,
  ingestCommand,
  operation,
  peer,
  prompt,
  type Story,
} from "../../src/core/runtime/testing/story.ts";
import { type InputId, inputIdOf, runIdOf, runtimeIdOf } from "../../src/core/shared/ids.ts";
import type { Refusal } from "../../src/core/shared/refusal.ts";
import { operationCommand, operationStep } from "./operation-steps.ts";

const BODIES: readonly InputBody[] = [
  prompt("text"),
  prompt("text", "steer"),
  peer("message"),
  peer("message", "steer"),
  peer("request"),
  peer("response_progress"),
  peer("response_terminal"),
  peer("response_progress", "steer"),
  externalEvent(),
  continuation(),
  operation(),
];

const EXECUTORS = ["first", "second", "caller"] as const;

const ingestStep = fc.record({
  kind: fc.constantFrom("ingest" as const, "ingest" as const, "ingest_and_run" as const),
  name: fc.nat(40),
  body: fc.nat(BODIES.length - 1),
  key: fc.option(fc.nat(8), { freq: 2 }),
  supersession: fc.option(fc.nat(1), { freq: 2 }),
  withoutWake: fc.boolean(),
  ensure: fc.boolean(),
  durability: fc.constantFrom("durable" as const, "durable" as const, "derived" as const),
});

const cancelStep = fc.record({
  kind: fc.constant("cancel_inputs" as const),
  names: fc.array(fc.nat(40), { minLength: 1, maxLength: 4 }),
  key: fc.option(fc.nat(8), { freq: 2 }),
  isSuffix: fc.boolean(),
});

const silentStep = fc.record({
  kind: fc.constant("set_silent_intents" as const),
  intents: fc.subarray(["ask", "status"]),
});

const lifecycleStep = fc.record({
  kind: fc.constantFrom(
    "retire" as const,
    "recycle" as const,
    "recycle" as const,
    "reset" as const,
    "reset" as const,
    "recover" as const,
    "stop" as const,
    "unregister" as const,
    "ensure" as const,
    "ensure" as const,
    "interrupt" as const,
  ),
  flag: fc.boolean(),
});

const runStep = fc.record({
  kind: fc.constantFrom(
    "attach" as const,
    "assign" as const,
    "assign" as const,
    "assign" as const,
    "acknowledge" as const,
    "boundary" as const,
    "boundary" as const,
    "boundary" as const,
    "boundary" as const,
    "complete" as const,
    "complete" as const,
    "complete" as const,
    "fail" as const,
    "cancel" as const,
    "release_run" as const,
    "release_lease" as const,
    "lapse" as const,
    "tick" as const,
    "repeat" as const,
  ),
  executor: fc.constantFrom(...EXECUTORS),
  flag: fc.boolean(),
  /** Mostly the claim of the run in flight, sometimes one of the past. */
  isStale: fc.integer({ min: 0, max: 15 }).map((number) => number === 0),
  inputsMax: fc.constantFrom(1, 2, 1_000),
});

const drainStep = fc.record({
  kind: fc.constantFrom(
    "ingress" as const,
    "ingress" as const,
    "no_ingress" as const,
    "host_drain" as const,
    "host_drain" as const,
    "drain_exited" as const,
    "abort_drain" as const,
  ),
  executor: fc.constantFrom(...EXECUTORS),
  keepAlive: fc.boolean(),
  exit: fc.constantFrom(...(["dismissed", "failed", "aborted", "session_shutdown"] as const)),
  /** Mostly the present drain, sometimes one of the past. */
  isStale: fc.integer({ min: 0, max: 7 }).map((number) => number === 0),
});

const otherStep = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      waitMs: fc.constantFrom(1, 900, 5_000, 11_000, 70_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("publish" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy" as const) }) },
);

/** One step of a life. */
export type Step =
  | (typeof ingestStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof cancelStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof silentStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof lifecycleStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof runStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof drainStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof operationStep extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof otherStep extends fc.Arbitrary<infer Value> ? Value : never);

/** A life: a few dozen steps, most of them about inputs and runs. */
export const life: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: ingestStep },
    { weight: 14, arbitrary: runStep },
    { weight: 2, arbitrary: lifecycleStep },
    { weight: 1, arbitrary: cancelStep },
    { weight: 1, arbitrary: silentStep },
    { weight: 2, arbitrary: drainStep },
    { weight: 4, arbitrary: operationStep },
    { weight: 3, arbitrary: otherStep },
  ),
  { minLength: 1, maxLength: 90, size: "max" },
);

/** A life that is mostly about operations, with everything else among them. */
export const operatingLife: fc.Arbitrary<Step[]> = fc
  .array(
    fc.oneof(
      { weight: 24, arbitrary: operationStep },
      { weight: 2, arbitrary: ingestStep },
      { weight: 10, arbitrary: runStep },
      { weight: 1, arbitrary: lifecycleStep },
      { weight: 1, arbitrary: otherStep },
    ),
    { minLength: 1, maxLength: 120, size: "max" },
  )
  .map((steps) => [{ kind: "ensure", flag: true } as const, ...steps]);

/** A life that is mostly about drains, with what decides whether one is wanted among them. */
export const drainingLife: fc.Arbitrary<Step[]> = fc
  .array(
    fc.oneof(
      { weight: 20, arbitrary: drainStep },
      { weight: 4, arbitrary: ingestStep },
      { weight: 10, arbitrary: runStep },
      { weight: 3, arbitrary: lifecycleStep },
      { weight: 8, arbitrary: otherStep },
    ),
    { minLength: 1, maxLength: 90, size: "max" },
  )
  .map((steps) => [{ kind: "ensure", flag: true } as const, ...steps]);

type RunStep = Extract<Step, { readonly inputsMax: number }>;

/** What a life remembers besides the runtime. */
export interface Walk {
  readonly story: Story;
  /** The last write of an executor, for repetition. */
  lastWrite: RuntimeCommand | undefined;
  /** The last claim that was current before another one. */
  pastClaim: { readonly runId: ReturnType<typeof runIdOf>; readonly generation: number };
  serial: number;
}

/** A walk at its beginning. */
export function startWalk(story: Story): Walk {
  return {
    story,
    lastWrite: undefined,
    pastClaim: { runId: runIdOf("unknown"), generation: 0 },
    serial: 0,
  };
}

type IngestStep = Extract<Step, { readonly withoutWake: boolean }>;

function ingest(step: IngestStep): IngestCommand {
  const body = BODIES[step.body] ?? prompt("text");
  return ingestCommand(`input-${step.name}`, body, {
    withoutWake: step.withoutWake,
    ensure: step.ensure,
    durability: step.durability,
    bodyHash: `body ${step.body}`,
    ...(step.key === null ? {} : { idempotencyKey: `key-${step.key}` }),
    ...(step.supersession === null ? {} : { supersessionKey: `scope-${step.supersession}` }),
    ...(step.durability === "derived" ? { source: { type: "system" as const } } : {}),
  });
}

function cancelInputs(step: Extract<Step, { readonly names: readonly number[] }>): RuntimeCommand {
  const byId = step.names.map((name): InputTarget => {
    return { inputId: inputIdOf(`input-${name}`) };
  });
  const targets = step.key === null ? byId : [{ idempotencyKey: `key-${step.key}` }, ...byId];
  const [anchor] = targets;
  return {
    type: "cancel_inputs",
    selection:
      step.isSuffix && anchor !== undefined
        ? { type: "suffix", anchor }
        : { type: "targets", targets },
  };
}

/** What a boundary names: mostly the staged inputs, else none. */
function named(story: Story, step: RunStep): readonly InputId[] {
  return step.inputsMax === 2 && step.flag ? [] : (story.state.run?.staged ?? []);
}

function runCommand(walk: Walk, step: RunStep): RuntimeCommand | undefined {
  const { story } = walk;
  const { run } = story.state;
  const current = run === null ? walk.pastClaim : { runId: run.runId, generation: run.generation };
  const claim = step.isStale ? walk.pastClaim : current;
  const bodyHash = `${step.kind} ${walk.serial}`;
  const limits = { batchInputsMax: step.inputsMax, batchBytesMax: 250 };
  switch (step.kind) {
    case "attach":
      return { type: "grant_lease", ...executor(step.executor), ttlMs: 30_000 };
    case "assign":
      return { type: "assign_run", ...executor(step.executor), ttlMs: 30_000, ...limits };
    case "acknowledge":
      return { type: "acknowledge_run", ...claim };
    case "boundary": {
      const facts = {
        boundary: "run_start",
        inputIds: named(story, step),
        messageCount: 1,
        ...(step.inputsMax === 1 ? { sessionSnapshot: `snapshot ${walk.serial}` } : {}),
      } as const;
      return { type: "commit_boundary", ...claim, ...facts, acceptSteer: step.flag, bodyHash };
    }
    case "complete": {
      const facts = {
        outcome: { type: "none" },
        takeNext: step.flag,
        ...limits,
        bodyHash,
      } as const;
      const inputIds = story.state.run?.staged ?? [];
      const finalBoundary = { boundary: "run_checkpoint", inputIds, messageCount: 2 } as const;
      const last = step.inputsMax === 1 ? { finalBoundary } : {};
      return { type: "complete_run", ...claim, ...facts, ...last };
    }
    case "fail":
      return { type: "fail_run", ...claim, error: "error", recoverable: step.flag, bodyHash };
    case "cancel":
      return { type: "cancel_run", ...claim, requeue: step.flag, bodyHash };
    case "release_run":
      return { type: "release_run", ...claim, bodyHash };
    case "release_lease":
      return { type: "release_lease", ...executor(step.executor) };
    case "lapse":
      return { type: "lapse_lease", ...executor(step.executor) };
    case "tick":
      return { type: "tick", acknowledgeTimeoutMs: 10_000 };
    case "repeat":
      return walk.lastWrite;
  }
}

const ENDPOINT = { address: "inproc://runtime-1", peerName: "runtime-1", peerId: "peer-1" };

type DrainStep = Extract<Step, { readonly exit: unknown }>;

function drainCommand(walk: Walk, step: DrainStep): RuntimeCommand {
  switch (step.kind) {
    case "ingress":
      return { type: "update_peer_ingress", keepAlive: step.keepAlive, endpoint: ENDPOINT };
    case "no_ingress":
      return { type: "update_peer_ingress", keepAlive: step.keepAlive, endpoint: null };
    case "host_drain":
      return { type: "host_drain", ...executor(step.executor) };
    case "drain_exited": {
      const present = walk.story.state.drain.sequence;
      const sequence = step.isStale ? Math.max(0, present - 1) : present;
      return { type: "notify_drain_exited", reason: step.exit, sequence };
    }
    case "abort_drain":
      return { type: "abort_drain" };
  }
}

function commandOf(walk: Walk, step: Step): RuntimeCommand | undefined {
  switch (step.kind) {
    case "ingest":
      return ingest(step);
    case "ingest_and_run": {
      const taken = { ...ingest(step), withoutWake: true };
      return { type: step.kind, ingest: taken, ...executor("caller"), ttlMs: 30_000 };
    }
    case "set_silent_intents":
      return { type: "set_silent_intents", intents: step.intents };
    case "cancel_inputs":
      return cancelInputs(step);
    case "ensure": {
      const config = step.flag ? { keepAlive: true } : { queueLimit: 12 };
      const runtimeId = runtimeIdOf("runtime-1");
      return { type: "ensure_runtime", runtimeId, config, defaults: DEFAULTS };
    }
    case "wait":
      return undefined;
    case "publish":
      return { type: "publish_event", eventId: "event", eventCode: "custom.code", payload: null };
    case "destroy":
      return { type: "destroy" };
    case "retire":
      return { type: "retire", abandonIfUnattached: step.flag };
    case "recover":
      return { type: "recover", fenceExecutor: step.flag };
    case "unregister":
      return { type: "unregister_runtime", fenceExecutor: step.flag };
    case "recycle":
    case "reset":
    case "stop":
      return { type: step.kind };
    case "interrupt":
      return { type: "interrupt_run" };
    case "ingress":
    case "no_ingress":
    case "host_drain":
    case "drain_exited":
    case "abort_drain":
      return drainCommand(walk, step);
    case "register":
    case "operation":
    case "registry":
      return operationCommand(step);
    default:
      return runCommand(walk, step);
  }
}

/** Takes a step; answers the command and what it met, or undefined where it was none. */
export function take(
  walk: Walk,
  step: Step,
): { readonly command: RuntimeCommand; readonly reply: RuntimeReply | Refusal } | undefined {
  const { story } = walk;
  walk.serial += 1;
  if (step.kind === "wait") story.now += step.waitMs;
  const command = commandOf(walk, step);
  if (command === undefined) return undefined;
  const { run } = story.state;
  if ("runId" in command && "bodyHash" in command) walk.lastWrite = command;
  const reply = story.try(command);
  if (run !== null && story.state.run?.runId !== run.runId) {
    walk.pastClaim = { runId: run.runId, generation: run.generation };
  }
  return { command, reply };
}
