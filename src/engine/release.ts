/** Releases the answers of a decided batch once what they rest on is durable (C3). */
import type { Revision, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { DecidedBatch, Verdict } from "./decide-batch.ts";
import { StorageError, type StoredCommit } from "./ports.ts";
import { decodeCommit } from "./commit-codec.ts";
import type { Committed, PendingCommand, StreamEntry } from "./stream-entry.ts";
import type { FoldedCommit, StreamFold } from "./stream-fold.ts";

const RETRY_AFTER_MS = 1000;

type ReadAt = (stream: StreamName, revision: Revision) => Promise<StoredCommit>;

/**
 * What a caller is told when the database does not answer, or does not show a revision that is
 * known to be there: nothing was done, and trying again is safe. Other errors stay what they are.
 */
export function asUnavailable(stream: StreamName, error: unknown): unknown {
  const isMissing = error instanceof RefusedError && error.refusal.reason === "REVISION_NOT_FOUND";
  const isSilent = error instanceof StorageError && error.kind === "unavailable";
  if (!isMissing && !isSilent) return error;
  const message = "The database does not answer; sending the call again is safe";
  const refusal = refusalOf("DATABASE_UNAVAILABLE", message, { stream });
  return new RefusedError({ ...refusal, retryAfterMs: RETRY_AFTER_MS }, { cause: error });
}

/** Reads an old answer out of the commit that gave it. */
export async function repeatAnswer<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
  command: Command,
  verdict: Extract<Verdict<Reply>, { kind: "repeated" }>,
  fold: StreamFold<State>,
  readAt: ReadAt,
): Promise<Committed<State, Event, Reply>> {
  const stored = await readAt(entry.stream, verdict.revision);
  const { commands, events } = decodeCommit(stored);
  let first = 0;
  for (const mark of commands) {
    const isIt =
      verdict.requestId === undefined
        ? mark.bodyHash === verdict.bodyHash
        : mark.requestId === verdict.requestId;
    if (isIt) {
      const own = events.slice(first, first + mark.events).map((json) => {
        const event = entry.aggregate.eventFromJson(json);
        if (event === "unknown") throw new TypeError("A folded commit holds an unknown event");
        return event;
      });
      const { revision, at, hash } = stored;
      const reply = entry.aggregate.answer(command, own, { revision, index: first, at });
      return { reply, revision, at, events: own, state: fold.state, hash };
    }
    first += mark.events;
  }
  const metadata = { stream: entry.stream, revision: verdict.revision };
  throw new RefusedError(refusalOf("INTERNAL", "The earlier answer was not found", metadata));
}

/**
 * Settles every command of the batch; `committed` is absent when the batch caused no commit.
 * Answers what is left to wait for: old answers that have to be read.
 */
export function releaseVerdicts<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
  batch: readonly PendingCommand<State, Command, Event, Reply>[],
  decided: DecidedBatch<State, Event, Reply>,
  committed: FoldedCommit<State, Event> | undefined,
  readAt: ReadAt,
): Promise<unknown> | undefined {
  const fold = committed?.after ?? entry.fold;
  if (!fold) return undefined;
  const { revision, at, state } = fold;
  const readHere: ReadAt = async (stream, wanted) =>
    wanted === committed?.stored.revision ? committed.stored : await readAt(stream, wanted);
  const repeats: Promise<void>[] = [];
  for (const [index, pending] of batch.entries()) {
    const verdict = decided.verdicts[index];
    if (!verdict || pending.status === "settled") continue;
    pending.status = "settled";
    const { command } = pending.envelope;
    if (verdict.kind === "refused") {
      pending.reject(new RefusedError(verdict.refusal));
    } else if (verdict.kind === "answered") {
      pending.resolve({ reply: verdict.reply, revision, at, events: [], state });
    } else if (verdict.kind === "repeated") {
      const repeat = repeatAnswer(entry, command, verdict, fold, readHere);
      repeats.push(
        repeat.then(pending.resolve, (error: unknown) => {
          pending.reject(asUnavailable(entry.stream, error));
        }),
      );
    } else {
      const { firstEvent, eventCount } = verdict;
      const events = decided.events.slice(firstEvent, firstEvent + eventCount);
      try {
        const reply = entry.aggregate.answer(command, events, { revision, index: firstEvent, at });
        pending.resolve({ reply, revision, at, events, state, hash: fold.hash });
      } catch (error) {
        pending.reject(error);
      }
    }
  }
  return repeats.length === 0 ? undefined : Promise.all(repeats);
}
