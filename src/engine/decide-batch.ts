/**
 * Decides the waiting commands of one stream, in order, on the speculative state, and packs what
 * they cause into one commit. Pure but for the ids and random numbers that it is given.
 */
import type { DecideContext, Decision, FoundRecords } from "../core/shared/aggregate.ts";
import type { TimeMs } from "../core/shared/ids.ts";
import { type Refusal, refusalOf } from "../core/shared/refusal.ts";
import type { CommandMark } from "./commit-codec.ts";
import type { Entropy } from "./ports.ts";
import type { CommandEnvelope, PendingCommand, StreamEntry } from "./stream-entry.ts";
import { foldEvents, type StreamFold } from "./stream-fold.ts";

/** What was decided for one command. */
export type Verdict<Reply> =
  | { readonly kind: "committed"; readonly firstEvent: number; readonly eventCount: number }
  | { readonly kind: "answered"; readonly reply: Reply }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | {
      /** Answered before: by a stored commit, or earlier in this very batch (`revision` ahead). */
      readonly kind: "repeated";
      readonly revision: number;
      readonly requestId?: string;
      readonly bodyHash: string;
    };

/** A decided batch: verdicts per command, and the commit's content if there is one. */
export interface DecidedBatch<State, Event, Reply> {
  readonly verdicts: readonly Verdict<Reply>[];
  readonly marks: readonly CommandMark[];
  readonly events: readonly Event[];
  readonly state: State;
}

/** What a batch is decided with. */
export interface DecideOptions {
  readonly now: TimeMs;
  readonly entropy: Entropy;
  readonly found: FoundRecords;
  /** Called when `decide` or `evolve` throws: a bug that costs its command, not its neighbours. */
  readonly onBug: (error: unknown) => void;
}

function markOf(envelope: CommandEnvelope<unknown>, events: number): CommandMark {
  const { name, actor, requestId, bodyHash } = envelope;
  return {
    ...(actor === undefined ? {} : { actor }),
    ...(bodyHash === undefined ? {} : { bodyHash }),
    command: name,
    events,
    ...(requestId === undefined ? {} : { requestId }),
  };
}

function reused(requestId: string): Refusal {
  return refusalOf(
    "REQUEST_ID_REUSED",
    "The request id was used for a different call; use a fresh one for every new call",
    { requestId },
  );
}

/** The verdict on a request id that was seen before; `undefined` when it is new. */
function repeatedRequest(
  fold: StreamFold<unknown>,
  inBatch: ReadonlyMap<string, string> | undefined,
  envelope: CommandEnvelope<unknown>,
): Verdict<never> | undefined {
  const { requestId, bodyHash = "" } = envelope;
  if (requestId === undefined) return undefined;
  const mark = fold.requests.get(requestId);
  const earlier = mark?.bodyHash ?? inBatch?.get(requestId);
  if (earlier === undefined) return undefined;
  if (earlier !== bodyHash) return { kind: "refused", refusal: reused(requestId) };
  return { kind: "repeated", revision: mark?.revision ?? fold.revision + 1, requestId, bodyHash };
}

function revisionMismatch(
  fold: StreamFold<unknown>,
  pendingEvents: number,
  expected: number | undefined,
): Refusal | undefined {
  const isMet = expected === fold.revision && pendingEvents === 0;
  if (expected === undefined || isMet) return undefined;
  return refusalOf(
    "REVISION_MISMATCH",
    "The stream has moved since it was read; read it again and decide anew",
    { expectedRevision: expected, revision: fold.revision + (pendingEvents > 0 ? 1 : 0) },
  );
}

/** Decides `batch` on the entry's committed fold. The entry must be loaded. */
export function decideBatch<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
  fold: StreamFold<State>,
  batch: readonly PendingCommand<State, Command, Event, Reply>[],
  options: DecideOptions,
): DecidedBatch<State, Event, Reply> {
  const { aggregate } = entry;
  const revision = fold.revision + 1;
  const verdicts: Verdict<Reply>[] = [];
  const marks: CommandMark[] = [];
  const events: Event[] = [];
  let inBatch: Map<string, string> | undefined;
  let state = fold.state;

  function decide(command: Command): Decision<Event, Reply> {
    const context: DecideContext = {
      now: options.now,
      revision,
      eventIndex: events.length,
      freshId: options.entropy.freshId,
      random: options.entropy.random,
      found: options.found,
    };
    return aggregate.decide(state, command, context);
  }

  function accept(envelope: CommandEnvelope<Command>, caused: readonly Event[]): Verdict<Reply> {
    const firstEvent = events.length;
    state = foldEvents(aggregate, state, caused, revision, options.now, firstEvent);
    events.push(...caused);
    marks.push(markOf(envelope, caused.length));
    if (envelope.requestId !== undefined) {
      inBatch ??= new Map();
      inBatch.set(envelope.requestId, envelope.bodyHash ?? "");
    }
    return { kind: "committed", firstEvent, eventCount: caused.length };
  }

  function judge(envelope: CommandEnvelope<Command>): Verdict<Reply> {
    const repeated = repeatedRequest(fold, inBatch, envelope);
    if (repeated) return repeated;
    const mismatch = revisionMismatch(fold, events.length, envelope.expectedRevision);
    if (mismatch) return { kind: "refused", refusal: mismatch };
    const decision = decide(envelope.command);
    switch (decision.kind) {
      case "commit":
        return accept(envelope, decision.events);
      case "answer":
        return { kind: "answered", reply: decision.reply };
      case "repeat":
        return { kind: "repeated", revision: decision.revision, bodyHash: decision.bodyHash };
      case "refuse":
        return { kind: "refused", refusal: decision.refusal };
    }
  }

  for (const { envelope } of batch) {
    try {
      verdicts.push(judge(envelope));
    } catch (error) {
      options.onBug(error);
      const refusal = refusalOf("INTERNAL", "Internal error; it was logged with its cause");
      verdicts.push({ kind: "refused", refusal });
    }
  }
  return { verdicts, marks, events, state };
}
