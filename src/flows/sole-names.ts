/**
 * Whether a session has a name of a task free. What the grants of a session say is decided by their
 * own commit; that the task of a name has ended stands in its process and never changes, so it may
 * be looked up before.
 */
import type { SoleName } from "../core/grants/commands.ts";
import { processesNamed } from "../core/grants/sole-names.ts";
import type { ProcessState } from "../core/process/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import { addressOf, type GrantsStreams, processStreamOf } from "./flow-streams.ts";

/** Where names are looked up. */
export interface SoleNameStreams {
  readonly grants: Pick<GrantsStreams, "fresh">;
  readonly processes: Pick<ProcessStreams, "fresh">;
}

/** Whether a task keeps its name from the next one that the session begins. */
export function keepsName({ registration, end }: ProcessState): boolean {
  return registration === null || (registration.task !== undefined && end === null);
}

/** Whether a task keeps its name from one of another session: external ones do for good. */
export function keepsNameForGood(state: ProcessState): boolean {
  const isExternal = state.registration?.task?.visibility === "external";
  return keepsName(state) || (isExternal && state.prunedAt === null);
}

/** The name with every process that does not keep it. */
export async function soleNameIn(
  { grants, processes }: SoleNameStreams,
  session: StreamName,
  prefix: string,
  keeps: (state: ProcessState) => boolean,
): Promise<SoleName> {
  const { namespace } = addressOf(session);
  const { state } = await grants.fresh(session);
  const named = processesNamed(state, "", prefix).map(async (processId) => {
    const fold = await processes.fresh(processStreamOf(namespace, processId));
    return keeps(fold.state) ? [] : [processId];
  });
  return { prefix, except: (await Promise.all(named)).flat() };
}
