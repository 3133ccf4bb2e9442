/**
 * Pools: the executors that serve them here and the runtimes known to wait. Work is found by local
 * commits, by signals and by a poll of the views; each alone would do.
 */
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { Engine } from "../engine/engine.ts";
import type { Clock, ViewStore } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { Assigner } from "./assigner.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { makeReadyQueue, type ReadyQueue } from "./ready-queue.ts";
import { freeSlots, holderKey, type Session } from "./session.ts";

const WAKE_MAX_MS = 1000;
const POLL_ROWS = 500;
const STICKY_MS = 100;
const RETRY_MS = 250;

/** One pool of one namespace at this replica. */
interface Pool {
  readonly namespace: string;
  readonly name: string;
  readonly sessions: Set<Session>;
  readonly queue: ReadyQueue;
  wakeScheduled: boolean;
}

/** The pools served at this replica. */
export interface Pools {
  readonly join: (session: Session, pool: string) => void;
  readonly leave: (session: Session, pool: string) => void;
  /** Takes a runnable runtime up; false when nobody here has room for it now. */
  readonly offer: (stream: StreamName, state: RuntimeState) => boolean;
  /** An executor of the pool has room: match it. */
  readonly match: (namespace: string, pool: string) => void;
  /** Looks for runnable runtimes in the views, for every pool with room. */
  readonly poll: () => Promise<void>;
  readonly queued: () => number;
}

/** What pools work with. */
export interface PoolsOptions {
  readonly engine: Engine;
  readonly views: Pick<ViewStore, "runnable">;
  readonly streams: RuntimeStreams;
  readonly summarize: (state: RuntimeState) => StreamSummary;
  readonly clock: Clock;
  readonly assigner: Assigner;
}

const hasRoom = (pool: Pool): boolean => {
  for (const session of pool.sessions) if (freeSlots(session) > 0) return true;
  return false;
};

/** The session of the runtime's last executor, if it serves this pool here. */
function lastServer(pool: Pool, state: RuntimeState | undefined): Session | undefined {
  const last = state?.lastExecutor;
  if (!last) return undefined;
  const holder = holderKey({ namespace: pool.namespace, ...last });
  for (const session of pool.sessions) if (session.holder === holder) return session;
  return undefined;
}

function choose(pool: Pool, state: RuntimeState | undefined): Session | undefined {
  const last = lastServer(pool, state);
  if (last && freeSlots(last) > 0) return last;
  let best: Session | undefined;
  for (const session of pool.sessions) {
    if (freeSlots(session) > (best ? freeSlots(best) : 0)) best = session;
  }
  return best;
}

/** Makes the pools of a process. */
export function makePools(options: PoolsOptions): Pools {
  const { engine, views, streams, summarize, clock, assigner } = options;
  const { time, membership } = engine;
  const pools = new Map<string, Pool>();

  const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

  /** True while the last executor is perhaps at another replica, which then has the first go. */
  function waitsForOther(pool: Pool, state: RuntimeState | undefined): boolean {
    if (!state?.lastExecutor || !membership.hasOthers() || lastServer(pool, state)) return false;
    return time.nowMs() - (summarize(state).runnableSince ?? 0) < STICKY_MS;
  }

  function assign(pool: Pool, session: Session, stream: StreamName): void {
    assigner.assign(session, stream, (tryAgain) => {
      if (tryAgain) pool.queue.offer(stream, time.nowMs() + RETRY_MS);
      matchPool(pool);
    });
  }

  function matchPool(pool: Pool): void {
    const deferred: StreamName[] = [];
    while (hasRoom(pool)) {
      const stream = pool.queue.take(time.nowMs());
      if (stream === undefined) break;
      const state = streams.peek(stream)?.state;
      const session = choose(pool, state);
      if (!session || waitsForOther(pool, state)) deferred.push(stream);
      else assign(pool, session, stream);
    }
    for (const stream of deferred) pool.queue.offer(stream, time.nowMs() + STICKY_MS);
    scheduleWake(pool);
  }

  /** Backoffs end and deferrals expire without a commit: look again then. */
  function scheduleWake(pool: Pool): void {
    const dueMs = pool.queue.nextDueMs();
    if (dueMs === undefined || pool.wakeScheduled || dueMs <= time.nowMs()) return;
    pool.wakeScheduled = true;
    clock.after(Math.min(dueMs - time.nowMs(), WAKE_MAX_MS), () => {
      pool.wakeScheduled = false;
      matchPool(pool);
    });
  }

  async function pollPool(pool: Pool): Promise<void> {
    const { namespace, name, queue } = pool;
    const rows = await views.runnable("runtime", namespace, name, time.nowMs(), POLL_ROWS);
    for (const row of rows) {
      const known = streams.peek(row.stream);
      const isNewer = known !== undefined && known.revision > row.revision;
      const since = isNewer ? summarize(known.state).runnableSince : row.runnableSince;
      if (since !== undefined && row.holder === undefined) queue.offer(row.stream, since);
    }
    matchPool(pool);
  }

  return {
    join: (session, name) => {
      const { namespace } = session.terms;
      const key = keyOf(namespace, name);
      const pool = pools.get(key) ?? {
        namespace,
        name,
        sessions: new Set(),
        queue: makeReadyQueue(),
        wakeScheduled: false,
      };
      pools.set(key, pool);
      pool.sessions.add(session);
      assigner.background("poll of a pool", pollPool(pool));
    },
    leave: (session, name) => {
      const key = keyOf(session.terms.namespace, name);
      const pool = pools.get(key);
      pool?.sessions.delete(session);
      if (pool?.sessions.size === 0) pools.delete(key);
    },
    offer: (stream, state) => {
      const { pool: name, runnableSince } = summarize(state);
      const namespace = parseStreamName(stream)?.namespace;
      if (name === undefined || runnableSince === undefined || namespace === undefined) return true;
      const pool = pools.get(keyOf(namespace, name));
      if (!pool) return false;
      const isServed = hasRoom(pool) && !waitsForOther(pool, state);
      pool.queue.offer(stream, runnableSince);
      matchPool(pool);
      return isServed;
    },
    match: (namespace, name) => {
      const pool = pools.get(keyOf(namespace, name));
      if (pool) matchPool(pool);
    },
    poll: async () => {
      for (const pool of pools.values()) if (hasRoom(pool)) await pollPool(pool);
    },
    queued: () => [...pools.values()].reduce((sum, pool) => sum + pool.queue.size(), 0),
  };
}
