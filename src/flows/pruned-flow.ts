/**
 * Tells the sessions that held a process that it is not retained any more: their grants of it go,
 * and the release of their holds, which follows, empties the holder set of what is left of it.
 */
import { type StreamName } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import { flowEnvelope, addressOf, grantsStreamOf, type GrantsStreams } from "./flow-streams.ts";

/** What the flow works between. */
export interface PrunedFlowOptions {
  readonly grants: Pick<GrantsStreams, "submit">;
  readonly processes: Pick<ProcessStreams, "fresh">;
}

/** Makes the drive of the flow: every session that still holds a pruned process. */
export function makePrunedFlow(options: PrunedFlowOptions): (stream: StreamName) => Promise<void> {
  const { grants, processes } = options;
  return async (stream) => {
    const { state } = await processes.fresh(stream);
    if (state.prunedAt === null) return;
    const { namespace } = addressOf(stream);
    const command = {
      type: "confirm_holds" as const,
      acquired: [],
      released: [],
      gone: [state.processId],
    };
    const told = [...state.holders.entries()].flatMap(([sessionId, { held }]) =>
      held ? [grants.submit(grantsStreamOf(namespace, sessionId), flowEnvelope(command))] : [],
    );
    await Promise.all(told);
  };
}
