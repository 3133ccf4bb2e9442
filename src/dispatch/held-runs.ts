/**
 * The runs that sessions hold: each takes a slot and keeps its stream listened to until it ends.
 * Brings assignments into mailboxes; one whose payloads could not be read is tried again.
 */
import type { RuntimeState } from "../core/runtime/state.ts";
import type { RunId, StreamName } from "../core/shared/ids.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock } from "../engine/ports.ts";
import { assignmentOf } from "./assignment.ts";
import { isHeldBy } from "./named-runtimes.ts";
import { steerNotice } from "./notices.ts";
import type { Payloads } from "./payloads.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { type HeldRun, type Session, tell } from "./session.ts";

/** A poller is reminded of an interrupt at most this often. */
const REMIND_MS = 5000;

/** The runs of all sessions at this replica. */
export interface HeldRuns {
  /** The session holds a run from now on, in place of an earlier one of the same runtime. */
  readonly hold: (session: Session, stream: StreamName, runId: RunId) => void;
  readonly drop: (session: Session, stream: StreamName) => void;
  /** Sends the assignment of a run that the session holds. */
  readonly send: (session: Session, stream: StreamName) => void;
  /** Takes up runs of the incarnation that these streams have, and sends those it does not name. */
  readonly resume: (
    session: Session,
    found: readonly StreamName[],
    heldRunIds: ReadonlySet<RunId>,
  ) => Promise<void>;
  /** Sends again the runs that the session holds and does not name. */
  readonly resend: (session: Session, heldRunIds: ReadonlySet<RunId>) => void;
  /** Drops what is over and sends what could not be sent; answers whether a slot became free. */
  readonly reconcile: (session: Session) => boolean;
}

/** What holding runs works with. */
export interface HeldRunsOptions {
  readonly streams: RuntimeStreams;
  readonly payloads: Payloads;
  readonly clock: Clock;
  readonly observer: EngineObserver;
}

/** Makes the holder of runs of a process. */
export function makeHeldRuns(options: HeldRunsOptions): HeldRuns {
  const { streams, payloads, clock, observer } = options;

  function drop(session: Session, stream: StreamName): void {
    const held = session.held.get(stream);
    if (!held) return;
    held.release();
    session.held.delete(stream);
    session.interruptedMs.delete(held.runId);
  }

  function keep(session: Session, held: HeldRun): void {
    drop(session, held.stream);
    session.held.set(held.stream, held);
  }

  function hold(session: Session, stream: StreamName, runId: RunId): void {
    const release = streams.listen(stream, () => undefined);
    keep(session, { runId, stream, release, delivery: "none" });
  }

  async function deliver(session: Session, held: HeldRun): Promise<void> {
    const { stream, runId } = held;
    const state = streams.peek(stream)?.state;
    if (state?.run?.runId !== runId) return;
    const assignment = await assignmentOf(stream, state, payloads);
    // The run may have been interrupted, or be over, by the time its payloads are read.
    const now = streams.peek(stream)?.state;
    if (!assignment || !now?.run || now.run.runId !== runId) return;
    if (session.held.get(stream) !== held) return;
    const interruptRequested = now.run.interruptedAt !== null;
    tell(session, { type: "run_assigned", assignment: { ...assignment, interruptRequested } });
    const steer = steerNotice(now);
    if (steer) tell(session, steer);
  }

  function send(session: Session, stream: StreamName): void {
    const held = session.held.get(stream);
    if (!held || held.delivery === "under_way") return;
    held.delivery = "under_way";
    // One run per poll.
    session.pollWaits = false;
    const settle = (delivery: "done" | "missed"): void => {
      held.delivery = delivery;
      session.wake?.();
    };
    deliver(session, held).then(
      () => settle("done"),
      (error: unknown) => {
        observer.backgroundFailed("assignment", error);
        settle("missed");
      },
    );
  }

  function remind(session: Session, state: RuntimeState): void {
    const { run, runtimeId } = state;
    if (!run) return;
    const nowMs = clock.monotonicMs();
    const toldMs = session.interruptedMs.get(run.runId) ?? Number.NEGATIVE_INFINITY;
    const isDue = !session.terms.polls || nowMs - toldMs >= REMIND_MS;
    if (run.interruptedAt !== null && isDue) {
      const { runId, generation } = run;
      session.interruptedMs.set(runId, nowMs);
      tell(session, { type: "control", runtimeId, runId, generation, control: "interrupt" });
    }
    const steer = steerNotice(state);
    if (steer && !session.terms.polls) tell(session, steer);
  }

  async function resumeOne(
    session: Session,
    stream: StreamName,
    heldRunIds: ReadonlySet<RunId>,
  ): Promise<void> {
    // Before the read: from here on every commit is heard, so that the end of the run is, too.
    const release = streams.listen(stream, () => undefined);
    try {
      await streams.fresh(stream);
    } catch (error) {
      release();
      throw error;
    }
    const state = streams.peek(stream)?.state;
    const run = state && isHeldBy(session, state) ? state.run : null;
    if (!state || !run || session.closed || session.held.get(stream)?.runId === run.runId) {
      release();
      return;
    }
    keep(session, { runId: run.runId, stream, release, delivery: "none" });
    if (heldRunIds.has(run.runId)) remind(session, state);
    else send(session, stream);
  }

  function reconcile(session: Session): boolean {
    let isFreer = false;
    for (const { stream, runId, delivery } of session.held.values()) {
      const state = streams.peek(stream)?.state;
      if (state && state.run?.runId !== runId) {
        drop(session, stream);
        isFreer = true;
      } else if (delivery === "missed") {
        send(session, stream);
      }
    }
    return isFreer;
  }

  return {
    hold,
    drop,
    send,
    resume: async (session, found, heldRunIds) => {
      await Promise.all(found.map((stream) => resumeOne(session, stream, heldRunIds)));
    },
    resend: (session, heldRunIds) => {
      for (const { stream, runId } of session.held.values()) {
        const state = streams.peek(stream)?.state;
        if (state?.run?.runId !== runId) continue;
        if (heldRunIds.has(runId)) remind(session, state);
        else send(session, stream);
      }
    },
    reconcile,
  };
}
