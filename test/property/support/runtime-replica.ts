// One replica that serves runtimes over some storage, and the calls that are made of it.
import { runtimeAggregate } from "../../../src/core/runtime/aggregate.ts";
import type { RuntimeCommand, RuntimeReply } from "../../../src/core/runtime/commands.ts";
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import type { RuntimeState } from "../../../src/core/runtime/state.ts";
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { type Engine, makeEngine } from "../../../src/engine/engine.ts";
import type { EngineObserver } from "../../../src/engine/observer.ts";
import type { Clock, Storage } from "../../../src/engine/ports.ts";
import type { CommandEnvelope } from "../../../src/engine/stream-entry.ts";
import { streamName } from "../../../src/engine/stream-name.ts";
import type { Streams } from "../../../src/engine/streams.ts";
import { makeSeededEntropy } from "./seeded-entropy.ts";

/** The streams of runtimes at one replica. */
export type RuntimeStreams = Streams<RuntimeState, RuntimeCommand, RuntimeEvent, RuntimeReply>;

/** An engine that serves runtimes. */
export interface RuntimeReplica {
  readonly engine: Engine;
  readonly runtimes: RuntimeStreams;
}

/** Terminal facts in a state that make a checkpoint due, so that stories have some. */
const FORGETTABLE_MAX = 6;
/** Small enough to evict now and then. */
const CACHE_BYTES_MAX = 20_000;

/** A runtime that forgets early. */
function forgetful(aggregate: typeof runtimeAggregate): typeof runtimeAggregate {
  const countOf = aggregate.forgettableCount;
  const isDue = (state: RuntimeState): boolean => countOf(state) >= FORGETTABLE_MAX;
  return { ...aggregate, forgettableCount: (state) => (isDue(state) ? 1_000_000 : 0) };
}

/** Makes a replica; the caller starts its engine. */
export function makeRuntimeReplica(options: {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly replicaId: string;
  readonly seed: number;
  readonly observer: EngineObserver;
  readonly aggregate?: typeof runtimeAggregate;
}): RuntimeReplica {
  const { seed, aggregate = runtimeAggregate, ...rest } = options;
  const engine = makeEngine({
    ...rest,
    entropy: makeSeededEntropy(seed),
    address: "here",
    version: "0.0.0",
    cacheBytesMax: CACHE_BYTES_MAX,
    answerTimeoutMs: 5000,
  });
  return { engine, runtimes: engine.streamsOf(forgetful(aggregate)) };
}

/** The stream of a runtime. */
export function runtimeName(runtimeId: string): StreamName {
  return streamName("runtime", "default", runtimeId);
}

/** Commands that only their request id makes repeatable. */
const REMEMBERED: ReadonlySet<RuntimeCommand["type"]> = new Set([
  "ensure_runtime",
  "ingest_and_run",
  "cancel_inputs",
  "update_peer_ingress",
  "notify_drain_exited",
  "abort_drain",
  "register_operation",
  "mark_operation_provisioned",
  "report_operation_progress",
  "complete_operation",
  "fail_operation",
  "cancel_operation",
  "abort_operation_provisioning",
  "collect_completed",
]);

/** A command as the edge hands it to the engine; `actor` tells who wanted it. */
export function runtimeEnvelope(
  command: RuntimeCommand,
  actor: string,
): CommandEnvelope<RuntimeCommand> {
  const body = "bodyHash" in command ? { bodyHash: command.bodyHash } : {};
  const isRemembered = REMEMBERED.has(command.type);
  const mark = isRemembered ? { requestId: actor, bodyHash: `body of ${actor}` } : body;
  return { command, name: command.type, actor, bytes: 200, retrySafe: true, ...mark };
}
