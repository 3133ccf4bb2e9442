/**
 * A process for tests: commands are decided, folded and answered as the engine does it, one command
 * per commit, with a clock that the test controls. Every commit is checked: events survive storage
 * as JSON, and the state holds its invariants.
 */
import type { DecideContext, Decision, ForgottenRecord } from "../../shared/aggregate.ts";
import {
  incarnationIdOf,
  leaseTokenOf,
  ownerIdOf,
  processIdOf,
  runtimeIdOf,
  sessionIdOf,
} from "../../shared/ids.ts";
import type { Json } from "../../shared/json.ts";
import type { Refusal, RefusalReason } from "../../shared/refusal.ts";
import { storedJson, throughStorage } from "../../shared/testing/storage-codec.ts";
import { processAggregate } from "../aggregate.ts";
import type { AwaitOutput } from "../await-output.ts";
import type { CompletionProof, LeaseProof, ProcessCommand, ProcessReply } from "../commands.ts";
import { completionEventOf } from "../completion.ts";
import { completeRegistration, type DescribedProcess } from "../core-types.ts";
import type { ProcessStreamEvent } from "../events.ts";
import type { DeclaredEventType, EventSemantics } from "../registration.ts";
import type { Lease, ProcessState } from "../state.ts";
import { assertInvariants } from "./invariants.ts";
import type { LeaseOwner } from "../terms.ts";

/** The one process of a story. */
export const PROCESS_ID = processIdOf("process-1");

/** One committed command. */
export interface StoryCommit {
  readonly revision: number;
  readonly at: number;
  readonly events: readonly ProcessStreamEvent[];
  readonly before: ProcessState;
}

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;
type ReplyOf<Type extends ProcessReply["type"]> = Extract<ProcessReply, { readonly type: Type }>;

/** What may be said about an append; the rest has plain defaults. */
export type AppendTraits = Partial<
  Omit<CommandOf<"append_event">, "type" | "processId" | "eventType" | "payload">
>;

/** Owner `name` in its first life. */
export function owner(name: string, life = 1): LeaseOwner {
  return { ownerId: ownerIdOf(name), incarnationId: incarnationIdOf(`${name}-${life}`) };
}

/** An event type with semantics. */
export function declared(name: string, semantics: EventSemantics = {}): DeclaredEventType {
  return { name, payloadSchema: true, semantics };
}

/** A successful output. */
export function success(value: Json): AwaitOutput {
  return { type: "success", value };
}

/** A description with plain defaults. */
export function described(traits: Partial<DescribedProcess> = {}): DescribedProcess {
  return {
    input: { type: "engine", kind: "indexer", payload: { folder: "docs" } },
    eventTypes: [declared("progress")],
    provenance: { originator: { type: "session", scope: { sessionId: sessionIdOf("session-1") } } },
    disposition: "rerunnable",
    labels: {},
    environmentRef: "default",
    wakeRuntimeId: runtimeIdOf("session-1"),
    ...traits,
  };
}

/** How commands are decided; tests plant bugs here. */
export type Decide = typeof processAggregate.decide;

/** A process in a test. */
export class Story {
  state: ProcessState = processAggregate.initial;
  now = 1_000_000;
  /** All of the range of random numbers is its upper half: deferrals take their full time at 1. */
  random = 1;
  readonly commits: StoryCommit[] = [];
  readonly #records = new Map<string, ForgottenRecord>();
  readonly #decide: Decide;
  #tokens = 0;

  constructor(decide: Decide = processAggregate.decide) {
    this.#decide = decide;
  }

  /** Decides a command on the state as it is. */
  decide(command: ProcessCommand): Decision<ProcessStreamEvent, ProcessReply> {
    const wanted = new Set(
      processAggregate
        .lookups(this.state, command)
        .map(({ recordClass, lookup }) => `${recordClass} ${lookup}`),
    );
    const context: DecideContext = {
      now: this.now,
      revision: this.commits.length + 1,
      eventIndex: 0,
      freshId: () => "unused",
      random: () => this.random,
      found: {
        find: (recordClass, lookup) => {
          const key = `${recordClass} ${lookup}`;
          return wanted.has(key) ? this.#records.get(key)?.body : undefined;
        },
      },
    };
    return this.#decide(this.state, command, context);
  }

  /** Commits events as the next revision. */
  commit(events: readonly ProcessStreamEvent[]): void {
    const revision = this.commits.length + 1;
    const before = this.state;
    const stored = events.map((event) => {
      const read = processAggregate.eventFromJson(storedJson(event));
      if (read === "unknown") throw new Error(`event ${event.type} is not read back`);
      return read;
    });
    for (const [index, event] of stored.entries()) {
      this.state = processAggregate.evolve(this.state, event, { revision, index, at: this.now });
    }
    this.commits.push({ revision, at: this.now, events: stored, before });
    assertInvariants(this.state);
  }

  /** Decides and commits a command; answers its reply, or the refusal. */
  try(command: ProcessCommand): ProcessReply | Refusal {
    const decision = this.decide(command);
    switch (decision.kind) {
      case "answer":
        return decision.reply;
      case "refuse":
        return decision.refusal;
      case "repeat":
        throw new Error("a process repeats no answers");
      case "commit": {
        this.commit(decision.events);
        const position = { revision: this.commits.length, index: 0, at: this.now };
        return processAggregate.answer(command, decision.events, position);
      }
    }
  }

  /** Does a command that must be answered with this kind of reply. */
  do<Type extends ProcessReply["type"]>(command: ProcessCommand, type: Type): ReplyOf<Type> {
    const reply = this.try(command);
    const isWanted = (candidate: ProcessReply | Refusal): candidate is ReplyOf<Type> =>
      "type" in candidate && candidate.type === type;
    if (!isWanted(reply)) throw new Error(`${command.type} met ${JSON.stringify(reply)}`);
    return reply;
  }

  /** Tries a command that must be refused for this reason. */
  refuse(command: ProcessCommand, reason: RefusalReason): Refusal {
    const reply = this.try(command);
    if (!("reason" in reply) || reply.reason !== reason) {
      throw new Error(`${command.type} met ${JSON.stringify(reply)} instead of ${reason}`);
    }
    return reply;
  }

  /** What a command meets: the reason of a refusal, which changes nothing, or the reply's kind. */
  met(command: ProcessCommand): string {
    const before = JSON.stringify(processAggregate.stateToJson(this.state));
    const reply = this.try(command);
    if (!("reason" in reply)) return reply.type;
    const after = JSON.stringify(processAggregate.stateToJson(this.state));
    return after === before ? reply.reason : `${reply.reason} that changed the state`;
  }

  /** The command that registers the process as described. */
  registerCommand(traits: Partial<DescribedProcess> = {}): CommandOf<"register_process"> {
    const registration = completeRegistration(described(traits));
    const registrationHash = `hash of ${JSON.stringify(registration)}`;
    return { type: "register_process", processId: PROCESS_ID, registration, registrationHash };
  }

  appendCommand(
    eventType: string,
    payload: Json = null,
    traits: AppendTraits = {},
  ): CommandOf<"append_event"> {
    return {
      type: "append_event",
      processId: PROCESS_ID,
      eventType,
      payload,
      bodyHash: `hash of ${eventType} ${JSON.stringify(payload)}`,
      schemaVerdict: { type: "valid" },
      ...traits,
    };
  }

  append(eventType: string, payload: Json = null, traits: AppendTraits = {}): number {
    const command = this.appendCommand(eventType, payload, traits);
    return this.do(command, "appended").place.sequence;
  }

  cancelCommand(reason: string | null): CommandOf<"request_cancel"> {
    return { type: "request_cancel", processId: PROCESS_ID, reason };
  }

  claimCommand(who: LeaseOwner, ttlMs = 30_000): CommandOf<"claim_lease"> {
    this.#tokens += 1;
    const leaseToken = leaseTokenOf(`token-${this.#tokens}`);
    const claim = { processId: PROCESS_ID, owner: who, leaseToken, ttlMs, isForAnyWork: false };
    return { type: "claim_lease", ...claim };
  }

  claim(name = "worker", life = 1): Lease {
    return this.do(this.claimCommand(owner(name, life)), "leased").lease;
  }

  releaseCommand(lease: LeaseProof): CommandOf<"release_lease"> {
    const { leaseToken, generation } = lease;
    return { type: "release_lease", processId: PROCESS_ID, lease: { leaseToken, generation } };
  }

  /** The register of a lease lapses and the stream is told. */
  lapse(lease: LeaseProof): boolean {
    const { leaseToken } = lease;
    return this.do({ type: "lapse_lease", leaseToken }, "released").released;
  }

  completeCommand(
    output: AwaitOutput,
    by: LeaseProof | CompletionProof,
  ): CommandOf<"complete_process"> {
    const proof: CompletionProof =
      "type" in by ? by : { type: "lease", leaseToken: by.leaseToken, generation: by.generation };
    const { eventType, payload } = completionEventOf(output, proof);
    const bodyHash = `hash of ${eventType} ${JSON.stringify(payload)}`;
    return { type: "complete_process", processId: PROCESS_ID, output, bodyHash, by: proof };
  }

  /** Lets every forgettable header leave the state; its record is found from then on. */
  forget(): void {
    const rows = processAggregate.forgettable(this.state);
    for (const row of rows) {
      const stored = throughStorage(row);
      for (const lookup of row.lookups) this.#records.set(`${row.recordClass} ${lookup}`, stored);
    }
    this.state = processAggregate.forget(this.state, rows);
    assertInvariants(this.state);
  }

  /** The state goes through a stored checkpoint. */
  reload(): void {
    const checkpoint = throughStorage(processAggregate.stateToJson(this.state));
    this.state = processAggregate.stateFromJson(checkpoint);
    assertInvariants(this.state);
  }

  /** Names of the events of the last commit. */
  lastEvents(): readonly string[] {
    return this.commits.at(-1)?.events.map((event) => event.type) ?? [];
  }
}

/** What a holder presents. */
export function proofOf({ leaseToken, generation }: LeaseProof): LeaseProof {
  return { leaseToken, generation };
}

/** A registered process. */
export function registeredStory(traits: Partial<DescribedProcess> = {}, decide?: Decide): Story {
  const story = new Story(decide);
  story.do(story.registerCommand(traits), "registered");
  return story;
}
