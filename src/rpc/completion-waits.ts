/** Who waits for the end of which input. */
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
import { findInput, readCompletion, type RuntimeFold } from "./stored-inputs.ts";
import { makeStreamWaits, type Telling, type WaitTerms } from "./stream-waits.ts";

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

/** What the waits work with. */
export interface CompletionWaitsOptions {
  readonly streams: RuntimeStreams;
  readonly clock: Pick<Clock, "after">;
  readonly drainSignal: AbortSignal;
}

type CompletionTelling = Telling<InputId, InputCompletion>;

function tellSettled(
  telling: CompletionTelling,
  commit: RuntimeCommit,
  event: RuntimeEvent,
  before: RuntimeCommit["before"]["state"],
): void {
  for (const inputId of settledInputs(before, event)) {
    if (!telling.isAwaited(inputId)) continue;
    const header = commit.after.state.inputs.get(inputId);
    if (header) telling.tell(inputId, completionOf(header, commit.events));
  }
  const ending = waitsEndedBy(event);
  if (ending !== undefined) telling.tellAll(ending);
}

function hear(_stream: StreamName, commit: RuntimeCommit, telling: CompletionTelling): void {
  const { revision, at } = commit.after;
  let state = commit.before.state;
  for (const [index, event] of commit.events.entries()) {
    tellSettled(telling, commit, event, state);
    const isLast = index === commit.events.length - 1;
    if (!isLast) state = evolve(state, event, { revision, index, at });
  }
}

/** Makes the waits of a process. */
export function makeCompletionWaits(options: CompletionWaitsOptions): CompletionWaits {
  const { streams } = options;
  const waits = makeStreamWaits({ ...options, hear });

  async function completionIn(
    stream: StreamName,
    fold: RuntimeFold,
    inputId: InputId,
  ): Promise<InputCompletion> {
    const header = await findInput(streams, stream, fold, { inputId });
    return await readCompletion(streams, stream, header);
  }

  return {
    wait: async (stream, inputId, terms) => {
      const latest = async (): Promise<InputCompletion> => {
        const fold = streams.peek(stream) ?? (await streams.known(stream));
        return await completionIn(stream, fold, inputId);
      };
      const present = async (): Promise<InputCompletion | undefined> => {
        const completion = await latest();
        return completion.type === "pending" ? undefined : completion;
      };
      return (await waits.wait({ stream, topic: inputId, terms, present })) ?? (await latest());
    },
    count: waits.count,
  };
}
