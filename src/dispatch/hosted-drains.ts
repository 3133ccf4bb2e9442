/**
 * Brings drains and executors together: a drain that waits goes to the holder of the runtime's
 * lease, or to an executor of its pool where nobody holds it, and only to one that can drain. Keeps
 * the streams of the drains that run at executors here listened to, so that an abort is heard
 * wherever it was committed. Work is found by local commits, by signals and by looks at the views.
 */
import { hostsDrain, isDrainWaiting } from "../core/runtime/drain.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { RuntimeId, StreamName } from "../core/shared/ids.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { Clock, ViewStore } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { Assigner } from "./assigner.ts";
import type { DrainControl } from "./messages.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { holderKey, type Session, tell } from "./session.ts";
import type { Sessions } from "./sessions.ts";

/** What an executor says at Attach that runs drains. */
const DRAIN_CAPABILITY = "peer_drain";
const LOOK_ROWS = 500;
/** An executor is told again of one drain at most this often. */
const REMIND_MS = 5_000;
const TOLD_MAX = 1_000;

/** A drain that an executor says it runs. */
export interface HeldDrain {
  readonly runtimeId: RuntimeId;
  readonly stream: StreamName;
  readonly sequence: number;
}

/** The drains of the executors at this replica. */
export interface HostedDrains {
  /** Follows a commit: what runs here is listened to, what runs here no more is not. */
  readonly follow: (stream: StreamName, before: RuntimeState, after: RuntimeState) => void;
  /** Offers a drain that waits; false when nobody here can have it. */
  readonly offer: (stream: StreamName, state: RuntimeState) => boolean;
  /** Tells an executor that attached again of the drains that it runs, and listens to them. */
  readonly resume: (session: Session, found: readonly StreamName[]) => Promise<void>;
  /**
   * Compares what an executor says it runs with what it is to run: what is over is told to end;
   * one that polls is told again of what it does not name, because an answer may be lost.
   */
  readonly review: (session: Session, held: readonly HeldDrain[]) => Promise<void>;
  /** Listens no more for a session that ends; its drains go on. */
  readonly leave: (session: Session) => void;
  /** Looks in the views for drains that wait for the executors at this replica. */
  readonly lookAll: () => Promise<void>;
}

/** What hosting drains works with. */
export interface HostedDrainsOptions {
  readonly streams: RuntimeStreams;
  readonly views: Pick<ViewStore, "drains">;
  readonly sessions: () => Pick<Sessions, "of" | "all">;
  readonly assigner: Pick<Assigner, "background">;
  readonly time: DatabaseTime;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly mayServe: (session: Session) => boolean | Promise<boolean>;
}

function canDrain(session: Session): boolean {
  return !session.closed && !session.ending && session.terms.capabilities.has(DRAIN_CAPABILITY);
}

function serves({ terms }: Session, stream: StreamName, state: RuntimeState): boolean {
  const { target } = terms;
  if (target.kind === "pool") return target.pool === state.config.pool;
  return target.streams.includes(stream);
}

/** The message that has an executor run the present drain of a runtime. */
function spawnMessage(state: RuntimeState): DrainControl | undefined {
  const { runtimeId, generation, peerEndpoint, drain } = state;
  const { sequence, mode } = drain;
  if (peerEndpoint === null || mode === null) return undefined;
  const control = { type: "spawn_drain", sequence, mode, endpoint: peerEndpoint } as const;
  return { type: "drain_control", runtimeId, generation, control };
}

/** Makes the host of drains of a process. */
export function makeHostedDrains(options: HostedDrainsOptions): HostedDrains {
  const { streams, views, sessions, assigner, time, clock, mayServe } = options;
  const asking = new Set<StreamName>();

  /** Who gets a drain: the holder of the lease, the last executor, else who has the fewest. */
  function hostOf(stream: StreamName, state: RuntimeState): Session | undefined {
    const namespace = parseStreamName(stream)?.namespace;
    if (namespace === undefined) return undefined;
    const { lease, lastExecutor } = state;
    const preferred = lease ?? lastExecutor;
    const session = preferred && sessions().of(holderKey({ namespace, ...preferred }));
    if (session && canDrain(session) && (lease !== null || serves(session, stream, state))) {
      return session;
    }
    if (lease !== null) return undefined;
    let best: Session | undefined;
    for (const other of sessions().all()) {
      if (other.terms.namespace !== namespace || !canDrain(other)) continue;
      if (!serves(other, stream, state)) continue;
      if (!best || other.drains.size < best.drains.size) best = other;
    }
    return best;
  }

  async function spawn(session: Session, stream: StreamName): Promise<void> {
    const may = mayServe(session);
    if (may !== true && !(await may)) return;
    const { executorId, incarnationId } = session.terms;
    const command = { type: "host_drain" as const, executorId, incarnationId };
    await streams.submit(stream, { name: command.type, bytes: 150, command });
  }

  function offer(stream: StreamName, state: RuntimeState): boolean {
    if (!isDrainWaiting(state)) return true;
    const session = hostOf(stream, state);
    if (!session) return false;
    // Before its time it is left to the next look.
    if (asking.has(stream) || state.drain.notBefore > time.nowMs()) return true;
    asking.add(stream);
    const asked = spawn(session, stream).finally(() => asking.delete(stream));
    assigner.background("spawn of a drain", asked);
    return true;
  }

  /** Notes that a session is told of a drain at this moment. */
  function noteTold(session: Session, stream: StreamName): void {
    const { drainsToldMs } = session;
    drainsToldMs.delete(stream);
    drainsToldMs.set(stream, clock.monotonicMs());
    const [oldest] = drainsToldMs.keys();
    if (drainsToldMs.size > TOLD_MAX && oldest !== undefined) drainsToldMs.delete(oldest);
  }

  function drop(session: Session, stream: StreamName): void {
    const stopListening = session.drains.get(stream);
    if (!stopListening) return;
    stopListening();
    session.drains.delete(stream);
    noteTold(session, stream);
  }

  function keep(session: Session, stream: StreamName): void {
    if (session.drains.has(stream) || session.closed) return;
    noteTold(session, stream);
    session.drains.set(
      stream,
      streams.listen(stream, () => undefined),
    );
  }

  function follow(stream: StreamName, before: RuntimeState, after: RuntimeState): void {
    const [former, present] = [before.drain.host, after.drain.host];
    if (former === null && present === null) return;
    const namespace = parseStreamName(stream)?.namespace ?? "";
    const left = former && sessions().of(holderKey({ namespace, ...former }));
    if (left && !hostsDrain(after, left.terms)) drop(left, stream);
    const session = present && sessions().of(holderKey({ namespace, ...present }));
    if (session) keep(session, stream);
  }

  async function resumeOne(session: Session, stream: StreamName): Promise<void> {
    // Before the read: from here on an abort is heard.
    keep(session, stream);
    await streams.fresh(stream);
    const state = streams.peek(stream)?.state;
    const message = state && hostsDrain(state, session.terms) ? spawnMessage(state) : undefined;
    if (message) tell(session, message);
    else drop(session, stream);
  }

  /** Notes that a session is being told of a drain, unless it was a moment ago. */
  function mayRemind(session: Session, stream: StreamName): boolean {
    const toldMs = session.drainsToldMs.get(stream) ?? Number.NEGATIVE_INFINITY;
    if (clock.monotonicMs() - toldMs < REMIND_MS) return false;
    noteTold(session, stream);
    return true;
  }

  async function reviewOne(session: Session, held: HeldDrain): Promise<void> {
    const { runtimeId, stream, sequence } = held;
    const { state } = await streams.fresh(stream);
    const isOurs = hostsDrain(state, session.terms) && state.drain.sequence === sequence;
    if (isOurs || !mayRemind(session, stream)) return;
    const { generation } = state;
    const control = { type: "abort_drain", sequence } as const;
    tell(session, { type: "drain_control", runtimeId, generation, control });
  }

  async function review(session: Session, held: readonly HeldDrain[]): Promise<void> {
    await Promise.all(held.map((drain) => reviewOne(session, drain)));
    if (!session.terms.polls) return;
    const named = new Map(held.map(({ stream, sequence }) => [stream, sequence]));
    for (const stream of session.drains.keys()) {
      const state = streams.peek(stream)?.state;
      if (!state || named.get(stream) === state.drain.sequence) continue;
      const message = hostsDrain(state, session.terms) ? spawnMessage(state) : undefined;
      if (message && mayRemind(session, stream)) tell(session, message);
    }
  }

  async function lookIn(namespace: string, pool: string): Promise<void> {
    const rows = await views.drains({ kind: "runtime", namespace, waitingIn: pool }, LOOK_ROWS);
    for (const row of rows) {
      const { state } = await streams.known(row.stream);
      offer(row.stream, state);
    }
  }

  /** Runtimes that executors named are at hand; those of pools are looked up once per pool. */
  async function lookAll(): Promise<void> {
    const pools = new Map<string, Promise<void>>();
    for (const session of sessions().all()) {
      if (!canDrain(session)) continue;
      const { namespace, target } = session.terms;
      if (target.kind === "pool") {
        const key = `${namespace}/${target.pool}`;
        if (!pools.has(key)) pools.set(key, lookIn(namespace, target.pool));
        continue;
      }
      for (const stream of target.streams) {
        const state = streams.peek(stream)?.state;
        if (state) offer(stream, state);
      }
    }
    await Promise.all(pools.values());
  }

  return {
    follow,
    offer,
    resume: async (session, found) => {
      await Promise.all(found.map((stream) => resumeOne(session, stream)));
    },
    review,
    leave: (session) => {
      for (const stream of session.drains.keys()) drop(session, stream);
    },
    lookAll,
  };
}
