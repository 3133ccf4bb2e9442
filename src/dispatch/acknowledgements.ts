/**
 * Acknowledges the runs that an incarnation says it holds. A run that cannot be found is reported
 * as unknown only once that is certain: the views may not show yet what another replica has just
 * assigned, and an executor drops what it is told is not its.
 */
import type { Namespace, RunId, StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Engine } from "../engine/engine.ts";
import { isPassing } from "./assigner.ts";
import type { HeldStreams } from "./held-streams.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { holderKey, type Session } from "./session.ts";

/** Most runs that were asked for and not found, kept until it is certain that they are not. */
const DOUBTS_MAX = 10_000;

/** Acknowledgements at this replica. */
export interface Acknowledgements {
  /** Answers the runs that are certainly not the incarnation's. */
  readonly acknowledge: (
    namespace: Namespace,
    holder: string,
    runIds: readonly RunId[],
  ) => Promise<readonly RunId[]>;
}

/** What acknowledging works with. */
export interface AcknowledgementsOptions {
  readonly engine: Pick<Engine, "membership" | "time">;
  readonly replicaId: string;
  readonly streams: RuntimeStreams;
  readonly sessionOf: (holder: string) => Session | undefined;
  readonly heldStreams: HeldStreams;
  /** A run of the session was found that this replica did not know it holds. */
  readonly onFound: (session: Session, stream: StreamName, runId: RunId) => void;
}

/** Makes the acknowledgements of a process. */
export function makeAcknowledgements(options: AcknowledgementsOptions): Acknowledgements {
  const { streams, heldStreams, sessionOf } = options;
  const { membership, time } = options.engine;
  /** When a run was first asked for and not found. */
  const doubts = new Map<string, TimeMs>();

  /** Everything committed anywhere before this time is in the views. */
  function viewedBefore(): TimeMs {
    const others = membership.rows().filter((row) => row.replicaId !== options.replicaId);
    return others.reduce((earliest, row) => Math.min(earliest, row.lowWatermark), Infinity);
  }

  function isCertain(holder: string, runId: RunId): boolean {
    const key = `${holder} ${runId}`;
    const since = doubts.get(key) ?? time.nowMs();
    if (viewedBefore() > since) {
      doubts.delete(key);
      return true;
    }
    doubts.set(key, since);
    const [oldest] = doubts.keys();
    if (doubts.size > DOUBTS_MAX && oldest !== undefined) doubts.delete(oldest);
    return false;
  }

  /** The run of a stream if it is the incarnation's, acknowledged. */
  async function acknowledgeAt(
    namespace: string,
    holder: string,
    stream: StreamName,
    wanted: ReadonlySet<RunId>,
    isKnownHere: boolean,
  ): Promise<RunId | undefined> {
    const { state } = isKnownHere ? await streams.known(stream) : await streams.fresh(stream);
    const { run, lease } = state;
    if (!run || !lease || holderKey({ namespace, ...lease }) !== holder) return undefined;
    const { runId, generation } = run;
    if (!wanted.has(runId)) return undefined;
    if (!run.acknowledged) {
      const command = { type: "acknowledge_run" as const, runId, generation };
      const envelope = { name: command.type, bytes: 100, retrySafe: true, command };
      try {
        await streams.submit(stream, envelope);
      } catch (error) {
        if (isPassing(error)) throw error;
        return undefined;
      }
    }
    const session = sessionOf(holder);
    if (session?.held.get(stream)?.runId !== runId && session) {
      options.onFound(session, stream, runId);
    }
    return runId;
  }

  return {
    acknowledge: async (namespace, holder, runIds) => {
      if (runIds.length === 0) return [];
      const wanted = new Set(runIds);
      const here = new Map<RunId, StreamName>();
      for (const held of sessionOf(holder)?.held.values() ?? []) here.set(held.runId, held.stream);
      const known = new Set(runIds.flatMap((runId) => here.get(runId) ?? []));
      const areAllKnown = runIds.every((runId) => here.has(runId));
      const found = areAllKnown ? [] : await heldStreams(namespace, holder);
      const candidates = [...new Set([...known, ...found])];
      const acknowledged = await Promise.all(
        candidates.map((stream) =>
          acknowledgeAt(namespace, holder, stream, wanted, known.has(stream)),
        ),
      );
      const theirs = new Set(acknowledged);
      return [...wanted].filter((runId) => {
        if (theirs.has(runId)) {
          doubts.delete(`${holder} ${runId}`);
          return false;
        }
        return here.has(runId) || isCertain(holder, runId);
      });
    },
  };
}
