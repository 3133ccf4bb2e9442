/**
 * The driver's client, and a fresh one in its place when it does not find its server any more.
 *
 * The driver looks after a server by one check after the other over one connection. When
 * connections break in quick succession, two checks can come to share that connection; the one that
 * loses it is never answered, and from then on no operation finds a server, for as long as the
 * client lives. From outside that looks like a long outage, and during one a fresh client costs
 * next to nothing: so whoever finds no server for a while gets one.
 */
import { type MongoClient, MongoServerSelectionError } from "mongodb";

/** What replacing goes by. */
export interface ReplaceableClientOptions {
  readonly make: () => MongoClient;
  /** How long no operation may find a server before the client is replaced. */
  readonly patienceMs: number;
  /** How long an old client may live on for the operations that use it. */
  readonly farewellMs: number;
  readonly monotonicMs: () => number;
}

/** One client at a time. */
export interface ReplaceableClient {
  readonly current: () => MongoClient;
  /** To be told of every operation that was answered. */
  readonly answered: () => void;
  /** To be told of every operation that failed. */
  readonly failed: (error: unknown) => void;
  readonly close: () => Promise<void>;
}

/** Makes the first client. */
export function makeReplaceableClient(options: ReplaceableClientOptions): ReplaceableClient {
  const { make, patienceMs, farewellMs, monotonicMs } = options;
  const farewells = new Map<MongoClient, NodeJS.Timeout>();
  let current = make();
  let lostSinceMs: number | undefined;
  let isClosed = false;

  function endOld(client: MongoClient): void {
    farewells.delete(client);
    client.close().catch(() => undefined);
  }

  function replace(): void {
    const old = current;
    current = make();
    lostSinceMs = undefined;
    farewells.set(old, setTimeout(() => endOld(old), farewellMs).unref());
  }

  return {
    current: () => current,
    answered: () => {
      lostSinceMs = undefined;
    },
    failed: (error) => {
      if (isClosed || !(error instanceof MongoServerSelectionError)) return;
      lostSinceMs ??= monotonicMs();
      if (monotonicMs() - lostSinceMs >= patienceMs) replace();
    },
    close: async () => {
      isClosed = true;
      const old = [...farewells.keys()];
      for (const timer of farewells.values()) clearTimeout(timer);
      farewells.clear();
      await Promise.all([current, ...old].map((client) => client.close()));
    },
  };
}
