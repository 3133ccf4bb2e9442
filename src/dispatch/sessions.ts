/**
 * The sessions at this replica, one per incarnation: how they come, how a newer stream takes over
 * from an older one, and how they end. A session that is replaced while it comes is never joined.
 */
import type { RunId } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Clock } from "../engine/ports.ts";
import type { ExecutorMessage } from "./messages.ts";
import type { Registers } from "./registers.ts";
import { holderKey, makeSession, type Session, type SessionTerms, tell } from "./session.ts";

const SESSIONS_MAX = 20_000;
/** What is told about the end of its leases still goes out to a session whose register lapsed. */
const FAREWELL_MS = 1000;
const RETRY_AFTER_MS = 500;

type CloseReason = Extract<ExecutorMessage, { readonly type: "close_stream" }>["reason"];

/** The sessions of a process. */
export interface Sessions {
  readonly of: (holder: string) => Session | undefined;
  readonly all: () => Iterable<Session>;
  readonly count: () => number;
  /** Whether an executor of this namespace is attached here. */
  readonly serves: (namespace: string) => boolean;
  readonly attach: (terms: SessionTerms, heldRunIds: readonly RunId[]) => Promise<Session>;
  /** Ends a session, with a farewell where a reason is given. */
  readonly close: (session: Session, reason?: CloseReason) => void;
  /** Gives no more work to an incarnation that is over, and closes its session soon. */
  readonly end: (holder: string) => void;
  /** Closes all and lets none in any more. */
  readonly stop: () => void;
}

/** What sessions work with. */
export interface SessionsOptions {
  readonly registers: Pick<Registers, "open">;
  readonly clock: Clock;
  /** Told of a session that has its register. */
  readonly onAttached: (session: Session) => void;
  /** Takes up what the incarnation holds already. */
  readonly resume: (session: Session, heldRunIds: readonly RunId[]) => Promise<void>;
  /** Begins to serve a session. */
  readonly join: (session: Session) => void;
  /** Stops serving a session; called once for every session, joined or not. */
  readonly leave: (session: Session) => void;
}

function tooMany(): RefusedError {
  const message = `This server has ${SESSIONS_MAX} executors attached, its limit; use another one`;
  const refusal = refusalOf("LIMIT_EXCEEDED", message, { limit: SESSIONS_MAX });
  return new RefusedError({ ...refusal, retryAfterMs: RETRY_AFTER_MS });
}

function draining(): RefusedError {
  const message = "The server is shutting down; attach to another one, or after the restart";
  return new RefusedError({
    ...refusalOf("SERVER_DRAINING", message),
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Makes the sessions of a process. */
export function makeSessions(options: SessionsOptions): Sessions {
  const { registers, clock } = options;
  const byHolder = new Map<string, Session>();
  const perNamespace = new Map<string, number>();
  let stopped = false;

  function add(session: Session): void {
    const { namespace } = session.terms;
    byHolder.set(session.holder, session);
    perNamespace.set(namespace, (perNamespace.get(namespace) ?? 0) + 1);
  }

  function remove(session: Session): void {
    const { namespace } = session.terms;
    byHolder.delete(session.holder);
    const rest = (perNamespace.get(namespace) ?? 0) - 1;
    if (rest > 0) perNamespace.set(namespace, rest);
    else perNamespace.delete(namespace);
  }

  function close(session: Session, reason?: CloseReason): void {
    if (reason !== undefined) tell(session, { type: "close_stream", reason });
    session.closed = true;
    if (byHolder.get(session.holder) === session) {
      remove(session);
      options.leave(session);
      for (const cleanup of session.cleanups.splice(0)) cleanup();
    }
    session.wake?.();
  }

  function assertOpen(): void {
    if (stopped) throw draining();
  }

  async function attach(terms: SessionTerms, heldRunIds: readonly RunId[]): Promise<Session> {
    assertOpen();
    const holder = holderKey(terms);
    if (byHolder.size >= SESSIONS_MAX && !byHolder.has(holder)) throw tooMany();
    const session = makeSession(terms, clock.monotonicMs());
    await registers.open(session);
    options.onAttached(session);
    // The server may have begun to stop meanwhile.
    assertOpen();
    const older = byHolder.get(holder);
    if (older) {
      for (const [runId, loss] of older.losses) session.losses.set(runId, loss);
      close(older, "replaced");
    }
    add(session);
    try {
      await options.resume(session, heldRunIds);
    } catch (error) {
      close(session);
      throw error;
    }
    if (!session.closed) options.join(session);
    return session;
  }

  return {
    of: (holder) => byHolder.get(holder),
    all: () => byHolder.values(),
    count: () => byHolder.size,
    serves: (namespace) => perNamespace.has(namespace),
    attach,
    close,
    end: (holder) => {
      const session = byHolder.get(holder);
      if (!session || session.ending) return;
      session.ending = true;
      clock.after(FAREWELL_MS, () => close(session));
    },
    stop: () => {
      stopped = true;
      for (const session of byHolder.values()) close(session, "server_draining");
    },
  };
}
