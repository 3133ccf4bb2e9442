/**
 * Delivers the wakes in the outbox of a process as inputs of the runtimes they are for. The key of
 * the input names process and event, so a wake that is delivered twice is admitted once; the
 * process learns of the delivery afterwards. A runtime that cannot take a wake yet gets it later,
 * one that is gone never.
 */
import { hash } from "node:crypto";
import { processAggregate } from "../core/process/aggregate.ts";
import type { DeferralCause, WakeSettlement } from "../core/process/terms.ts";
import type { EventAppended } from "../core/process/events.ts";
import type { PendingWake, ProcessState } from "../core/process/state.ts";
import { dueWakes } from "../core/process/wakes.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { RuntimeCommand } from "../core/runtime/commands.ts";
import type { Input } from "../core/runtime/input.ts";
import {
  type InputId,
  inputIdOf,
  type ProcessId,
  type StreamName,
  type TimeMs,
} from "../core/shared/ids.ts";
import { type RefusalReason, RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import { canonicalText, decodeCommit } from "../engine/commit-codec.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Entropy } from "../engine/ports.ts";
import { streamName } from "../engine/stream-name.ts";
import { addressOf, flowEnvelope, grantsStreamOf, type GrantsStreams } from "./flow-streams.ts";

/** What the flow works between. */
export interface WakeFlowOptions {
  readonly processes: Pick<ProcessStreams, "fresh" | "submit" | "commit">;
  readonly runtimes: Pick<RuntimeStreams, "fresh" | "submit">;
  readonly grants: Pick<GrantsStreams, "fresh">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly nowMs: () => TimeMs;
  readonly observer: EngineObserver;
}

/** What became of one try: settled, or put off. */
type Outcome =
  | { readonly type: "settled"; readonly settlement: WakeSettlement }
  | { readonly type: "deferred"; readonly cause: DeferralCause };

/** Rounds of one drive; each delivers the oldest due wake of every runtime. */
const ROUNDS_MAX = 1000;

const TARGET_GONE: Outcome = {
  type: "settled",
  settlement: { type: "discarded", cause: "target_gone" },
};

function delivered(inputId: InputId): Outcome {
  return { type: "settled", settlement: { type: "delivered", inputId } };
}

const CAUSES: Partial<Record<RefusalReason, DeferralCause>> = {
  RUNTIME_NOT_REGISTERED: "not_registered",
  QUEUE_FULL: "queue_full",
};

/** The key under which a runtime knows a wake. */
function wakeKeyOf(processId: ProcessId, sequence: number): string {
  return `process:${processId}:event:${sequence}:wake`;
}

/** The input that a wake is: it steers, that is joins at the earliest boundary. */
function ingestOf(
  processId: ProcessId,
  event: EventAppended,
  wake: PendingWake,
  inputId: string,
): Extract<RuntimeCommand, { readonly type: "ingest" }> {
  const { sequence, eventType } = event;
  const content = {
    source: { type: "system" as const },
    durability: "durable" as const,
    transcriptEligible: true,
    operatorEligible: true,
    causationId: `process:${processId}:event:${sequence}`,
    body: {
      type: "external_event" as const,
      eventType: "process.wake",
      payload: {
        processId,
        sequence,
        eventType,
        dedupeKey: event.wake?.dedupeKey ?? "",
        text: event.wake?.input ?? "",
      },
      handlingMode: "steer" as const,
    },
  };
  const text = canonicalText(content);
  const input: Input = {
    inputId: inputIdOf(inputId),
    createdAt: wake.createdAt,
    idempotencyKey: wakeKeyOf(processId, sequence),
    ...content,
  };
  return {
    type: "ingest",
    runtimeId: wake.runtimeId,
    input,
    bodyHash: hash("sha256", text, "hex"),
    payloadBytes: Buffer.byteLength(text),
    withoutWake: false,
    ensure: false,
    // Of no account: a runtime that is not there is not made.
    defaults: runtimeAggregate.initial.config,
    inputIdIsFresh: true,
  };
}

/** Makes the drive of the flow: every due wake of a process. */
export function makeWakeFlow(options: WakeFlowOptions): (stream: StreamName) => Promise<void> {
  const { processes, runtimes, grants, entropy, nowMs, observer } = options;

  /** The logged event that caused a wake, out of the journal. */
  async function eventOf(stream: StreamName, { place }: PendingWake): Promise<EventAppended> {
    const stored = await processes.commit(stream, place.revision);
    const json = decodeCommit(stored).events[place.eventIndex] ?? null;
    const event = processAggregate.eventFromJson(json);
    if (event !== "unknown" && event.type === "process_event_appended") return event;
    throw new TypeError(`No event was logged at ${place.revision}/${place.eventIndex}`);
  }

  /** A session that is deleted gets nothing new; what it had got before, it had got. */
  async function outcomeAtDeleted(target: StreamName, key: string): Promise<Outcome> {
    const inputId = (await runtimes.fresh(target)).state.keys.get(key);
    return inputId === undefined ? TARGET_GONE : delivered(inputId);
  }

  async function deliver(
    stream: StreamName,
    processId: ProcessId,
    wake: PendingWake,
  ): Promise<Outcome> {
    const { namespace } = addressOf(stream);
    const { runtimeId, place } = wake;
    const target = streamName(runtimeAggregate.kind, namespace, runtimeId);
    const session = await grants.fresh(grantsStreamOf(namespace, runtimeId));
    if (session.state.phase === "deleted") {
      return await outcomeAtDeleted(target, wakeKeyOf(processId, place.sequence));
    }
    const event = await eventOf(stream, wake);
    const command = ingestOf(processId, event, wake, entropy.freshId());
    const { reply } = await runtimes.submit(target, flowEnvelope(command, command.payloadBytes));
    if (reply.type !== "ingested") throw new TypeError(`A wake was answered with ${reply.type}`);
    const { outcome } = reply;
    switch (outcome.type) {
      case "accepted":
        return delivered(outcome.header.inputId);
      case "deduplicated":
        return delivered(outcome.existingId);
      case "rejected": {
        const { reason } = outcome;
        const isGone = reason.type === "not_ready" && reason.state === "destroyed";
        return isGone ? TARGET_GONE : { type: "deferred", cause: "not_ready" };
      }
    }
  }

  /** One try; what goes wrong is a reason to try again later. */
  async function attempt(
    stream: StreamName,
    processId: ProcessId,
    wake: PendingWake,
  ): Promise<Outcome> {
    try {
      return await deliver(stream, processId, wake);
    } catch (error) {
      const known = error instanceof RefusedError ? CAUSES[error.refusal.reason] : undefined;
      if (known === undefined) observer.backgroundFailed("delivery of a wake", error);
      return { type: "deferred", cause: known ?? "failed" };
    }
  }

  async function handle(stream: StreamName, state: ProcessState, wake: PendingWake) {
    const { sequence } = wake.place;
    const outcome = await attempt(stream, state.processId, wake);
    const command =
      outcome.type === "settled"
        ? { type: "settle_wake" as const, sequence, settlement: outcome.settlement }
        : {
            type: "defer_wake" as const,
            sequence,
            attempts: wake.attempts,
            cause: outcome.cause,
          };
    await processes.submit(stream, flowEnvelope(command));
  }

  return async (stream) => {
    for (let rounds = 0; rounds < ROUNDS_MAX; rounds += 1) {
      const { state } = await processes.fresh(stream);
      const due = dueWakes(state, nowMs());
      if (due.length === 0) return;
      await Promise.all(due.map((wake) => handle(stream, state, wake)));
    }
  };
}
