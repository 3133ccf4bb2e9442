/**
 * The capped collection `signals`: hints between replicas, tailed by each. A subscriber first
 * writes a marker of its own and listens from there on, so no clock and no order of keys is needed;
 * when the tail breaks it writes a new marker and tells of a gap.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Binary } from "mongodb";
import { streamNameOf } from "../../core/shared/ids.ts";
import {
  type LeaseAttachment,
  type Signal,
  type SignalStore,
  StorageError,
} from "../../engine/ports.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { requireWrites, type WriteReply } from "./errors.ts";

/** See the header of this file. The size is some ten thousand signals. */
export const signalCollection: CollectionDefinition = {
  name: "signals",
  indexes: [],
  cappedBytes: 4 * 1024 * 1024,
};

/** One signal, or the marker of a subscriber. */
interface SignalDocument {
  readonly replicaId: string;
  /** Eight bytes per shard. */
  readonly shards: Binary;
  readonly runnable: readonly { readonly stream: string; readonly revision: number }[];
  readonly attached: readonly LeaseAttachment[];
  /** Only in markers. */
  readonly marker?: string;
}

const shardBytes = 8;
const shardDigits = 16;
const reopenDelayMinMs = 50;
const reopenDelayMaxMs = 2_000;

function signalToDocument(signal: Signal): SignalDocument {
  return {
    replicaId: signal.replicaId,
    shards: new Binary(Buffer.from(signal.shards.join(""), "hex")),
    runnable: signal.runnable,
    attached: signal.attached,
  };
}

function signalFromDocument(document: SignalDocument): Signal {
  const digits = Buffer.from(document.shards.buffer).toString("hex");
  const count = document.shards.length() / shardBytes;
  return {
    replicaId: document.replicaId,
    shards: Array.from({ length: count }, (_, index) =>
      digits.slice(index * shardDigits, (index + 1) * shardDigits),
    ),
    runnable: document.runnable.map(({ stream, revision }) => {
      return { stream: streamNameOf(stream), revision };
    }),
    attached: document.attached.map(({ holder, attachments }) => ({ holder, attachments })),
  };
}

/** One who listens. */
interface Listener {
  readonly replicaId: string;
  readonly onSignal: (signal: Signal) => void;
  readonly onGap: () => void;
}

/** The hints of one connection. */
export function makeMongoSignals(connection: MongoConnection): SignalStore {
  async function insert(label: string, document: SignalDocument): Promise<void> {
    const reply = await connection.command<WriteReply>(label, {
      insert: signalCollection.name,
      documents: [document],
      writeConcern: connection.writeConcerns.fleeting,
    });
    requireWrites(label, reply);
  }

  /** Listens until the tail breaks or the signal ends it; `onStart` is told when it listens. */
  async function listen(
    listener: Listener,
    signal: AbortSignal,
    onStart: () => void,
  ): Promise<void> {
    const marker = randomUUID();
    let isListening = false;
    await insert("signals.mark", {
      replicaId: listener.replicaId,
      shards: new Binary(),
      runnable: [],
      attached: [],
      marker,
    });
    const take = (document: SignalDocument): void => {
      if (document.marker === marker) {
        isListening = true;
        onStart();
        return;
      }
      const isForeign = document.replicaId !== listener.replicaId;
      if (isListening && isForeign && document.marker === undefined) {
        listener.onSignal(signalFromDocument(document));
      }
    };
    await connection.tail("signals.tail", signalCollection.name, signal, take);
  }

  /** Listens again and again until the signal ends it; every start but the first is a gap. */
  async function keepListening(
    listener: Listener,
    signal: AbortSignal,
    onFirstStart: () => void,
    onFirstFailure: (error: unknown) => void,
  ): Promise<void> {
    let starts = 0;
    let delayMs = reopenDelayMinMs;
    while (!signal.aborted) {
      try {
        await listen(listener, signal, () => {
          starts += 1;
          delayMs = reopenDelayMinMs;
          if (starts === 1) onFirstStart();
          else listener.onGap();
        });
      } catch (error) {
        if (starts === 0) {
          onFirstFailure(error);
          return;
        }
      }
      await delay(delayMs, undefined, { signal }).catch(() => undefined);
      delayMs = Math.min(delayMs * 2, reopenDelayMaxMs);
    }
  }

  async function subscribe(
    replicaId: string,
    onSignal: (signal: Signal) => void,
    onGap: () => void,
  ): Promise<{ readonly close: () => Promise<void> }> {
    const controller = new AbortController();
    const listener: Listener = { replicaId, onSignal, onGap };
    const signal = AbortSignal.any([controller.signal, connection.closing]);
    let listening: Promise<void> = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      listening = keepListening(listener, signal, resolve, reject);
    });
    return {
      close: async () => {
        controller.abort(new StorageError("unavailable", "the subscription was closed"));
        await listening;
      },
    };
  }

  return {
    publish: (signal) => insert("signals.publish", signalToDocument(signal)),
    subscribe,
  };
}
