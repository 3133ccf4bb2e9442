// One replica that serves ledgers over some storage.
import { createHash } from "node:crypto";
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { type Engine, makeEngine } from "../../../src/engine/engine.ts";
import { type EngineObserver, silentObserver } from "../../../src/engine/observer.ts";
import type { Clock, Storage } from "../../../src/engine/ports.ts";
import type { CommandEnvelope } from "../../../src/engine/stream-entry.ts";
import { streamName } from "../../../src/engine/stream-name.ts";
import type { Streams } from "../../../src/engine/streams.ts";
import { type LedgerAggregate, ledgerAggregate } from "./ledger-aggregate.ts";
import type { LedgerCommand, LedgerEvent, LedgerReply, LedgerState } from "./ledger-types.ts";
import { makeSeededEntropy } from "./seeded-entropy.ts";

/** The streams of ledgers at one replica. */
export type LedgerStreams = Streams<LedgerState, LedgerCommand, LedgerEvent, LedgerReply>;

/** An engine that serves ledgers. */
export interface LedgerReplica {
  readonly engine: Engine;
  readonly ledgers: LedgerStreams;
}

/** What a replica is made of; the rest has defaults that suit small tests. */
export interface LedgerReplicaOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly replicaId: string;
  readonly seed?: number;
  readonly cacheBytesMax?: number;
  readonly answerTimeoutMs?: number;
  readonly observer?: EngineObserver;
  readonly aggregate?: LedgerAggregate;
}

/** Makes a replica; the caller starts its engine. */
export function makeLedgerReplica(options: LedgerReplicaOptions): LedgerReplica {
  const { storage, clock, replicaId, seed = 1, aggregate = ledgerAggregate } = options;
  const engine = makeEngine({
    storage,
    clock,
    replicaId,
    entropy: makeSeededEntropy(seed),
    observer: options.observer ?? silentObserver,
    address: "here",
    version: "0.0.0",
    cacheBytesMax: options.cacheBytesMax ?? 64 * 1024 * 1024,
    answerTimeoutMs: options.answerTimeoutMs ?? 5000,
  });
  return { engine, ledgers: engine.streamsOf(aggregate) };
}

/** The stream of a ledger. */
export function ledgerName(id: string): StreamName {
  return streamName("ledger", "default", id);
}

/** A command as a client sends it; with a request id it can be sent again. */
export function envelopeOf(
  command: LedgerCommand,
  requestId?: string,
): CommandEnvelope<LedgerCommand> {
  const bodyHash = createHash("sha256").update(JSON.stringify(command)).digest("hex");
  const request = requestId === undefined ? {} : { requestId, retrySafe: true };
  return { command, name: command.type, bytes: 100, bodyHash, ...request };
}
