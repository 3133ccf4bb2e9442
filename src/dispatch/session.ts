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
import type { ExecutorMessage, LeaseLoss } from "./messages.ts";

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
  /** What it says that it can do. */
  readonly capabilities: ReadonlySet<string>;
}

/** A run that the executor holds, with the way to stop listening to its stream. */
export interface HeldRun {
  readonly runId: RunId;
  readonly stream: StreamName;
  readonly release: () => void;
  /** How far its assignment is on the way into the mailbox; `missed` is tried again. */
  delivery: "none" | "under_way" | "done" | "missed";
}

/** State of one incarnation at this replica. */
export interface Session {
  readonly terms: SessionTerms;
  /** Key of the incarnation's liveness register. */
  readonly holder: string;
  /** Runs by stream: one run per runtime. */
  readonly held: Map<StreamName, HeldRun>;
  /** Runtimes whose drain it runs, with the way to stop listening to their streams. */
  readonly drains: Map<StreamName, () => void>;
  /** When it was last told of a drain, by the monotonic clock, for sessions that poll. */
  readonly drainsToldMs: Map<StreamName, number>;
  /** Runtimes whose run was asked for and not yet committed or refused. */
  readonly asking: Set<StreamName>;
  /** Runtimes that it holds by name and that have work, as far as is known. */
  readonly waiting: Set<StreamName>;
  /** Named runtimes that the executor gave back: they are not served again. */
  readonly returned: Set<StreamName>;
  /** Named runtimes that it was fenced from: served again once the executor shows that it lives. */
  readonly fenced: Set<StreamName>;
  /** Leases lost under runs, the latest ones, for renewals that still name such a run. */
  readonly losses: Map<RunId, LeaseLoss>;
  /** When the executor was last told to interrupt a run, by the monotonic clock. */
  readonly interruptedMs: Map<RunId, number>;
  mailbox: ExecutorMessage[];
  /** Called when the mailbox gets a message, and when nothing is on the way into it any more. */
  wake: (() => void) | null;
  /** A poll that waits for a run. */
  pollWaits: boolean;
  /** Nothing new is assigned any more; messages still go out. */
  ending: boolean;
  closed: boolean;
  /** Number of this session among the streams that attached with the register. */
  attachments: number;
  /** Monotonic time of the last renewal that is known here. */
  renewedMs: number;
  /** Monotonic time when the register was last seen alive. */
  confirmedMs: number;
  /** Monotonic time of the last sign of the client, for sessions that poll. */
  seenMs: number;
  /** Ends listening to named runtimes and the like. */
  readonly cleanups: (() => void)[];
}

/** Most messages that wait for a slow executor before its stream is ended. */
const MAILBOX_MAX = 10_000;
const LOSSES_MAX = 1000;

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
    drains: new Map(),
    drainsToldMs: new Map(),
    asking: new Set(),
    waiting: new Set(),
    returned: new Set(),
    fenced: new Set(),
    losses: new Map(),
    interruptedMs: new Map(),
    mailbox: [],
    wake: null,
    pollWaits: false,
    ending: false,
    closed: false,
    attachments: 0,
    renewedMs: nowMs,
    confirmedMs: nowMs,
    seenMs: nowMs,
    cleanups: [],
  };
}

/** How many more runs the executor takes now. */
export function freeSlots(session: Session): number {
  if (session.closed || session.ending) return 0;
  const free = session.terms.slots - session.held.size - session.asking.size;
  if (!session.terms.polls) return free;
  return session.pollWaits && session.asking.size === 0 ? Math.min(1, free) : 0;
}

/** How long the leases of the incarnation live without another renewal. */
export function remainingMs(session: Session, nowMs: number): number {
  return Math.max(0, session.terms.leaseTtlMs - (nowMs - session.renewedMs));
}

/** Whether something is on its way into the mailbox. */
export function isBusy(session: Session): boolean {
  if (session.asking.size > 0) return true;
  return session.held.values().some((held) => held.delivery === "under_way");
}

function rememberLoss(session: Session, loss: LeaseLoss): void {
  if (loss.runId === undefined) return;
  session.losses.set(loss.runId, loss);
  const [oldest] = session.losses.keys();
  if (session.losses.size > LOSSES_MAX && oldest !== undefined) session.losses.delete(oldest);
}

/**
 * Puts a message into the mailbox; a newer count of steering inputs, and a newer word on a drain or
 * on a task, takes the place of an older one. A mailbox that nobody empties ends the session.
 */
export function tell(session: Session, message: ExecutorMessage): void {
  if (session.closed) return;
  if (message.type === "lease_lost") rememberLoss(session, message);
  // An answer to a poll has no place for these.
  const isOfStreams = message.type === "lease_granted" || message.type === "close_stream";
  if (session.terms.polls && isOfStreams) return;
  if (message.type === "steer_available") {
    const { runId } = message;
    session.mailbox = session.mailbox.filter((other) => {
      return other.type !== "steer_available" || other.runId !== runId;
    });
  }
  if (message.type === "drain_control") {
    const { runtimeId, control } = message;
    session.mailbox = session.mailbox.filter((other) => {
      const isOfDrain = other.type === "drain_control" && other.runtimeId === runtimeId;
      return !isOfDrain || other.control.sequence !== control.sequence;
    });
  }
  if (message.type === "task_control") {
    const { processId } = message;
    session.mailbox = session.mailbox.filter((other) => {
      return other.type !== "task_control" || other.processId !== processId;
    });
  }
  session.mailbox.push(message);
  if (session.mailbox.length > MAILBOX_MAX) {
    session.mailbox.push({ type: "close_stream", reason: "unresponsive" });
    session.closed = true;
  }
  session.wake?.();
}

/**
 * Resolves when there is mail, when the session closed, when `signal` fired, or when somebody else
 * waits in this one's place.
 */
export function mailReady(session: Session, signal: AbortSignal): Promise<void> {
  if (session.mailbox.length > 0 || session.closed || signal.aborted) return Promise.resolve();
  return nextSign(session, signal);
}

/** Resolves at the next change of the mailbox or of what is on its way there. */
export function nextSign(session: Session, signal: AbortSignal): Promise<void> {
  session.wake?.();
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      if (session.wake === done) session.wake = null;
      resolve();
    };
    session.wake = done;
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
