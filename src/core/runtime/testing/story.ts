/**
 * A runtime for tests: commands are decided, folded and answered as the engine does it, one command
 * per commit, with a clock and ids that the test controls. Every commit is checked: events survive
 * storage as JSON, and the state holds its invariants.
 */
import type { DecideContext, Decision, ForgottenRecord } from "../../shared/aggregate.ts";
import {
  executorIdOf,
  incarnationIdOf,
  inputIdOf,
  operationIdOf,
  runtimeIdOf,
} from "../../shared/ids.ts";
import type { InputId } from "../../shared/ids.ts";
import type { Refusal, RefusalReason } from "../../shared/refusal.ts";
import { runtimeAggregate } from "../aggregate.ts";
import type { IngestOutcome, RuntimeCommand, RuntimeReply } from "../commands.ts";
import type { RuntimeEvent } from "../events.ts";
import type { Input, InputBody, RunOutcome } from "../input.ts";
import type { Operation, OperationSpec } from "../operation-state.ts";
import type { InputHeader, Run, RuntimeConfig, RuntimeState } from "../state.ts";
import { assertInvariants } from "./invariants.ts";
import { storedJson, throughStorage } from "../../shared/testing/storage-codec.ts";

/** Configuration of a new runtime in tests. */
export const DEFAULTS: RuntimeConfig = {
  labels: {},
  pool: "default",
  queueLimit: 10_000,
  attemptLimit: 3,
  retryBackoffInitialMs: 1_000,
  retryBackoffMaxMs: 60_000,
  leaseTtlMs: 30_000,
  keepAlive: false,
  operationLimit: 10_000,
  completedRetention: 256,
};

/** One committed command. */
export interface StoryCommit {
  readonly revision: number;
  readonly at: number;
  readonly events: readonly RuntimeEvent[];
  readonly before: RuntimeState;
}

/** What may be said about an input of a story; the rest has plain defaults. */
export type InputTraits = Partial<Omit<Input, "inputId" | "body">> & {
  readonly bodyHash?: string;
  readonly payloadBytes?: number;
  readonly withoutWake?: boolean;
  readonly ensure?: boolean;
  readonly inputIdIsFresh?: boolean;
};

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type ReplyOf<Type extends RuntimeReply["type"]> = Extract<RuntimeReply, { readonly type: Type }>;

/** Executor `name` with its first incarnation. */
export function executor(name: string) {
  return { executorId: executorIdOf(name), incarnationId: incarnationIdOf(`${name}-1`) };
}

/** Branded input ids of plain names. */
export function ids(...names: readonly string[]): readonly InputId[] {
  return names.map((name) => inputIdOf(name));
}

/** A prompt body. */
export function prompt(text: string, handlingMode?: "queue" | "steer"): InputBody {
  return {
    type: "prompt",
    text,
    ...(handlingMode === undefined ? {} : { turnMetadata: { handlingMode } }),
  };
}

/** A peer body without handling mode. */
export function peer(
  convention: "message" | "request" | "response_progress" | "response_terminal",
  handlingMode?: "queue" | "steer",
): InputBody {
  const mode = handlingMode === undefined ? {} : { handlingMode };
  const peerRequestId = "request-1";
  const base = { type: "peer", body: "text", ...mode } as const;
  switch (convention) {
    case "message":
      return { ...base, convention: { type: convention } };
    case "request":
      return { ...base, convention: { type: convention, peerRequestId, intent: "ask" } };
    case "response_progress":
      return { ...base, convention: { type: convention, peerRequestId, phase: "in_progress" } };
    case "response_terminal":
      return { ...base, convention: { type: convention, peerRequestId, status: "completed" } };
  }
}

/** An external event body. */
export function externalEvent(handlingMode: "queue" | "steer" = "queue"): InputBody {
  return { type: "external_event", eventType: "deploy", payload: null, handlingMode };
}

/** A continuation body. */
export function continuation(handlingMode: "queue" | "steer" = "steer"): InputBody {
  return { type: "continuation", reason: "background_done", handlingMode };
}

/** An operation body. */
export function operation(): InputBody {
  return {
    type: "operation",
    operationId: "operation-1",
    news: { type: "cancelled", id: "call-1" },
  };
}

/** The ingest command of an input. */
export function ingestCommand(
  name: string,
  body: InputBody,
  traits: InputTraits = {},
): CommandOf<"ingest"> {
  const { bodyHash, payloadBytes, withoutWake, ensure, inputIdIsFresh, ...header } = traits;
  return {
    type: "ingest",
    runtimeId: runtimeIdOf("runtime-1"),
    input: {
      inputId: inputIdOf(name),
      createdAt: 0,
      source: { type: "operator" },
      durability: "durable",
      transcriptEligible: true,
      operatorEligible: true,
      ...header,
      body,
    },
    bodyHash: bodyHash ?? `hash of ${name}`,
    payloadBytes: payloadBytes ?? 100,
    withoutWake: withoutWake ?? false,
    ensure: ensure ?? false,
    defaults: DEFAULTS,
    inputIdIsFresh: inputIdIsFresh ?? false,
  };
}

/** The command that registers an operation. */
export function registerCommand(
  name: string,
  traits: Partial<OperationSpec> = {},
): CommandOf<"register_operation"> {
  const kind = "background_tool_op";
  const spec = { kind, displayName: name, expectPeerChannel: false, ...traits } as const;
  return {
    type: "register_operation",
    spec: { operationId: operationIdOf(name), ...spec },
    operationIdIsFresh: false,
  };
}

/** A runtime in a test. */
export class Story {
  state: RuntimeState = runtimeAggregate.initial;
  now = 1_000_000;
  /** Half of the range of random numbers: no jitter. */
  random = 0.5;
  readonly commits: StoryCommit[] = [];
  readonly #records = new Map<string, ForgottenRecord>();
  #ids = 0;

  /** Decides a command on the state as it is. */
  decide(command: RuntimeCommand): Decision<RuntimeEvent, RuntimeReply> {
    const wanted = new Set(
      runtimeAggregate
        .lookups(this.state, command)
        .map(({ recordClass, lookup }) => `${recordClass} ${lookup}`),
    );
    const context: DecideContext = {
      now: this.now,
      revision: this.commits.length + 1,
      eventIndex: 0,
      freshId: () => {
        this.#ids += 1;
        return `id-${this.#ids}`;
      },
      random: () => this.random,
      found: {
        find: (recordClass, lookup) => {
          const key = `${recordClass} ${lookup}`;
          return wanted.has(key) ? this.#records.get(key)?.body : undefined;
        },
      },
    };
    return runtimeAggregate.decide(this.state, command, context);
  }

  /** Commits events as the next revision. */
  commit(events: readonly RuntimeEvent[]): void {
    const revision = this.commits.length + 1;
    const before = this.state;
    const stored = events.map((event) => {
      const read = runtimeAggregate.eventFromJson(storedJson(event));
      if (read === "unknown") throw new Error(`event ${event.type} is not read back`);
      return read;
    });
    for (const [index, event] of stored.entries()) {
      this.state = runtimeAggregate.evolve(this.state, event, { revision, index, at: this.now });
    }
    this.commits.push({ revision, at: this.now, events: stored, before });
    assertInvariants(this.state);
  }

  /** Decides and commits a command; answers its reply, or the refusal. */
  try(command: RuntimeCommand): RuntimeReply | Refusal {
    const decision = this.decide(command);
    switch (decision.kind) {
      case "answer":
        return decision.reply;
      case "refuse":
        return decision.refusal;
      case "repeat": {
        const commit = this.commits[decision.revision - 1];
        if (commit === undefined) throw new Error(`no revision ${decision.revision}`);
        const { revision, at, events } = commit;
        return runtimeAggregate.answer(command, events, { revision, index: 0, at });
      }
      case "commit": {
        this.commit(decision.events);
        const at = { revision: this.commits.length, index: 0, at: this.now };
        return runtimeAggregate.answer(command, decision.events, at);
      }
    }
  }

  /** The reply to a command that must not be refused, of the given type. */
  do<Type extends RuntimeReply["type"]>(command: RuntimeCommand, type: Type): ReplyOf<Type> {
    const reply = this.try(command);
    const isWanted = (it: RuntimeReply | Refusal): it is ReplyOf<Type> =>
      "type" in it && it.type === type;
    if (!isWanted(reply)) throw new Error(`${command.type} met ${JSON.stringify(reply)}`);
    return reply;
  }

  /** The refusal of a command that must be refused for this reason. */
  refused(command: RuntimeCommand, reason: RefusalReason): Refusal {
    const reply = this.try(command);
    if (!("reason" in reply) || reply.reason !== reason) {
      throw new Error(`${command.type} met ${JSON.stringify(reply)} instead of ${reason}`);
    }
    return reply;
  }

  ensure(config: Partial<RuntimeConfig> = {}): ReplyOf<"ensured"> {
    const runtimeId = runtimeIdOf("runtime-1");
    return this.do({ type: "ensure_runtime", runtimeId, config, defaults: DEFAULTS }, "ensured");
  }

  ingest(name: string, body: InputBody, traits: InputTraits = {}): IngestOutcome {
    return this.do(ingestCommand(name, body, traits), "ingested").outcome;
  }

  /** Starts a run of executor `name`. */
  assign(name = "worker", inputsMax = 1_000): Run {
    this.do(
      {
        type: "assign_run",
        ...executor(name),
        ttlMs: 30_000,
        batchInputsMax: inputsMax,
        batchBytesMax: 4_194_304,
      },
      "assigned",
    );
    return this.run();
  }

  /** Attaches executor `name`, naming the runtime. */
  attach(name = "worker"): ReplyOf<"lease"> {
    return this.do({ type: "grant_lease", ...executor(name), ttlMs: 30_000 }, "lease");
  }

  acknowledge(): void {
    this.do({ type: "acknowledge_run", ...this.claim() }, "acknowledged");
  }

  /** Commits a boundary for everything staged. */
  boundary(acceptSteer = false): ReplyOf<"boundary"> {
    return this.do(this.boundaryCommand(this.run().staged, acceptSteer), "boundary");
  }

  /** The command of a boundary that names `inputIds`. */
  boundaryCommand(inputIds: readonly InputId[], acceptSteer = false): CommandOf<"commit_boundary"> {
    const { contributors, boundaries } = this.run();
    return {
      type: "commit_boundary",
      ...this.claim(),
      boundary: boundaries.length === 0 ? "run_start" : "run_checkpoint",
      inputIds,
      messageCount: contributors.length,
      acceptSteer,
      bodyHash: `boundary ${this.run().runId} ${boundaries.length} ${inputIds.join()}`,
    };
  }

  complete(outcome: RunOutcome = { type: "none" }, takeNext = false): ReplyOf<"run_ended"> {
    return this.do(this.completeCommand(outcome, takeNext), "run_ended");
  }

  /** The command that completes the run in flight. */
  completeCommand(
    outcome: RunOutcome = { type: "none" },
    takeNext = false,
  ): CommandOf<"complete_run"> {
    return {
      type: "complete_run",
      ...this.claim(),
      outcome,
      takeNext,
      batchInputsMax: 1_000,
      batchBytesMax: 4_194_304,
      bodyHash: `complete ${this.run().runId}`,
    };
  }

  fail(recoverable = true): void {
    const { runId } = this.run();
    const bodyHash = `fail ${runId}`;
    const error = "model unavailable";
    this.do({ type: "fail_run", ...this.claim(), error, recoverable, bodyHash }, "run_ended");
  }

  cancel(requeue: boolean): void {
    const bodyHash = `cancel ${this.run().runId}`;
    this.do({ type: "cancel_run", ...this.claim(), requeue, bodyHash }, "run_ended");
  }

  /** Runs everything that is due, each run to its end. */
  drain(name = "worker"): void {
    while (runtimeAggregate.summarize(this.state).runnableSince !== undefined) {
      this.assign(name);
      this.boundary();
      this.complete();
    }
  }

  /** Lets every terminal fact leave the state; its record is found from then on. */
  forget(): void {
    const rows = runtimeAggregate.forgettable(this.state);
    for (const row of rows) {
      const stored = throughStorage(row);
      for (const lookup of row.lookups) {
        this.#records.set(`${row.recordClass} ${lookup}`, stored);
      }
    }
    this.state = runtimeAggregate.forget(this.state, rows);
    assertInvariants(this.state);
  }

  /** The state goes through a stored checkpoint. */
  reload(): void {
    const checkpoint = throughStorage(runtimeAggregate.stateToJson(this.state));
    this.state = runtimeAggregate.stateFromJson(checkpoint);
    assertInvariants(this.state);
  }

  /** The run in flight. */
  run(): Run {
    const { run } = this.state;
    if (run === null) throw new Error("no run is in flight");
    return run;
  }

  /** What the holder of the run in flight proves itself with. */
  claim(): Pick<Run, "runId" | "generation"> {
    const { runId, generation } = this.run();
    return { runId, generation };
  }

  header(name: string): InputHeader {
    const header = this.state.inputs.get(inputIdOf(name));
    if (header === undefined) throw new Error(`no input ${name}`);
    return header;
  }

  /** Registers an operation and lets its provisioning succeed. */
  operate(name: string, traits: Partial<OperationSpec> = {}): void {
    this.do(registerCommand(name, traits), "operation");
    const operationId = operationIdOf(name);
    this.do({ type: "mark_operation_provisioned", operationId }, "operation");
  }

  /** Completes an operation. */
  finish(name: string, content = "done"): void {
    const operationId = operationIdOf(name);
    const result = { content, isError: false };
    const resultBytes = content.length;
    this.do({ type: "complete_operation", operationId, result, resultBytes }, "operation");
  }

  operation(name: string): Operation {
    const found = this.state.operations.operations.get(operationIdOf(name));
    if (found === undefined) throw new Error(`no operation ${name}`);
    return found;
  }

  /** Names of the events of the last commit. */
  lastEvents(): readonly string[] {
    return this.commits.at(-1)?.events.map((event) => event.type) ?? [];
  }

  /** What is queued, the steer lane first. */
  queued(): readonly string[] {
    return [...this.state.steerLane.values(), ...this.state.queueLane.values()];
  }
}

/** A registered runtime in state idle. */
export function registeredStory(config: Partial<RuntimeConfig> = {}): Story {
  const story = new Story();
  story.ensure(config);
  return story;
}
