/**
 * Processes that a worker could claim, oldest first, per kind: what ClaimNext hands out. Found by
 * local commits, by hints of other replicas and by looks at the views, never by loading processes;
 * each alone would do. Entries are hints: whether a claim is granted the process itself decides.
 */
import type { ProcessState } from "../core/process/state.ts";
import { isClaimable } from "../core/process/summarize.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, StreamPoint, StreamRow, ViewStore } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { ProcessCommit, ProcessStreams } from "./process-streams.ts";
import { makeReadyQueue, type ReadyQueue } from "./ready-queue.ts";

const LOOK_ROWS = 500;
/** A look that finds nothing new looks at twice as many rows the next time, up to this many. */
const LOOK_ROWS_MAX = 16_000;
/** Between two looks while nothing that is known waits, and while something does. */
const LOOK_GAP_MS = 100;
const RELOOK_MS = 1_000;
/** A kind that nobody asked for so long is forgotten. */
const IDLE_MS = 60_000;
/** Most kinds that are kept; of more the one that was asked for first is forgotten. */
const KINDS_MAX = 10_000;
/** Hints of other replicas that are looked after at once; the rest is found in the views. */
const LOADS_MAX = 500;

/** One kind of one namespace that workers ask for at this replica. */
interface Kind {
  readonly namespace: string;
  readonly name: string;
  readonly queue: ReadyQueue;
  looking: Promise<void> | null;
  lookedMs: number;
  lookRows: number;
  askedMs: number;
  /** Called when something of the kind may be there, the one that waits longest first. */
  readonly waiters: Set<() => void>;
}

/** The claimable processes. */
export interface ProcessQueue {
  /** Takes the oldest process of these kinds that may be claimable; looks for it when needed. */
  readonly take: (namespace: string, kinds: readonly string[]) => Promise<StreamName | undefined>;
  /** Gives a process back that was taken and could not be tried. */
  readonly giveBack: (stream: StreamName) => void;
  /** Resolves when something of these kinds may be there, when told to, or after a while. */
  readonly wait: (
    namespace: string,
    kinds: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ) => Promise<void>;
  /** To be called for every commit folded here. */
  readonly advanced: (stream: StreamName, commit: ProcessCommit) => void;
}

/** What the queue works with. */
export interface ProcessQueueOptions {
  readonly engine: Pick<Engine, "time" | "views" | "relay" | "onNewsElsewhere">;
  readonly views: Pick<ViewStore, "runnable">;
  readonly streams: Pick<ProcessStreams, "peek" | "caughtUp">;
  readonly clock: Clock;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
}

/** Makes the queue of a process. */
export function makeProcessQueue(options: ProcessQueueOptions): ProcessQueue {
  const { engine, views, streams, clock, observer } = options;
  const { time } = engine;
  const kinds = new Map<string, Kind>();
  let loads = 0;

  const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

  function kindOf(namespace: string, name: string): Kind {
    const key = keyOf(namespace, name);
    const known = kinds.get(key);
    const nowMs = clock.monotonicMs();
    if (known !== undefined) {
      known.askedMs = nowMs;
      return known;
    }
    const queue = makeReadyQueue();
    // Nothing is known before the first look.
    queue.setHorizon(Number.NEGATIVE_INFINITY);
    const kind: Kind = {
      namespace,
      name,
      queue,
      looking: null,
      lookedMs: Number.NEGATIVE_INFINITY,
      lookRows: LOOK_ROWS,
      askedMs: nowMs,
      waiters: new Set(),
    };
    if (kinds.size >= KINDS_MAX) forgetFirst();
    kinds.set(key, kind);
    return kind;
  }

  /** What is forgotten is found in the views again; who waits for it looks there every second. */
  function forgetFirst(): void {
    const [first] = kinds.keys();
    if (first !== undefined) kinds.delete(first);
  }

  function forgetIdle(): void {
    const before = clock.monotonicMs() - IDLE_MS;
    for (const [key, kind] of kinds) {
      if (kind.askedMs < before && kind.waiters.size === 0) kinds.delete(key);
    }
  }

  function takeRow(kind: Kind, row: StreamRow): boolean {
    const fold = streams.peek(row.stream);
    const isOver = fold !== undefined && fold.revision >= row.revision && !isClaimable(fold.state);
    if (isOver || row.runnableSince === undefined) return false;
    kind.queue.offer(row.stream, row.runnableSince);
    return true;
  }

  async function lookOnce(kind: Kind): Promise<void> {
    const { namespace, name, queue, lookRows } = kind;
    kind.lookedMs = clock.monotonicMs();
    // Else rows of what was just claimed would fill the page.
    await engine.views.flush();
    const rows = await views.runnable("process", namespace, name, time.nowMs(), lookRows);
    const isAll = rows.length < lookRows;
    queue.setHorizon(isAll ? Number.POSITIVE_INFINITY : (rows.at(-1)?.runnableSince ?? 0));
    const taken = rows.filter((row) => takeRow(kind, row));
    const isFutile = !isAll && taken.length === 0;
    kind.lookRows = isFutile ? Math.min(lookRows * 2, LOOK_ROWS_MAX) : LOOK_ROWS;
    kind.lookedMs = clock.monotonicMs();
    forgetIdle();
  }

  function look(kind: Kind): Promise<void> {
    kind.looking ??= lookOnce(kind).finally(() => {
      kind.looking = null;
    });
    return kind.looking;
  }

  /** Whether the views may know better than the queue. */
  function isOutdated(kind: Kind): boolean {
    const ageMs = clock.monotonicMs() - kind.lookedMs;
    if (kind.queue.oldestMs(time.nowMs()) !== undefined) return ageMs > RELOOK_MS;
    const isBeyond = kind.queue.horizonMs() !== Number.POSITIVE_INFINITY;
    return isBeyond || ageMs > LOOK_GAP_MS;
  }

  async function take(
    namespace: string,
    names: readonly string[],
  ): Promise<StreamName | undefined> {
    const wanted = names.map((name) => kindOf(namespace, name));
    await Promise.all(wanted.filter(isOutdated).map(look));
    let best: { readonly kind: Kind; readonly sinceMs: TimeMs } | undefined;
    for (const kind of wanted) {
      const sinceMs = kind.queue.oldestMs(time.nowMs());
      if (sinceMs !== undefined && sinceMs < (best?.sinceMs ?? Infinity)) best = { kind, sinceMs };
    }
    return best?.kind.queue.take(time.nowMs());
  }

  /** Whether somebody here waits for it. */
  function offer(stream: StreamName, state: ProcessState): boolean {
    const namespace = parseStreamName(stream)?.namespace;
    const { registration, createdAt } = state;
    if (namespace === undefined || registration === null) return false;
    const kind = kinds.get(keyOf(namespace, registration.identity.kind));
    if (kind === undefined) return false;
    if (!isClaimable(state)) {
      kind.queue.remove(stream);
      return false;
    }
    kind.queue.offer(stream, createdAt);
    const [first] = kind.waiters;
    first?.();
    return first !== undefined;
  }

  function hearOfClaimable({ stream, revision }: StreamPoint): void {
    const address = parseStreamName(stream);
    const isWanted = [...kinds.values()].some((kind) => {
      return kind.namespace === address?.namespace && kind.waiters.size > 0;
    });
    if (address?.kind !== "process" || !isWanted || loads >= LOADS_MAX) return;
    loads += 1;
    // What is asked for on this ground is a command: its own commit shows whether it was behind.
    streams
      .caughtUp(stream, revision)
      .then(({ state }) => offer(stream, state))
      .catch((error: unknown) => observer.backgroundFailed("claimable elsewhere", error))
      .finally(() => {
        loads -= 1;
      });
  }

  engine.onNewsElsewhere({
    onRunnable: (points) => {
      for (const point of points) hearOfClaimable(point);
    },
  });

  return {
    take,
    giveBack: (stream) => {
      const fold = streams.peek(stream);
      if (fold !== undefined) offer(stream, fold.state);
    },
    wait: (namespace, names, timeoutMs, signal) =>
      new Promise((resolve) => {
        const wanted = names.map((name) => kindOf(namespace, name));
        const done = (): void => {
          cancel();
          signal.removeEventListener("abort", done);
          for (const kind of wanted) kind.waiters.delete(done);
          resolve();
        };
        const cancel = clock.after(timeoutMs, done);
        signal.addEventListener("abort", done);
        for (const kind of wanted) kind.waiters.add(done);
        if (signal.aborted) done();
      }),
    advanced: (stream, commit) => {
      const wasClaimable = isClaimable(commit.before.state);
      const isServed = offer(stream, commit.after.state);
      if (!commit.isOwn || wasClaimable || isServed) return;
      const { state, revision } = commit.after;
      if (isClaimable(state)) engine.relay.tellRunnable({ stream, revision });
    },
  };
}
