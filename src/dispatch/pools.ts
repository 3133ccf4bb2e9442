/**
 * Pools: the executors that serve them here and the runtimes known to wait. Work is found by local
 * commits, by signals and by looks at the views; each alone would do.
 */
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Engine } from "../engine/engine.ts";
import type { BusyPool, Clock, StreamRow, ViewStore } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { Assigner } from "./assigner.ts";
import { mayGoBackAt } from "./returned-runs.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { makeReadyQueue, type ReadyQueue } from "./ready-queue.ts";
import { servedPool } from "./registers.ts";
import { freeSlots, holderKey, type Session } from "./session.ts";

const LOOK_ROWS = 500;
/** A look that finds nothing new looks at twice as many rows the next time, up to this many. */
const LOOK_ROWS_MAX = 16_000;
/** Between two looks while more is known to wait. */
const LOOK_GAP_MS = 20;
/** Between two looks because an executor became free. */
const FREE_LOOK_GAP_MS = 100;
/** How long the last executor of a runtime, at another replica, has the first go. */
const STICKY_MS = 100;
const RETRY_MS = 250;
const RECHECK_MS = 1000;

/** One pool of one namespace at this replica. */
interface Pool {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly sessions: Map<string, Session>;
  readonly queue: ReadyQueue;
  looking: Promise<void> | null;
  lookedMs: number;
  lookRows: number;
  /** Looks and matches that are set for later. */
  lookAlarm: Alarm | null;
  wakeAlarm: Alarm | null;
}

interface Alarm {
  readonly atMs: number;
  readonly cancel: () => void;
}

/** The pools served at this replica. */
export interface Pools {
  readonly join: (session: Session, pool: string) => void;
  readonly leave: (session: Session, pool: string) => void;
  /** Takes a runnable runtime up; false when nobody here is going to serve it now. */
  readonly offer: (stream: StreamName, state: RuntimeState) => boolean;
  /** An executor of the pool has room: match it. */
  readonly match: (namespace: string, pool: string) => void;
  /** Looks for runnable runtimes in the views of one pool, if an executor here has room. */
  readonly look: (namespace: string, pool: string) => Promise<void>;
  /** Looks for runnable runtimes in the views, for every pool with room. */
  readonly lookAll: () => Promise<void>;
  readonly queued: () => number;
  /** Pools whose executors here take no more runs, all of them. */
  readonly busy: () => readonly BusyPool[];
  /** Executors of a pool that are attached here. */
  readonly attached: (namespace: string, pool: string) => number;
}

/** What pools work with. */
export interface PoolsOptions {
  readonly engine: Engine;
  readonly views: Pick<ViewStore, "runnable">;
  readonly streams: RuntimeStreams;
  readonly summarize: (state: RuntimeState) => StreamSummary;
  readonly clock: Clock;
  readonly assigner: Assigner;
  /** Told of rows that show more than there is, so that they can be written again. */
  readonly onStaleRow: (row: StreamRow) => void;
}

const hasRoom = (pool: Pool): boolean => {
  for (const session of pool.sessions.values()) if (freeSlots(session) > 0) return true;
  return false;
};

/** The session of the runtime's last executor, if it serves this pool here. */
function lastServer(pool: Pool, state: RuntimeState): Session | undefined {
  const last = state.lastExecutor;
  return last ? pool.sessions.get(holderKey({ namespace: pool.namespace, ...last })) : undefined;
}

/** The session with the most room, but not this one. */
function roomiest(pool: Pool, except?: Session): Session | undefined {
  let best: Session | undefined;
  for (const session of pool.sessions.values()) {
    if (session !== except && freeSlots(session) > (best ? freeSlots(best) : 0)) best = session;
  }
  return best;
}

/** Makes the pools of a process. */
export function makePools(options: PoolsOptions): Pools {
  const { engine, views, streams, summarize, clock, assigner } = options;
  const { time, membership } = engine;
  const pools = new Map<string, Pool>();

  const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

  function makePool(namespace: string, name: string): Pool {
    const queue = makeReadyQueue();
    // Nothing is known before the first look.
    queue.setHorizon(Number.NEGATIVE_INFINITY);
    return {
      key: keyOf(namespace, name),
      namespace,
      name,
      sessions: new Map(),
      queue,
      looking: null,
      lookedMs: Number.NEGATIVE_INFINITY,
      lookRows: LOOK_ROWS,
      lookAlarm: null,
      wakeAlarm: null,
    };
  }

  /** Who gets a runtime now, or when to ask again. */
  function placeOf(pool: Pool, state: RuntimeState | undefined): Session | TimeMs | undefined {
    if (!state) return roomiest(pool);
    const nowMs = time.nowMs();
    const last = lastServer(pool, state);
    const goesBackAt = mayGoBackAt(state);
    if (goesBackAt !== undefined && goesBackAt > nowMs) return roomiest(pool, last) ?? goesBackAt;
    if (last && freeSlots(last) > 0) return last;
    const isElsewhere = state.lastExecutor !== null && !last && goesBackAt === undefined;
    const stickyUntil = (summarize(state).runnableSince ?? 0) + STICKY_MS;
    if (isElsewhere && membership.hasOthers() && stickyUntil > nowMs) return stickyUntil;
    return roomiest(pool);
  }

  function assign(pool: Pool, session: Session, stream: StreamName): void {
    assigner.assign(session, stream, (outcome) => {
      if (outcome === "failed") {
        const sinceMs = summarizedSince(stream) ?? time.nowMs();
        pool.queue.offer(stream, sinceMs, time.nowMs() + RETRY_MS);
      }
      matchPool(pool);
    });
  }

  function summarizedSince(stream: StreamName): TimeMs | undefined {
    const fold = streams.peek(stream);
    return fold && summarize(fold.state).runnableSince;
  }

  /** Whether a runtime is, as far as this process knows, one that a pool may serve. */
  function isServable(state: RuntimeState): boolean {
    return state.lease === null && summarize(state).runnableSince !== undefined;
  }

  function matchPool(pool: Pool): void {
    if (pools.get(pool.key) !== pool) return;
    while (hasRoom(pool)) {
      const stream = pool.queue.take(time.nowMs());
      if (stream === undefined) break;
      const state = streams.peek(stream)?.state;
      if (state && !isServable(state)) continue;
      const place = placeOf(pool, state);
      if (typeof place === "number") {
        pool.queue.offer(stream, summarizedSince(stream) ?? place, place);
      } else if (place) {
        assign(pool, place, stream);
      }
    }
    if (!hasRoom(pool)) return;
    setWake(pool);
    if (pool.queue.horizonMs() !== Number.POSITIVE_INFINITY) lookSoon(pool, LOOK_GAP_MS);
  }

  /** Backoffs end and deferrals expire without a commit: match again then. */
  function setWake(pool: Pool): void {
    const dueMs = pool.queue.nextDueMs();
    if (dueMs === undefined) return;
    const delayMs = Math.min(Math.max(0, dueMs - time.nowMs()), RECHECK_MS);
    const atMs = clock.monotonicMs() + delayMs;
    if (pool.wakeAlarm && pool.wakeAlarm.atMs <= atMs) return;
    pool.wakeAlarm?.cancel();
    const cancel = clock.after(delayMs, () => {
      pool.wakeAlarm = null;
      matchPool(pool);
    });
    pool.wakeAlarm = { atMs, cancel };
  }

  /** Looks at the views as soon as the last look lies so far back. */
  function lookSoon(pool: Pool, gapMs: number): void {
    const delayMs = Math.max(0, pool.lookedMs + gapMs - clock.monotonicMs());
    const atMs = clock.monotonicMs() + delayMs;
    if (pool.looking || (pool.lookAlarm && pool.lookAlarm.atMs <= atMs)) return;
    pool.lookAlarm?.cancel();
    const cancel = clock.after(delayMs, () => {
      pool.lookAlarm = null;
      if (hasRoom(pool)) assigner.background("look for runnable runtimes", look(pool));
    });
    pool.lookAlarm = { atMs, cancel };
  }

  function look(pool: Pool): Promise<void> {
    pool.looking ??= lookOnce(pool).finally(() => {
      pool.looking = null;
    });
    return pool.looking.then(() => matchPool(pool));
  }

  async function lookOnce(pool: Pool): Promise<void> {
    const { namespace, name, queue, lookRows } = pool;
    const knownMs = queue.horizonMs();
    pool.lookedMs = clock.monotonicMs();
    // Else rows of what was just served would fill the page, and what just came would be missing.
    if (knownMs !== Number.POSITIVE_INFINITY) await engine.views.flushMoved();
    const rows = await views.runnable("runtime", namespace, name, time.nowMs(), lookRows);
    const lastMs = rows.length < lookRows ? undefined : rows.at(-1)?.runnableSince;
    pool.lookRows = LOOK_ROWS;
    if (lastMs === undefined) {
      queue.setHorizon(Number.POSITIVE_INFINITY);
    } else if (lastMs > knownMs || knownMs === Number.POSITIVE_INFINITY) {
      queue.setHorizon(lastMs);
    } else if (lookRows < LOOK_ROWS_MAX) {
      pool.lookRows = lookRows * 2;
    } else {
      queue.setHorizon(Number.POSITIVE_INFINITY);
    }
    // After the horizon is set: what does not fit into the queue takes it back.
    for (const row of rows) takeRow(pool, row);
    pool.lookedMs = clock.monotonicMs();
  }

  function takeRow(pool: Pool, row: StreamRow): void {
    const fold = streams.peek(row.stream);
    const isNewer = fold !== undefined && fold.revision > row.revision;
    if (isNewer && !isServable(fold.state)) {
      options.onStaleRow(row);
      return;
    }
    const since = isNewer ? summarize(fold.state).runnableSince : row.runnableSince;
    if (since !== undefined && row.holder === undefined) pool.queue.offer(row.stream, since);
  }

  return {
    join: (session, name) => {
      const { namespace } = session.terms;
      const key = keyOf(namespace, name);
      const pool = pools.get(key) ?? makePool(namespace, name);
      pools.set(key, pool);
      pool.sessions.set(session.holder, session);
      assigner.background("look for runnable runtimes", look(pool));
    },
    leave: (session, name) => {
      const key = keyOf(session.terms.namespace, name);
      const pool = pools.get(key);
      if (!pool || pool.sessions.get(session.holder) !== session) return;
      pool.sessions.delete(session.holder);
      if (pool.sessions.size > 0) return;
      pools.delete(key);
      pool.lookAlarm?.cancel();
      pool.wakeAlarm?.cancel();
    },
    offer: (stream, state) => {
      // A server without executors of its own comes here with every input.
      if (pools.size === 0) return false;
      const { pool: name, runnableSince } = summarize(state);
      if (name === undefined || runnableSince === undefined) return true;
      const namespace = parseStreamName(stream)?.namespace;
      if (namespace === undefined) return true;
      const pool = pools.get(keyOf(namespace, name));
      if (!pool) return false;
      const isServed = hasRoom(pool) && typeof placeOf(pool, state) !== "number";
      pool.queue.offer(stream, runnableSince);
      matchPool(pool);
      return isServed;
    },
    match: (namespace, name) => {
      const pool = pools.get(keyOf(namespace, name));
      if (!pool) return;
      matchPool(pool);
      if (pool.queue.size() === 0 && hasRoom(pool)) lookSoon(pool, FREE_LOOK_GAP_MS);
    },
    look: async (namespace, name) => {
      const pool = pools.get(keyOf(namespace, name));
      if (pool && hasRoom(pool)) await look(pool);
    },
    lookAll: async () => {
      const pending = [...pools.values()].filter(hasRoom).map(look);
      await Promise.all(pending);
    },
    busy: () => {
      return [...pools.values()].flatMap((pool) => {
        if (hasRoom(pool)) return [];
        const { namespace, name, sessions } = pool;
        return [{ pool: servedPool(namespace, name), executors: sessions.size }];
      });
    },
    attached: (namespace, name) => pools.get(keyOf(namespace, name))?.sessions.size ?? 0,
    queued: () => [...pools.values()].reduce((sum, pool) => sum + pool.queue.size(), 0),
  };
}
