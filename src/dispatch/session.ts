/**
 * One executor incarnation as this replica knows it: what it serves, what it holds, and the
 * mailbox of messages for it. A stream drains the mailbox as it fills; a poll takes what is there.
 */
import type {
  ExecutorId,
  IncarnationId,
  Namespace,
  RunId,
  StreamName,
} from "../core/shared/ids.ts";
import type { ExecutorMessage } from "./messages.ts";

/** What an executor serves: runtimes by name, or whatever a pool has. */
export type ServedTarget =
  | { readonly kind: "runtimes"; readonly streams: readonly StreamName[] }
  | { readonly kind: "pool"; readonly pool: string };

/** Who attaches and how. */
export interface SessionTerms {
  readonly namespace: Namespace;
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
  readonly target: ServedTarget;
  /** Most runs held at once. */
  readonly slots: number;
  readonly leaseTtlMs: number;
  /** True for an executor that polls: runs are assigned only while a poll waits. */
  readonly polls: boolean;
}

/** A run that the executor holds, with the way to stop listening to its stream. */
export interface HeldRun {
  readonly runId: RunId;
  readonly stream: StreamName;
  readonly release: () => void;
}

/** State of one incarnation at this replica. */
export interface Session {
  readonly terms: SessionTerms;
  /** Key of the incarnation's liveness register. */
  readonly holder: string;
  /** Runs by stream: one run per runtime. */
  readonly held: Map<StreamName, HeldRun>;
  /** Assignments asked for and not yet committed or refused. */
  reserved: number;
  mailbox: ExecutorMessage[];
  /** Called when the mailbox gets its first message. */
  wake: (() => void) | null;
  /** A poll that waits for a run. */
  pollWaits: boolean;
  closed: boolean;
  /** Monotonic time of the last sign of the client, for sessions that poll. */
  seenMs: number;
  /** Ends listening to named runtimes and the like. */
  readonly cleanups: (() => void)[];
}

/** Most messages that wait for a slow executor before its stream is ended. */
const MAILBOX_MAX = 10_000;

/** The key of an incarnation's register: unique over namespaces. */
export function holderKey(terms: {
  readonly namespace: string;
  readonly executorId: string;
  readonly incarnationId: string;
}): string {
  const { namespace, executorId, incarnationId } = terms;
  return [namespace, executorId, incarnationId].map(encodeURIComponent).join("/");
}

/** A session that holds nothing yet. */
export function makeSession(terms: SessionTerms, nowMs: number): Session {
  return {
    terms,
    holder: holderKey(terms),
    held: new Map(),
    reserved: 0,
    mailbox: [],
    wake: null,
    pollWaits: false,
    closed: false,
    seenMs: nowMs,
    cleanups: [],
  };
}

/** How many more runs the executor takes now. */
export function freeSlots(session: Session): number {
  if (session.closed) return 0;
  const free = session.terms.slots - session.held.size - session.reserved;
  if (!session.terms.polls) return free;
  return session.pollWaits && session.reserved === 0 ? Math.min(1, free) : 0;
}

/** Puts a message into the mailbox; a mailbox that nobody empties ends the session. */
export function tell(session: Session, message: ExecutorMessage): void {
  if (session.mailbox.length >= MAILBOX_MAX) {
    session.closed = true;
    return;
  }
  session.mailbox.push(message);
  session.wake?.();
}

/** Resolves when the mailbox has something, the session closed, or the signal fired. */
export function mailReady(session: Session, signal: AbortSignal): Promise<void> {
  if (session.mailbox.length > 0 || session.closed || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      session.wake = null;
      resolve();
    };
    session.wake = done;
    signal.addEventListener("abort", done);
  });
}
