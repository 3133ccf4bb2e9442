/**
 * The fold of a stream: the aggregate's state with what the engine itself remembers (position,
 * hash, request ids, forgotten keys). Folding checks contiguity and the hash chain: a gap is never
 * folded over, an unknown event type or format is never skipped.
 */
import type { Aggregate, ForgottenRecord } from "../core/shared/aggregate.ts";
import { FoldError } from "../core/shared/fold-error.ts";
import type { Revision, TimeMs } from "../core/shared/ids.ts";
import { emptyOrderedMap, type OrderedMap } from "../core/shared/ordered-map.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import {
  chainHash,
  COMMIT_FORMAT_VERSION,
  type CommandMark,
  decodeCommit,
  GENESIS_HASH,
  sameHash,
} from "./commit-codec.ts";
import { EMPTY_KEY_FILTER, type KeyFilter, keyFilterBytes, withKeys } from "./key-filter.ts";
import type { StoredCommit } from "./ports.ts";

const REQUESTS_MAX = 1000;
const REQUEST_AGE_MAX_MS = 3_600_000;
const REQUEST_BYTES = 200;

/** Where the answer to a request id stands. */
export interface RequestMark {
  readonly revision: Revision;
  readonly at: TimeMs;
  readonly bodyHash: string;
  readonly serial: number;
}

/** A stream's folded state at a revision. */
export interface StreamFold<State> {
  readonly state: State;
  readonly revision: Revision;
  readonly at: TimeMs;
  readonly hash: Uint8Array;
  readonly requests: OrderedMap<string, RequestMark>;
  /** Request ids in order of commit, for forgetting the oldest. */
  readonly requestOrder: OrderedMap<number, string>;
  readonly forgotten: KeyFilter;
}

/** One commit with what it changed. */
export interface FoldedCommit<State, Event> {
  readonly stored: StoredCommit;
  readonly commands: readonly CommandMark[];
  readonly events: readonly Event[];
  readonly before: StreamFold<State>;
  readonly after: StreamFold<State>;
  /** True when this process committed it, false when it was read from the journal. */
  readonly isOwn: boolean;
}

/** The fold of a stream without commits. */
export function initialFold<State>(initial: State): StreamFold<State> {
  return {
    state: initial,
    revision: 0,
    at: 0,
    hash: GENESIS_HASH,
    requests: emptyOrderedMap(),
    requestOrder: emptyOrderedMap(),
    forgotten: EMPTY_KEY_FILTER,
  };
}

function corrupt(stored: StoredCommit, message: string): RefusedError {
  return new RefusedError(
    refusalOf("STREAM_CORRUPT", `${message}; run VerifyRuntime and restore the journal`, {
      stream: stored.stream,
      revision: stored.revision,
    }),
  );
}

function needsNewerServer(stored: StoredCommit, what: string): RefusedError {
  return new RefusedError(
    refusalOf(
      "NEEDS_NEWER_SERVER",
      `The history holds ${what} of a newer server; upgrade this one`,
      {
        stream: stored.stream,
        revision: stored.revision,
      },
    ),
  );
}

/** Checks that a stored commit is the very next one of a fold. */
function assertNext(fold: StreamFold<unknown>, stored: StoredCommit): void {
  if (stored.formatVersion !== COMMIT_FORMAT_VERSION) {
    throw needsNewerServer(stored, `commit format ${stored.formatVersion}`);
  }
  if (stored.revision !== fold.revision + 1) {
    throw corrupt(stored, `Revision ${fold.revision + 1} is missing from the journal`);
  }
  if (!sameHash(chainHash(fold.hash, stored), stored.hash)) {
    throw corrupt(stored, `The hash of revision ${stored.revision} does not match its content`);
  }
}

/** Remembers the request ids of a commit and forgets those past both limits. */
export function foldRequests<State>(
  fold: StreamFold<State>,
  commands: readonly CommandMark[],
  revision: Revision,
  at: TimeMs,
): Pick<StreamFold<State>, "requests" | "requestOrder"> {
  let { requests, requestOrder } = fold;
  const hasNew = commands.some((command) => command.requestId !== undefined);
  if (!hasNew && requestOrder.size === 0) return { requests, requestOrder };
  let serial = requestOrder.maxKey() ?? 0;
  for (const command of commands) {
    if (command.requestId === undefined) continue;
    serial += 1;
    requests = requests.with(command.requestId, {
      revision,
      at,
      bodyHash: command.bodyHash ?? "",
      serial,
    });
    requestOrder = requestOrder.with(serial, command.requestId);
  }
  for (let oldest = requestOrder.minKey(); oldest !== undefined; oldest = requestOrder.minKey()) {
    const requestId = requestOrder.get(oldest) ?? "";
    const mark = requests.get(requestId);
    const isOld = mark === undefined || mark.serial !== oldest || mark.at < at - REQUEST_AGE_MAX_MS;
    if (!isOld && requestOrder.size <= REQUESTS_MAX) break;
    requestOrder = requestOrder.without(oldest);
    if (mark?.serial === oldest) requests = requests.without(requestId);
  }
  return { requests, requestOrder };
}

/** Folds already decoded events of one commit. */
export function foldEvents<State, Event>(
  aggregate: Pick<Aggregate<State, never, Event, unknown>, "evolve">,
  state: State,
  events: readonly Event[],
  revision: Revision,
  at: TimeMs,
  firstIndex = 0,
): State {
  let next = state;
  for (const [index, event] of events.entries()) {
    next = aggregate.evolve(next, event, { revision, index: firstIndex + index, at });
  }
  return next;
}

/** Folds the events of a stored commit; a history that contradicts itself is corrupt. */
function foldStored<State, Event>(
  aggregate: Pick<Aggregate<State, never, Event, unknown>, "evolve">,
  state: State,
  events: readonly Event[],
  stored: StoredCommit,
): State {
  try {
    return foldEvents(aggregate, state, events, stored.revision, stored.at);
  } catch (error) {
    if (!(error instanceof FoldError)) throw error;
    throw corrupt(stored, `The history contradicts itself: ${error.message}`);
  }
}

/** Folds one stored commit, checking that it is the next one. */
export function foldCommit<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  fold: StreamFold<State>,
  stored: StoredCommit,
): FoldedCommit<State, Event> {
  assertNext(fold, stored);
  const decoded = decodeCommit(stored);
  const events = decoded.events.map((json) => {
    const event = aggregate.eventFromJson(json);
    if (event === "unknown") throw needsNewerServer(stored, "an event type");
    return event;
  });
  const after: StreamFold<State> = {
    state: foldStored(aggregate, fold.state, events, stored),
    revision: stored.revision,
    at: stored.at,
    hash: stored.hash,
    ...foldRequests(fold, decoded.commands, stored.revision, stored.at),
    forgotten: fold.forgotten,
  };
  return { stored, commands: decoded.commands, events, before: fold, after, isOwn: false };
}

/** The fold without facts whose records are durable; their keys go into the filter. */
export function forgetRecords<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  fold: StreamFold<State>,
  rows: readonly ForgottenRecord[],
  forgotten: KeyFilter,
): StreamFold<State> {
  return { ...fold, state: aggregate.forget(fold.state, rows), forgotten };
}

/** The filter key of a record's lookup. */
export function filterKey(recordClass: string, lookup: string): string {
  return `${recordClass} ${lookup}`;
}

/** The filter of a fold once `rows` are forgotten. */
export function filterWith(fold: StreamFold<unknown>, rows: readonly ForgottenRecord[]): KeyFilter {
  const keys = rows.flatMap((row) => row.lookups.map((it) => filterKey(row.recordClass, it)));
  return keys.length === 0 ? fold.forgotten : withKeys(fold.forgotten, keys);
}

/** Heap bytes of a fold, near enough for the cache. */
export function foldBytes<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  fold: StreamFold<State>,
): number {
  return (
    aggregate.bytesOf(fold.state) +
    fold.requests.size * REQUEST_BYTES +
    keyFilterBytes(fold.forgotten)
  );
}
