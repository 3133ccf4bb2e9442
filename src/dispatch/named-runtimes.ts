/** Serves runtimes that an executor named: gets their lease, holds it, and starts their runs. */
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Clock } from "../engine/ports.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { Assigner } from "./assigner.ts";
import { mayGoBackAt } from "./returned-runs.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { freeSlots, type Session, tell } from "./session.ts";

/** Longer waits are left to the regular look at all named runtimes. */
const WAKE_MAX_MS = 1000;
const RETRY_MS = 250;

/** Named runtimes of the sessions at this replica. */
export interface NamedRuntimes {
  /** Starts serving the named runtimes; leases held already are announced again. */
  readonly join: (session: Session, streams: readonly StreamName[]) => void;
  /** Does what the committed state of a runtime calls for. */
  readonly serve: (session: Session, stream: StreamName) => void;
  /** Does so for all runtimes that the session named, the longest runnable first. */
  readonly serveAll: (session: Session) => void;
}

/** What serving named runtimes works with. */
export interface NamedRuntimesOptions {
  readonly streams: RuntimeStreams;
  readonly summarize: (state: RuntimeState) => StreamSummary;
  readonly clock: Clock;
  readonly time: DatabaseTime;
  readonly assigner: Assigner;
  /** Told of a lease that a session that attached holds already. */
  readonly onHeld: (session: Session, stream: StreamName) => void;
}

/** Whether the lease of a state, if any, is this session's. */
export function isHeldBy(session: Session, state: RuntimeState): boolean {
  const { executorId, incarnationId } = session.terms;
  return state.lease?.executorId === executorId && state.lease.incarnationId === incarnationId;
}

function canBeHeld(state: RuntimeState): boolean {
  const isOver = state.phase === "stopped" || state.phase === "destroyed";
  return state.registration === "registered" && !isOver;
}

/** Makes the server of named runtimes of a process. */
export function makeNamedRuntimes(options: NamedRuntimesOptions): NamedRuntimes {
  const { streams, summarize, clock, time, assigner } = options;
  /** Sessions that are looked at again soon, once each. */
  const alarms = new Map<Session, { readonly atMs: number; readonly cancel: () => void }>();

  function serveSoon(session: Session, delayMs: number): void {
    const atMs = clock.monotonicMs() + delayMs;
    const alarm = alarms.get(session);
    if (delayMs > WAKE_MAX_MS || (alarm && alarm.atMs <= atMs)) return;
    alarm?.cancel();
    const cancel = clock.after(delayMs, () => {
      alarms.delete(session);
      serveAll(session);
    });
    alarms.set(session, { atMs, cancel });
  }

  /** From when on a run may start; undefined when there is nothing to run. */
  function dueAt(state: RuntimeState): TimeMs | undefined {
    const { runnableSince } = summarize(state);
    if (runnableSince === undefined) return undefined;
    return Math.max(runnableSince, mayGoBackAt(state) ?? 0);
  }

  /** Since when a waiting runtime is due; undefined when there is nothing to start any more. */
  function waitingSince(session: Session, stream: StreamName): TimeMs | undefined {
    const state = streams.peek(stream)?.state;
    const isOurs = state !== undefined && isHeldBy(session, state) && state.lease?.named === true;
    return isOurs && !session.held.has(stream) ? dueAt(state) : undefined;
  }

  /** Starts runs of what waits, the longest due first, while there are slots. */
  function startWaiting(session: Session): void {
    if (session.waiting.size === 0 || freeSlots(session) <= 0) return;
    const due: { readonly stream: StreamName; readonly sinceMs: TimeMs }[] = [];
    for (const stream of session.waiting) {
      const sinceMs = waitingSince(session, stream);
      if (sinceMs === undefined) session.waiting.delete(stream);
      else due.push({ stream, sinceMs });
    }
    due.sort((left, right) => left.sinceMs - right.sinceMs);
    for (const { stream, sinceMs } of due) {
      if (freeSlots(session) <= 0) return;
      const waitMs = sinceMs - time.nowMs();
      if (waitMs > 0) {
        serveSoon(session, waitMs);
        return;
      }
      session.waiting.delete(stream);
      startRun(session, stream);
    }
  }

  function startRun(session: Session, stream: StreamName): void {
    assigner.assign(session, stream, (outcome) => {
      // What was refused may be refused again and again: never at once.
      if (outcome === "started") startWaiting(session);
      else serveSoon(session, RETRY_MS);
    });
  }

  function load(stream: StreamName, then: () => void): void {
    assigner.background("load of a named runtime", streams.known(stream).then(then));
  }

  /** Asks for the lease where it is free; otherwise notes a runtime that may have work. */
  function attend(session: Session, stream: StreamName): void {
    if (session.closed || session.ending) return;
    if (session.returned.has(stream) || session.fenced.has(stream)) return;
    const state = streams.peek(stream)?.state;
    if (!state || !canBeHeld(state)) return;
    if (state.lease === null) assigner.grant(session, stream);
    else if (!isHeldBy(session, state)) return;
    else if (!state.lease.named) assigner.grant(session, stream);
    else if (dueAt(state) !== undefined) session.waiting.add(stream);
  }

  function serve(session: Session, stream: StreamName): void {
    attend(session, stream);
    startWaiting(session);
  }

  function serveAll(session: Session): void {
    const { target } = session.terms;
    if (session.closed) return;
    for (const stream of target.kind === "runtimes" ? target.streams : []) {
      if (streams.peek(stream)) attend(session, stream);
      else load(stream, () => serve(session, stream));
    }
    startWaiting(session);
  }

  function announce(session: Session, stream: StreamName): void {
    const state = streams.peek(stream)?.state;
    if (state?.lease?.named === true && isHeldBy(session, state)) {
      const { runtimeId, epochId } = state;
      const { generation } = state.lease;
      tell(session, { type: "lease_granted", runtimeId, generation, epochId });
      options.onHeld(session, stream);
    }
    serve(session, stream);
  }

  return {
    join: (session, named) => {
      for (const stream of named) {
        session.cleanups.push(streams.listen(stream, () => serve(session, stream)));
        load(stream, () => announce(session, stream));
      }
      session.cleanups.push(() => {
        alarms.get(session)?.cancel();
        alarms.delete(session);
      });
    },
    serve,
    serveAll,
  };
}
