/**
 * Tells processes which sessions hold them: of a hold before its grants are shown, of its end once
 * they are gone. The marks of the messages make the newest one count, in whatever order they come.
 */
import type { HoldMark, ReleasedHold } from "../core/grants/commands.ts";
import { type HoldRelease, type HoldWork, holdWorkOf } from "../core/grants/open-work.ts";
import type { GrantsState } from "../core/grants/state.ts";
import { standingOf } from "../core/process/holders.ts";
import { wasClosedFor } from "../core/process/task-work.ts";
import type { ProcessId, StreamName } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { StreamFold } from "../engine/stream-fold.ts";
import {
  addressOf,
  flowEnvelope,
  type GrantsStreams,
  isRefusedFor,
  processStreamOf,
  sessionOf,
} from "./flow-streams.ts";

/** What the flow works between. */
export interface HoldFlowOptions {
  readonly grants: Pick<GrantsStreams, "fresh" | "submit">;
  readonly processes: Pick<ProcessStreams, "submit">;
}

/** What processes answered. */
interface Answers {
  readonly acquired: readonly HoldMark[];
  readonly released: readonly ReleasedHold[];
  readonly gone: readonly ProcessId[];
  /** Why some could not be asked; the rest is as good as done. */
  readonly failures: readonly unknown[];
}

/** Rounds of one drive; a round has up to a thousand messages. */
const ROUNDS_MAX = 1000;
/** Bytes of one entry of a command, near enough. */
const ENTRY_BYTES = 100;

/** Whether the process is not there any more, or never was. */
function isGone(error: unknown): boolean {
  return isRefusedFor(error, ["NO_LONGER_RETAINED", "PROCESS_NOT_FOUND"]);
}

/** Makes the drive of the flow: everything open in the grants of a session. */
export function makeHoldFlow(options: HoldFlowOptions): (stream: StreamName) => Promise<void> {
  const { grants, processes } = options;

  async function ask(stream: StreamName, work: HoldWork): Promise<Answers> {
    const { namespace } = addressOf(stream);
    const sessionId = sessionOf(stream);
    const acquired: HoldMark[] = [];
    const released: ReleasedHold[] = [];
    const gone: ProcessId[] = [];
    const failures: unknown[] = [];

    async function acquire({ processId, mark }: HoldMark): Promise<void> {
      const command = { type: "hold" as const, processId, sessionId, mark };
      try {
        await processes.submit(processStreamOf(namespace, processId), flowEnvelope(command));
        acquired.push({ processId, mark });
      } catch (error) {
        if (isGone(error)) gone.push(processId);
        else failures.push(error);
      }
    }

    async function release(hold: HoldRelease): Promise<void> {
      const { processId, mark, deletion } = hold;
      const command = {
        type: "release_hold" as const,
        processId,
        sessionId,
        mark,
        ...(deletion === undefined ? {} : { deletion }),
      };
      try {
        const name = processStreamOf(namespace, processId);
        const { reply, state } = await processes.submit(name, flowEnvelope(command));
        const { terminal, holderCount } = standingOf(state);
        const isClosed = deletion !== undefined && wasClosedFor(state, deletion.reason);
        const wasCancelled = reply.type === "hold" && reply.cancelRequested && !isClosed;
        const isOrphan = !terminal && (holderCount === 0 || wasCancelled);
        const standing = terminal ? "terminal" : isOrphan ? "orphaned" : "preserved";
        // Also when it was asked to cancel by an earlier try, whose answer was lost.
        const cancelRequested = isClosed || (isOrphan && deletion?.cancelOrphans === true);
        released.push({ processId, mark, standing, cancelRequested });
      } catch (error) {
        if (!isGone(error)) failures.push(error);
        else released.push({ processId, mark, standing: "terminal", cancelRequested: false });
      }
    }

    await Promise.all([...work.acquire.map(acquire), ...work.release.map(release)]);
    return { acquired, released, gone, failures };
  }

  /** One round; the fold after it, or undefined when nothing is left that could be done. */
  async function round(stream: StreamName, state: GrantsState): Promise<GrantsState | undefined> {
    const work = holdWorkOf(state);
    const count = work.acquire.length + work.release.length;
    if (count === 0) return undefined;
    const { failures, ...answers } = await ask(stream, work);
    const command = { type: "confirm_holds" as const, ...answers };
    const confirmed = await grants.submit(stream, flowEnvelope(command, count * ENTRY_BYTES));
    if (failures.length > 0) {
      const attempts = confirmed.state.deferral?.attempts ?? 0;
      await grants.submit(stream, flowEnvelope({ type: "defer_work" as const, attempts }));
      throw failures[0];
    }
    return confirmed.events.length > 0 ? confirmed.state : undefined;
  }

  return async (stream) => {
    const fold: StreamFold<GrantsState> = await grants.fresh(stream);
    let state: GrantsState | undefined = fold.state;
    for (let rounds = 0; state !== undefined && rounds < ROUNDS_MAX; rounds += 1) {
      state = await round(stream, state);
    }
  };
}
