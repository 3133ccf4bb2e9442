/**
 * Who waits for the end of which input. One listener per stream serves any number of waiters, and a
 * commit costs what it touches, not what waits.
 *
 * W1  A completion is never missed: a waiter is registered before the fold is looked at.
 * W2  Whoever waits is answered: by the completion, the time, the caller's leaving or the drain.
 */
import {
  completionOf,
  type InputCompletion,
  settledInputs,
  waitsEndedBy,
} from "../core/runtime/completion.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import { evolve } from "../core/runtime/evolve.ts";
import type { InputId, StreamName } from "../core/shared/ids.ts";
import type { RuntimeCommit, RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { Clock } from "../engine/ports.ts";
import { abortReasonOf } from "./errors.ts";
import { findInput, readCompletion, type RuntimeFold } from "./stored-inputs.ts";

/** How long and for whom to wait. */
export interface WaitTerms {
  readonly timeoutMs: number;
  /** Aborts when the caller is gone; the wait then rejects with its reason. */
  readonly signal: AbortSignal;
}

/** The waits of a process. */
export interface CompletionWaits {
  /** The completion of a known input; `pending` when the time is up or the server goes down. */
  readonly wait: (
    stream: StreamName,
    inputId: InputId,
    terms: WaitTerms,
  ) => Promise<InputCompletion>;
  readonly count: () => number;
}

/** Ends a wait; `undefined` when there is nothing to tell. */
type Tell = (completion: InputCompletion | undefined) => void;

/** Everybody who waits on one stream. */
interface WaitRoom {
  readonly waiters: Map<InputId, Set<Tell>>;
  readonly stopListening: () => void;
}

/** What the waits work with. */
export interface CompletionWaitsOptions {
  readonly streams: RuntimeStreams;
  readonly clock: Pick<Clock, "after">;
  readonly drainSignal: AbortSignal;
}

function tellAll(tells: ReadonlySet<Tell> | undefined, completion?: InputCompletion): void {
  for (const tell of tells ?? []) tell(completion);
}

function tellSettled(
  room: WaitRoom,
  commit: RuntimeCommit,
  event: RuntimeEvent,
  before: RuntimeCommit["before"]["state"],
): void {
  for (const inputId of settledInputs(before, event)) {
    const tells = room.waiters.get(inputId);
    const header = tells && commit.after.state.inputs.get(inputId);
    if (header) tellAll(tells, completionOf(header, commit.events));
  }
  const ending = waitsEndedBy(event);
  if (ending === undefined) return;
  for (const tells of room.waiters.values()) tellAll(tells, ending);
}

function hear(room: WaitRoom, commit: RuntimeCommit): void {
  const { revision, at } = commit.after;
  let state = commit.before.state;
  for (const [index, event] of commit.events.entries()) {
    tellSettled(room, commit, event, state);
    const isLast = index === commit.events.length - 1;
    if (!isLast) state = evolve(state, event, { revision, index, at });
  }
}

/** Makes the waits of a process. */
export function makeCompletionWaits(options: CompletionWaitsOptions): CompletionWaits {
  const { streams, clock, drainSignal } = options;
  const rooms = new Map<StreamName, WaitRoom>();
  let waiting = 0;

  function enter(stream: StreamName, inputId: InputId, tell: Tell): () => void {
    let room = rooms.get(stream);
    if (!room) {
      const opened: WaitRoom = {
        waiters: new Map(),
        stopListening: streams.listen(stream, (commit) => hear(opened, commit)),
      };
      room = opened;
      rooms.set(stream, room);
    }
    const entered = room;
    const tells = entered.waiters.get(inputId) ?? new Set();
    entered.waiters.set(inputId, tells.add(tell));
    waiting += 1;
    return () => {
      waiting -= 1;
      tells.delete(tell);
      if (tells.size === 0) entered.waiters.delete(inputId);
      if (entered.waiters.size > 0) return;
      rooms.delete(stream);
      entered.stopListening();
    };
  }

  async function completionIn(
    stream: StreamName,
    fold: RuntimeFold,
    inputId: InputId,
  ): Promise<InputCompletion> {
    const header = await findInput(streams, stream, fold, { inputId });
    return await readCompletion(streams, stream, header);
  }

  /** Resolves with the first thing that ends a wait; `undefined` for the time and the drain. */
  function firstEnd(
    stream: StreamName,
    inputId: InputId,
    terms: WaitTerms,
  ): { readonly ended: Promise<InputCompletion | undefined>; readonly leave: () => void } {
    const { promise, resolve, reject } = Promise.withResolvers<InputCompletion | undefined>();
    const abort = (): void => reject(abortReasonOf(terms.signal));
    const giveUp = (): void => resolve(undefined);
    const exit = enter(stream, inputId, resolve);
    const cancelTimer = clock.after(terms.timeoutMs, giveUp);
    terms.signal.addEventListener("abort", abort, { once: true });
    if (terms.signal.aborted) abort();
    if (drainSignal.aborted || terms.timeoutMs <= 0) giveUp();
    const leave = (): void => {
      exit();
      cancelTimer();
      terms.signal.removeEventListener("abort", abort);
    };
    return { ended: promise, leave };
  }

  async function wait(
    stream: StreamName,
    inputId: InputId,
    terms: WaitTerms,
  ): Promise<InputCompletion> {
    const { ended, leave } = firstEnd(stream, inputId, terms);
    // The promise may reject while the fold is being read; it is awaited right after.
    ended.catch(() => undefined);
    try {
      const fold = streams.peek(stream) ?? (await streams.known(stream));
      const present = await completionIn(stream, fold, inputId);
      if (present.type !== "pending") return present;
      const completion = await ended;
      if (completion !== undefined) return completion;
      return await completionIn(stream, streams.peek(stream) ?? fold, inputId);
    } finally {
      leave();
    }
  }

  drainSignal.addEventListener("abort", () => {
    for (const room of rooms.values()) {
      for (const tells of room.waiters.values()) tellAll(tells);
    }
  });
  return { wait, count: () => waiting };
}
