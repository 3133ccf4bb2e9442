/**
 * Matches runnable runtimes with attached executors.
 *
 * D1  Executors are told only what committed events say; a start is decided by the runtime's
 *     stream.
 * D2  Work is found by local commits, by signals of other replicas, and by looks at the views;
 *     each alone would do, the faster ones only save time.
 * D3  A runtime without an attached executor costs nothing here.
 * D4  A runtime goes to its last executor when that one has a free slot, else to whoever has.
 * D5  The replica that commits tells the others of work that it cannot place; nobody passes on
 *     what he was told.
 */
import type { ExecutorFacts } from "../core/runtime/explain.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { TaskAnnouncement } from "../core/runtime/task-control.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import { type Namespace, type RunId, runtimeIdOf, type StreamName } from "../core/shared/ids.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, Storage, StreamPoint, StreamRow } from "../engine/ports.ts";
import type { Standings } from "../engine/stream-entry.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import { makeAcknowledgements } from "./acknowledgements.ts";
import { makeAssigner } from "./assigner.ts";
import { type Detach, makeDepartures } from "./departures.ts";
import { executorFacts } from "./executor-facts.ts";
import { makeHeldRuns } from "./held-runs.ts";
import { makeHeldStreams } from "./held-streams.ts";
import { type HeldDrain, makeHostedDrains } from "./hosted-drains.ts";
import { makeNamedRuntimes } from "./named-runtimes.ts";
import { type Notice, type NoticeHolder, noticesOf } from "./notices.ts";
import type { Payloads } from "./payloads.ts";
import { makePools } from "./pools.ts";
import { type Claimant, isReplaced, makeRegisters, type Renewed } from "./registers.ts";
import type { RuntimeCommit, RuntimeStreams } from "./runtime-streams.ts";
import { freeSlots, holderKey, type Session, type SessionTerms, tell } from "./session.ts";
import { makeSessions } from "./sessions.ts";

const POLL_MS = 1000;
/** An executor that polls is forgotten when it stays away this long; its leases are not. */
const POLLER_IDLE_MS = 120_000;
/** Streams that became runnable elsewhere and are being loaded; the rest is found in the views. */
const LOADS_MAX = 500;
/** A row that is behind its stream for so long is not just late. */
const STALE_ROW_MS = 5000;
/** The others are told of so many busy pools with each heartbeat; of the rest they know less. */
const TOLD_POOLS_MAX = 1000;

/** What is open about the tasks of the session whose runtime has this stream. */
export type OpenTaskControls = (runtime: StreamName) => Promise<readonly TaskAnnouncement[]>;

/** Limits and observers of the dispatcher. */
export interface DispatcherOptions {
  readonly engine: Engine;
  readonly replicaId: string;
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
  /** What the executor that gets hold of a runtime is to be told of the tasks of its session. */
  readonly openTaskControls: OpenTaskControls;
}

/** One replica's dispatcher. */
export interface Dispatcher {
  readonly start: () => void;
  /** Ends all sessions with a farewell; leases stay. */
  readonly stop: () => void;
  /** To be called for every commit folded here. */
  readonly advanced: (stream: StreamName, commit: RuntimeCommit, standings: Standings) => void;
  /** Takes back a run that nobody acknowledged in time; `row` is where the timer was found. */
  readonly tick: (stream: StreamName, row?: StreamRow) => Promise<void>;
  /** Tells a runtime that the register of its executor lapsed; `row` is where that was found. */
  readonly lapse: (holder: string, row: StreamRow) => Promise<void>;
  /** Ends the session of a holder whose register lapsed. */
  readonly endSession: (holder: string) => void;
  /**
   * Opens (or takes over) the session of an incarnation and sends again what it holds and does not
   * name in `heldRunIds`. Refuses EXECUTOR_INCARNATION_DEAD, LIMIT_EXCEEDED, SERVER_DRAINING.
   */
  readonly attach: (terms: SessionTerms, heldRunIds: readonly RunId[]) => Promise<Session>;
  /** Ends the session of a stream that closed; leases stay. */
  readonly close: (session: Session) => void;
  /** The session of an incarnation at this replica. */
  readonly sessionOf: (holder: string) => Session | undefined;
  /** An executor that polls waits for a run from now on; resolves after a look for one. */
  readonly awaitRun: (session: Session) => Promise<void>;
  /** Sends again the runs held by a session that polls and does not name them. */
  readonly resend: (session: Session, heldRunIds: readonly RunId[]) => void;
  /** Has an executor end the drains that it says it runs and that are over. */
  readonly reviewDrains: (session: Session, held: readonly HeldDrain[]) => void;
  /** Acknowledges runs that an incarnation says it holds; answers those that are not its. */
  readonly acknowledge: (
    namespace: Namespace,
    holder: string,
    runIds: readonly RunId[],
  ) => Promise<readonly RunId[]>;
  /** Renews an incarnation's register; a dead one ends its session. */
  readonly renew: (holder: string) => Promise<Renewed>;
  /**
   * Keeps the register of an incarnation that is about to take a run of its own; answers its time
   * to live. Refuses EXECUTOR_INCARNATION_DEAD.
   */
  readonly claim: (claimant: Claimant) => Promise<number>;
  /** What is known of the executors that could run a runtime, or hold it. */
  readonly executorFacts: (namespace: string, state: RuntimeState) => Promise<ExecutorFacts>;
  /** Renews the register of a session in the background. */
  readonly renewLater: (session: Session) => void;
  /** Ends what an executor gives back at its own wish. */
  readonly detach: Detach;
  readonly stats: () => {
    readonly sessions: number;
    readonly heldRuns: number;
    readonly queued: number;
  };
}

/** What the parts of a dispatcher share with each other. */
function makeParts(options: DispatcherOptions, onStaleRow: (row: StreamRow) => void) {
  const { engine, storage, streams, payloads, clock, observer, summarize } = options;
  const { time } = engine;
  const { views } = storage;
  const registers = makeRegisters(storage.leases, clock, time.nowMs);
  const mayServe = (session: Session): boolean | Promise<boolean> =>
    registers.isTrusted(session) || isAlive(session);
  const assigner = makeAssigner({
    streams,
    observer,
    limits: { batchInputsMax: options.batchInputsMax, batchBytesMax: options.batchBytesMax },
    mayServe,
  });
  const named = makeNamedRuntimes({
    streams,
    summarize,
    clock,
    time,
    assigner,
    onHeld: tellTasks,
  });
  const pools = makePools({ engine, views, streams, summarize, clock, assigner, onStaleRow });
  const held = makeHeldRuns({ streams, payloads, clock, observer });
  const drains = makeHostedDrains({
    streams,
    views,
    sessions: () => sessions,
    assigner,
    time,
    clock,
    mayServe,
  });
  const sessions = makeSessions({
    registers,
    clock,
    onAttached: engine.relay.tellAttached,
    resume: async (session, heldRunIds) => {
      const found = await heldStreams(session.terms.namespace, session.holder);
      await held.resume(session, found, new Set(heldRunIds));
      await drains.resume(session, found);
    },
    join: (session) => {
      const { target } = session.terms;
      if (target.kind === "pool") pools.join(session, target.pool);
      else named.join(session, target.streams);
    },
    leave: (session) => {
      const { target } = session.terms;
      if (target.kind === "pool") pools.leave(session, target.pool);
      for (const stream of session.held.keys()) held.drop(session, stream);
      drains.leave(session);
    },
  });
  const heldStreams = makeHeldStreams(engine.views, views, sessions.of);
  const { acknowledge } = makeAcknowledgements({
    engine,
    replicaId: options.replicaId,
    streams,
    sessionOf: sessions.of,
    heldStreams,
    onFound: held.hold,
  });
  const detach = makeDepartures({
    streams,
    heldStreams,
    sessionOf: sessions.of,
    end: async (holder) => {
      await storage.leases.close(holder);
      const session = sessions.of(holder);
      if (session) sessions.close(session, "detached");
    },
  });

  /** Tells whoever got hold of a runtime by name what is open about the tasks of its session. */
  function tellTasks(session: Session, stream: StreamName): void {
    const told = options.openTaskControls(stream).then((controls) => {
      const generation = streams.peek(stream)?.state.generation ?? 0;
      const runtimeId = runtimeIdOf(parseStreamName(stream)?.id ?? "");
      for (const control of controls) {
        tell(session, { type: "task_control", runtimeId, generation, ...control });
      }
    });
    assigner.background("tasks of a session", told);
  }

  /** Looks the register up where needed; a session that is over or replaced ends. */
  async function isAlive(session: Session): Promise<boolean> {
    const state = await registers.confirm(session);
    if (state === "over") sessions.end(session.holder);
    if (state === "replaced") sessions.close(session, "replaced");
    return state === "alive";
  }

  const serving = { named, pools, held, drains };
  const following = { acknowledge, detach, isAlive, tellTasks };
  return { registers, assigner, ...serving, sessions, ...following };
}

/** Makes the dispatcher of a process. */
export function makeDispatcher(options: DispatcherOptions): Dispatcher {
  const { engine, storage, streams, payloads, clock } = options;
  const { time, membership } = engine;
  const parts = makeParts(options, onStaleRow);
  const { registers, assigner, named, pools, held, drains, sessions } = parts;
  let loads = 0;
  let stopped = false;

  function sessionOf(stream: StreamName, holder: NoticeHolder | null): Session | undefined {
    const namespace = parseStreamName(stream)?.namespace;
    if (!holder || namespace === undefined) return undefined;
    return sessions.of(holderKey({ namespace, ...holder }));
  }

  /** Has a row written again that is behind its stream for longer than views lag. */
  function onStaleRow(row: StreamRow): void {
    const fold = streams.peek(row.stream);
    if (!fold || fold.revision <= row.revision || time.nowMs() - fold.at < STALE_ROW_MS) return;
    assigner.background("repair of a row", streams.reproject(row.stream));
  }

  /** Gives a session with room its next work. */
  function rematch(session: Session): void {
    const { namespace, target } = session.terms;
    if (target.kind === "pool") pools.match(namespace, target.pool);
    else named.serveAll(session);
  }

  function announceStart(stream: StreamName, commit: RuntimeCommit, standings: Standings): void {
    const { run, lease } = commit.after.state;
    const session = sessionOf(stream, lease);
    if (!run || !session) return;
    const since = standings.before.runnableSince ?? commit.stored.at;
    options.onAssigned(Math.max(0, commit.stored.at - since));
    held.hold(session, stream, run.runId);
    const isAnswered = commit.events.some((event) => {
      if (event.type === "run_completed") return event.nextRunId === run.runId;
      return event.type === "run_started" && event.runId === run.runId && event.taken === true;
    });
    // A run that CompleteRun or IngestAndRun asked for goes out with its answer.
    if (!isAnswered) held.send(session, stream);
  }

  function deliver(stream: StreamName, notice: Notice, isDeaf: boolean): void {
    const session = sessionOf(stream, notice.to);
    if (!session) return;
    const { message } = notice;
    if (message.type === "control" && message.control === "interrupt" && message.runId) {
      session.interruptedMs.set(message.runId, clock.monotonicMs());
    }
    if (notice.leaves) session.returned.add(stream);
    if (notice.cutOff) session.fenced.add(stream);
    tell(session, message);
    if (message.type === "lease_granted") parts.tellTasks(session, stream);
    // A new stream, or another poll, is the sign that the executor lives.
    if (notice.cutOff && !session.terms.polls) sessions.close(session, "fenced");
    const isTakenBack = message.type === "lease_lost" && message.reason === "taken_back";
    if (isTakenBack && isDeaf && !session.terms.polls) sessions.close(session, "unresponsive");
  }

  /** Puts a runnable runtime where an executor will find it: here, or at another replica. */
  function offer(stream: StreamName, state: RuntimeState): boolean {
    if (state.lease?.named !== true) return pools.offer(stream, state);
    const session = sessionOf(stream, state.lease);
    if (session) named.serve(session, stream);
    return session !== undefined;
  }

  function advanced(stream: StreamName, commit: RuntimeCommit, standings: Standings): void {
    // Without executors here nobody is going to read them soon.
    if (sessions.count() > 0) payloads.remember(stream, commit.events);
    const before = commit.before.state;
    const after = commit.after.state;
    const { runnableSince } = standings.after;
    const former = sessionOf(stream, before.lease);
    const ended = former?.held.get(stream);
    const hasEnded = ended !== undefined && ended.runId !== after.run?.runId;
    if (former && hasEnded) held.drop(former, stream);
    const isDeaf = ended?.delivery === "done";
    for (const notice of noticesOf({ events: commit.events, before, after })) {
      deliver(stream, notice, isDeaf);
    }
    const isStart = after.run !== null && after.run.runId !== before.run?.runId;
    if (isStart) announceStart(stream, commit, standings);
    drains.follow(stream, before, after);
    if (!drains.offer(stream, after) && commit.isOwn && before.drain !== after.drain) {
      engine.relay.tellRunnable({ stream, revision: commit.after.revision });
    }
    if (runnableSince !== undefined && !offer(stream, after) && commit.isOwn) {
      const wasKnown = standings.before.runnableSince !== undefined && before.lease === null;
      if (!wasKnown) engine.relay.tellRunnable({ stream, revision: commit.after.revision });
    }
    if (former && hasEnded) rematch(former);
  }

  function hearOfRunnable({ stream, revision }: StreamPoint): void {
    const address = parseStreamName(stream);
    const isServed = address?.kind === "runtime" && sessions.serves(address.namespace);
    if (!isServed || loads >= LOADS_MAX) return;
    loads += 1;
    // What is asked for on this ground is a command: its own commit shows whether it was behind.
    const offered = streams.caughtUp(stream, revision).then(({ state }) => {
      drains.offer(stream, state);
      offer(stream, state);
    });
    const counted = offered.finally(() => {
      loads -= 1;
    });
    assigner.background("runnable elsewhere", counted);
  }

  async function renew(holder: string): Promise<Renewed> {
    const session = sessions.of(holder);
    const renewed = await registers.renew(holder, session);
    if (session && renewed.kind !== "renewed") sessions.close(session);
    return renewed;
  }

  function tend(session: Session): void {
    const { polls, target } = session.terms;
    const isAway = clock.monotonicMs() - session.seenMs > POLLER_IDLE_MS;
    if (session.closed || (polls && !session.pollWaits && isAway)) {
      sessions.close(session);
      return;
    }
    if (held.reconcile(session) || target.kind === "runtimes") rematch(session);
    if (membership.isReachable()) {
      assigner.background("look at a register", parts.isAlive(session));
    }
  }

  function poll(): void {
    if (stopped) return;
    for (const session of sessions.all()) tend(session);
    assigner.background("look for runnable runtimes", pools.lookAll());
    assigner.background("look for drains that wait", drains.lookAll());
    clock.after(POLL_MS, poll);
  }

  async function lapse(holder: string, row: StreamRow): Promise<void> {
    const { lease, drain } = (await streams.fresh(row.stream)).state;
    const { namespace } = row;
    const lost = [lease, drain.host].find(
      (one) => one && holderKey({ namespace, ...one }) === holder,
    );
    if (!lost) {
      onStaleRow(row);
      return;
    }
    const { executorId, incarnationId } = lost;
    const command = { type: "lapse_lease" as const, executorId, incarnationId };
    await streams.submit(row.stream, { name: command.type, bytes: 150, command });
  }

  async function tick(stream: StreamName, row?: StreamRow): Promise<void> {
    const { acknowledgeTimeoutMs } = options;
    const command = { type: "tick" as const, acknowledgeTimeoutMs };
    const { events } = await streams.submit(stream, { name: command.type, bytes: 100, command });
    if (row && events.length === 0) onStaleRow(row);
  }

  membership.announce(() => pools.busy().slice(0, TOLD_POOLS_MAX));
  engine.onNewsElsewhere({
    onRunnable: (points) => {
      for (const point of points) hearOfRunnable(point);
    },
    onAttached: (lease) => {
      const session = sessions.of(lease.holder);
      if (session && isReplaced(session, lease)) sessions.close(session, "replaced");
    },
  });

  return {
    start: () => {
      clock.after(POLL_MS, poll);
    },
    stop: () => {
      stopped = true;
      sessions.stop();
    },
    advanced,
    tick,
    lapse,
    endSession: sessions.end,
    attach: sessions.attach,
    close: sessions.close,
    sessionOf: sessions.of,
    awaitRun: async (session) => {
      session.pollWaits = true;
      session.seenMs = clock.monotonicMs();
      rematch(session);
      const { namespace, target } = session.terms;
      if (target.kind !== "pool" || freeSlots(session) <= 0) return;
      const look = pools.look(namespace, target.pool);
      assigner.background("look for runnable runtimes", look);
      // What cannot be looked up now is found later.
      await look.catch(() => undefined);
    },
    resend: (session, heldRunIds) => held.resend(session, new Set(heldRunIds)),
    reviewDrains: (session, heldDrains) => {
      assigner.background("review of drains", drains.review(session, heldDrains));
    },
    acknowledge: parts.acknowledge,
    renew,
    claim: (claimant) => registers.claim(claimant, sessions.of(holderKey(claimant))),
    executorFacts: (namespace, state) => {
      return executorFacts({ leases: storage.leases, membership, pools }, namespace, state);
    },
    renewLater: (session) => {
      assigner.background("renewal", renew(session.holder));
    },
    detach: parts.detach,
    stats: () => ({
      sessions: sessions.count(),
      heldRuns: [...sessions.all()].reduce((sum, session) => sum + session.held.size, 0),
      queued: pools.queued(),
    }),
  };
}
