/** Serves runtimes that an executor named: gets their lease, holds it, and starts their runs. */
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { Clock } from "../engine/ports.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { Assigner } from "./assigner.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { freeSlots, type Session, tell } from "./session.ts";

const WAKE_MAX_MS = 1000;

/** Named runtimes of the sessions at this replica. */
export interface NamedRuntimes {
  /** Starts serving a named runtime; a lease held already is announced again. */
  readonly join: (session: Session, stream: StreamName) => void;
  /** Does what the committed state of the runtime calls for. */
  readonly serve: (session: Session, stream: StreamName) => void;
}

/** What serving named runtimes works with. */
export interface NamedRuntimesOptions {
  readonly streams: RuntimeStreams;
  readonly summarize: (state: RuntimeState) => StreamSummary;
  readonly clock: Clock;
  readonly time: DatabaseTime;
  readonly assigner: Assigner;
}

/** Whether the lease of a state, if any, is this session's. */
export function isHeldBy(session: Session, state: RuntimeState): boolean {
  const { executorId, incarnationId } = session.terms;
  return state.lease?.executorId === executorId && state.lease.incarnationId === incarnationId;
}

/** Makes the server of named runtimes of a process. */
export function makeNamedRuntimes(options: NamedRuntimesOptions): NamedRuntimes {
  const { streams, summarize, clock, time, assigner } = options;

  function canBeHeld(state: RuntimeState): boolean {
    const isOver = state.phase === "stopped" || state.phase === "destroyed";
    return state.registration === "registered" && !isOver;
  }

  function startRun(session: Session, stream: StreamName, state: RuntimeState): void {
    const { runnableSince } = summarize(state);
    if (runnableSince === undefined || session.held.has(stream) || freeSlots(session) <= 0) return;
    const waitMs = runnableSince - time.nowMs();
    if (waitMs > 0) {
      clock.after(Math.min(waitMs, WAKE_MAX_MS), () => serve(session, stream));
      return;
    }
    assigner.assign(session, stream, (tryAgain) => {
      if (tryAgain) clock.after(WAKE_MAX_MS, () => serve(session, stream));
      else serve(session, stream);
    });
  }

  function serve(session: Session, stream: StreamName): void {
    const state = streams.peek(stream)?.state;
    if (!state || session.closed || !canBeHeld(state)) return;
    if (state.lease === null) assigner.grant(session, stream);
    else if (!isHeldBy(session, state)) return;
    else if (!state.lease.named) assigner.grant(session, stream);
    else startRun(session, stream, state);
  }

  function announce(session: Session, stream: StreamName): void {
    const state = streams.peek(stream)?.state;
    if (state?.lease?.named === true && isHeldBy(session, state)) {
      const { runtimeId, epochId } = state;
      const { generation } = state.lease;
      tell(session, { type: "lease_granted", runtimeId, generation, epochId });
    }
    serve(session, stream);
  }

  return {
    join: (session, stream) => {
      session.cleanups.push(streams.listen(stream, () => serve(session, stream)));
      const loaded = streams.known(stream).then(() => {
        announce(session, stream);
      });
      assigner.background("attach to a runtime", loaded);
    },
    serve,
  };
}
