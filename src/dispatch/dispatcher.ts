/**
 * Matches runnable runtimes with attached executors.
 *
 * D1  Executors are told only what committed events say; a start is decided by the runtime's
 *     stream.
 * D2  Work is found by local commits, by signals of other replicas, and by a poll of the views;
 *     each alone would do, the faster ones only save time.
 * D3  A runtime without an attached executor costs nothing here.
 * D4  A runtime goes to its last executor when that one has a free slot, else to whoever has.
 */
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { Namespace, RunId, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, Storage, StreamRow } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import { makeAssigner } from "./assigner.ts";
import { assignmentOf } from "./assignment.ts";
import { makeDueTimers } from "./due-timers.ts";
import { makeLeaseSweeper } from "./lease-sweeper.ts";
import { isHeldBy, makeNamedRuntimes } from "./named-runtimes.ts";
import { noticesOf } from "./notices.ts";
import type { Payloads } from "./payloads.ts";
import { makePools } from "./pools.ts";
import { makeRenewals } from "./renewals.ts";
import type { RuntimeCommit, RuntimeStreams } from "./runtime-streams.ts";
import { holderKey, makeSession, type Session, type SessionTerms, tell } from "./session.ts";

const POLL_MS = 1000;
const STREAMS_MAX = 1000;
/** An executor that polls is forgotten when it stays away this long; its leases are not. */
const POLLER_IDLE_MS = 120_000;

/** Limits and observers of the dispatcher. */
export interface DispatcherOptions {
  readonly engine: Engine;
  readonly storage: Storage;
  readonly streams: RuntimeStreams;
  readonly payloads: Payloads;
  readonly summarize: (state: RuntimeState) => StreamSummary;
  readonly clock: Clock;
  readonly observer: EngineObserver;
  /** Told how long a runtime was runnable before its run was assigned. */
  readonly onAssigned: (waitedMs: number) => void;
  readonly batchInputsMax: number;
  readonly batchBytesMax: number;
  readonly acknowledgeTimeoutMs: number;
}

/** One replica's dispatcher. */
export interface Dispatcher {
  readonly start: () => void;
  /** Ends all sessions with a farewell; leases stay. */
  readonly stop: () => void;
  /** To be called for every commit folded here. */
  readonly advanced: (stream: StreamName, commit: RuntimeCommit) => void;
  /**
   * Opens (or takes over) the session of an incarnation and sends again what it holds and does not
   * name in `heldRunIds`. Refuses EXECUTOR_INCARNATION_DEAD.
   */
  readonly attach: (terms: SessionTerms, heldRunIds: readonly RunId[]) => Promise<Session>;
  /** Ends the session of a stream that closed; leases stay. */
  readonly close: (session: Session) => void;
  /** The session of an incarnation at this replica. */
  readonly sessionOf: (holder: string) => Session | undefined;
  /** An executor that polls waits for a run from now on. */
  readonly awaitRun: (session: Session) => void;
  /** Sends again the runs held by a session that polls and does not name them. */
  readonly resend: (session: Session, heldRunIds: readonly RunId[]) => Promise<void>;
  /** Acknowledges runs that an incarnation says it holds; answers those that are not its. */
  readonly acknowledge: (
    namespace: Namespace,
    holder: string,
    runIds: readonly RunId[],
  ) => Promise<readonly RunId[]>;
  /** Renews an incarnation's register; answers its time to live, or nothing when it is dead. */
  readonly renew: (holder: string) => Promise<number | undefined>;
  /** Renews the register of a session in the background; a dead one closes the session. */
  readonly renewLater: (session: Session) => void;
  /** Ends an incarnation at its own wish, after its leases were given back. */
  readonly detach: (holder: string) => Promise<void>;
  /** Runtimes that an incarnation holds, from the views and from here. */
  readonly heldStreams: (namespace: Namespace, holder: string) => Promise<readonly StreamName[]>;
  readonly stats: () => {
    readonly sessions: number;
    readonly heldRuns: number;
    readonly queued: number;
  };
}

/** Makes the dispatcher of a process. */
export function makeDispatcher(options: DispatcherOptions): Dispatcher {
  const { engine, storage, streams, payloads, clock, observer, summarize } = options;
  const { time, membership } = engine;
  const sessions = new Map<string, Session>();
  const assigner = makeAssigner(streams, observer, {
    batchInputsMax: options.batchInputsMax,
    batchBytesMax: options.batchBytesMax,
  });
  const named = makeNamedRuntimes({ streams, summarize, clock, time, assigner });
  const pools = makePools({ engine, views: storage.views, streams, summarize, clock, assigner });
  const renewals = makeRenewals(storage.leases, clock);
  let stopped = false;

  function holderOf(stream: StreamName, state: RuntimeState): Session | undefined {
    const namespace = parseStreamName(stream)?.namespace;
    if (!state.lease || namespace === undefined) return undefined;
    return sessions.get(holderKey({ namespace, ...state.lease }));
  }

  /** Gives a session whose slot became free its next work. */
  function rematch(session: Session): void {
    const { namespace, target } = session.terms;
    if (target.kind === "pool") pools.match(namespace, target.pool);
    else for (const stream of target.streams) named.serve(session, stream);
  }

  function hold(session: Session, stream: StreamName, runId: RunId): void {
    drop(session, stream);
    const release = streams.listen(stream, () => undefined);
    session.held.set(stream, { runId, stream, release });
  }

  function drop(session: Session, stream: StreamName): void {
    session.held.get(stream)?.release();
    session.held.delete(stream);
  }

  async function send(session: Session, stream: StreamName, state: RuntimeState): Promise<void> {
    const assignment = await assignmentOf(stream, state, payloads);
    if (assignment) tell(session, { type: "run_assigned", assignment });
  }

  function announceStart(session: Session, stream: StreamName, commit: RuntimeCommit): void {
    const { state } = commit.after;
    if (!state.run) return;
    hold(session, stream, state.run.runId);
    options.onAssigned(Math.max(0, commit.stored.at - commit.before.state.wakeAt));
    const isAnswered = commit.commands.some(({ command }) => command === "complete_run");
    if (!isAnswered) assigner.background("assignment", send(session, stream, state));
  }

  /** Tells the executor of one event; the states are those around the whole commit. */
  function inform(stream: StreamName, event: RuntimeEvent, commit: RuntimeCommit): void {
    const before = commit.before.state;
    const after = commit.after.state;
    const session = holderOf(stream, after) ?? holderOf(stream, before);
    if (!session) return;
    const { runtimeId, epochId, run } = after;
    if (event.type === "lease_granted") {
      if (!event.named) return;
      tell(session, { type: "lease_granted", runtimeId, generation: event.generation, epochId });
    } else if (event.type === "run_started") {
      if (run?.runId === event.runId) announceStart(session, stream, commit);
    } else if (event.type === "input_admitted") {
      const lane = after.inputs.get(event.input.inputId)?.lane;
      if (!run || lane !== "steer") return;
      const count = after.steerLane.size;
      tell(session, { type: "steer_available", runtimeId, runId: run.runId, count });
    } else {
      for (const message of noticesOf(event, before, after)) tell(session, message);
    }
  }

  /** Puts a runnable runtime where an executor will find it: here, or at another replica. */
  function offer(stream: StreamName, state: RuntimeState): boolean {
    if (state.lease?.named !== true) return pools.offer(stream, state);
    const session = holderOf(stream, state);
    if (session) named.serve(session, stream);
    return session !== undefined;
  }

  function advanced(stream: StreamName, commit: RuntimeCommit): void {
    payloads.remember(stream, commit.events);
    const before = commit.before.state;
    const after = commit.after.state;
    const { dueAt, runnableSince } = summarize(after);
    timers.set(stream, dueAt);
    const formerHolder = holderOf(stream, before);
    const hasEnded = before.run !== null && before.run.runId !== after.run?.runId;
    if (hasEnded && formerHolder?.held.get(stream)?.runId === before.run.runId) {
      drop(formerHolder, stream);
    }
    for (const event of commit.events) inform(stream, event, commit);
    if (runnableSince !== undefined && !offer(stream, after)) {
      if (before.run !== null || !before.wake) engine.relay.tellRunnable(stream);
    }
    if (formerHolder && hasEnded) rematch(formerHolder);
  }

  async function heldStreams(namespace: Namespace, holder: string): Promise<readonly StreamName[]> {
    await engine.views.flush();
    const viewHolder = holder.slice(holder.indexOf("/") + 1);
    const rows = await storage.views.heldBy(viewHolder, STREAMS_MAX);
    const found = rows.filter((row) => row.namespace === namespace).map((row) => row.stream);
    return [...new Set([...found, ...(sessions.get(holder)?.held.keys() ?? [])])];
  }

  /** Takes up the runs that the incarnation holds already, and sends those it does not have. */
  async function resume(session: Session, heldRunIds: ReadonlySet<RunId>): Promise<void> {
    for (const stream of await heldStreams(session.terms.namespace, session.holder)) {
      const { state } = await streams.fresh(stream);
      if (!isHeldBy(session, state) || !state.run) continue;
      const { runId, generation, interruptRequested } = state.run;
      hold(session, stream, runId);
      if (!heldRunIds.has(runId)) {
        await send(session, stream, state);
      } else if (interruptRequested) {
        const { runtimeId } = state;
        tell(session, { type: "control", runtimeId, runId, generation, control: "interrupt" });
      }
    }
  }

  async function attach(terms: SessionTerms, heldRunIds: readonly RunId[]): Promise<Session> {
    const session = makeSession(terms, clock.monotonicMs());
    const { executorId, incarnationId, target } = terms;
    if ((await storage.leases.open(session.holder, terms.leaseTtlMs)) === "lapsed") {
      const message =
        "This incarnation's lease lapsed for good; restart the executor with a new incarnation id";
      const metadata = { executorId, incarnationId };
      throw new RefusedError(refusalOf("EXECUTOR_INCARNATION_DEAD", message, metadata));
    }
    const older = sessions.get(session.holder);
    if (older) {
      tell(older, { type: "close_stream", reason: "replaced" });
      close(older);
    }
    sessions.set(session.holder, session);
    await resume(session, new Set(heldRunIds));
    if (target.kind === "pool") pools.join(session, target.pool);
    else for (const stream of target.streams) named.join(session, stream);
    return session;
  }

  function close(session: Session): void {
    session.closed = true;
    for (const held of session.held.values()) held.release();
    session.held.clear();
    for (const cleanup of session.cleanups.splice(0)) cleanup();
    const { target } = session.terms;
    if (target.kind === "pool") pools.leave(session, target.pool);
    if (sessions.get(session.holder) === session) sessions.delete(session.holder);
    session.wake?.();
  }

  async function acknowledge(
    namespace: Namespace,
    holder: string,
    runIds: readonly RunId[],
  ): Promise<readonly RunId[]> {
    const unknown = new Set(runIds);
    const session = sessions.get(holder);
    const here = [...(session?.held.values() ?? [])];
    const areAllHere = runIds.every((runId) => here.some((held) => held.runId === runId));
    const candidates = areAllHere
      ? here.filter((held) => unknown.has(held.runId)).map((held) => held.stream)
      : await heldStreams(namespace, holder);
    for (const stream of candidates) {
      const { state } = areAllHere ? await streams.known(stream) : await streams.fresh(stream);
      const { run, lease } = state;
      if (!run || !lease || holderKey({ namespace, ...lease }) !== holder) continue;
      if (!unknown.delete(run.runId) || run.acknowledged) continue;
      const { runId, generation } = run;
      const command = { type: "acknowledge_run" as const, runId, generation };
      const envelope = { name: command.type, bytes: 100, retrySafe: true, command };
      try {
        await streams.submit(stream, envelope);
      } catch (error) {
        // The run ended or changed hands meanwhile: it is one of those that are not the caller's.
        if (!(error instanceof RefusedError) || error.refusal.retryAfterMs !== undefined)
          throw error;
        unknown.add(runId);
      }
    }
    return [...unknown];
  }

  async function renew(holder: string): Promise<number | undefined> {
    const session = sessions.get(holder);
    if (await renewals.renew(holder)) {
      return session?.terms.leaseTtlMs ?? (await storage.leases.get(holder))?.ttlMs;
    }
    if (session) close(session);
    return undefined;
  }

  async function poll(): Promise<void> {
    for (const session of sessions.values()) {
      const { target, polls } = session.terms;
      if (target.kind === "runtimes") rematch(session);
      const isAway = clock.monotonicMs() - session.seenMs > POLLER_IDLE_MS;
      if (polls && !session.pollWaits && isAway) close(session);
    }
    try {
      await pools.poll();
    } catch (error) {
      observer.backgroundFailed("poll for runnable runtimes", error);
    }
    if (!stopped) clock.after(POLL_MS, () => void poll());
  }

  async function lapse(holder: string, row: StreamRow): Promise<void> {
    const { lease } = (await streams.fresh(row.stream)).state;
    if (!lease || holderKey({ namespace: row.namespace, ...lease }) !== holder) return;
    const { executorId, incarnationId } = lease;
    const command = { type: "lapse_lease" as const, executorId, incarnationId };
    await streams.submit(row.stream, { name: command.type, bytes: 150, command });
  }

  const timers = makeDueTimers({
    views: storage.views,
    clock,
    time,
    observer,
    tick: async (stream) => {
      const { acknowledgeTimeoutMs } = options;
      const command = { type: "tick" as const, acknowledgeTimeoutMs };
      await streams.submit(stream, { name: command.type, bytes: 100, command });
    },
  });

  const sweeper = makeLeaseSweeper({
    leases: storage.leases,
    views: storage.views,
    clock,
    observer,
    lapse,
    nowMs: time.nowMs,
    steadyForMs: membership.steadyForMs,
    onLapsed: (holder) => {
      const session = sessions.get(holder);
      if (session) clock.after(POLL_MS, () => close(session));
    },
  });

  engine.onRunnableElsewhere((names) => {
    for (const stream of sessions.size === 0 ? [] : names) {
      if (parseStreamName(stream)?.kind !== "runtime") continue;
      const offered = streams.fresh(stream).then(({ state }) => offer(stream, state));
      assigner.background("runnable elsewhere", offered);
    }
  });

  return {
    start: () => {
      timers.start();
      sweeper.start();
      clock.after(POLL_MS, () => void poll());
    },
    stop: () => {
      stopped = true;
      timers.stop();
      sweeper.stop();
      for (const session of sessions.values()) {
        tell(session, { type: "close_stream", reason: "server_draining" });
        close(session);
      }
    },
    advanced,
    attach,
    close,
    sessionOf: (holder) => sessions.get(holder),
    awaitRun: (session) => {
      session.pollWaits = true;
      session.seenMs = clock.monotonicMs();
      rematch(session);
    },
    resend: (session, heldRunIds) => resume(session, new Set(heldRunIds)),
    acknowledge,
    renew,
    renewLater: (session) => {
      assigner.background("renewal", renew(session.holder));
    },
    detach: async (holder) => {
      await storage.leases.close(holder);
      const session = sessions.get(holder);
      if (!session) return;
      tell(session, { type: "close_stream", reason: "detached" });
      close(session);
    },
    heldStreams,
    stats: () => ({
      sessions: sessions.size,
      heldRuns: [...sessions.values()].reduce((sum, session) => sum + session.held.size, 0),
      queued: pools.queued(),
    }),
  };
}
