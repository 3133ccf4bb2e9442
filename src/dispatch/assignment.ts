/** Builds what an executor needs to run from a committed state. */
import type { StreamName } from "../core/shared/ids.ts";
import { nextSequence } from "../core/runtime/receipt.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { Assignment } from "./messages.ts";
import type { Payloads } from "./payloads.ts";

/** The assignment of the run in flight; `undefined` when there is none. */
export async function assignmentOf(
  stream: StreamName,
  state: RuntimeState,
  payloads: Payloads,
): Promise<Assignment | undefined> {
  const { run } = state;
  if (!run) return undefined;
  const ids = run.staged.length > 0 ? run.staged : run.contributors;
  return {
    runtimeId: state.runtimeId,
    runId: run.runId,
    generation: run.generation,
    attempt: run.attempt,
    epochId: state.epochId,
    startedAt: run.startedAt,
    nextReceiptSequence: nextSequence(run),
    interruptRequested: run.interruptedAt !== null,
    sessionSnapshot: state.sessionSnapshot,
    inputs: await payloads.read(stream, state, ids),
    stagedInputIds: run.staged,
  };
}
