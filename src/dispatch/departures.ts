/** Executors that go of their own will: their runs and leases go back uncounted. */
import {
  type ExecutorId,
  type IncarnationId,
  type Namespace,
  type Revision,
  type RuntimeId,
  runtimeIdOf,
} from "../core/shared/ids.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { HeldStreams } from "./held-streams.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import { holderKey, type Session } from "./session.ts";

/** Who goes. */
export interface Leaver {
  readonly namespace: Namespace;
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
}

/** A runtime given back. */
export interface ReleasedRuntime {
  readonly runtimeId: RuntimeId;
  readonly revision: Revision;
}

/** What departures work with. */
export interface DeparturesOptions {
  readonly streams: RuntimeStreams;
  readonly heldStreams: HeldStreams;
  readonly sessionOf: (holder: string) => Session | undefined;
  /** Ends the incarnation once everything is given back. */
  readonly end: (holder: string) => Promise<void>;
}

/** Gives back these runtimes, or all and the incarnation itself when none are named. */
export type Detach = (
  leaver: Leaver,
  runtimeIds: ReadonlySet<string>,
) => Promise<readonly ReleasedRuntime[]>;

/** Makes the departures of a process. */
export function makeDepartures(options: DeparturesOptions): Detach {
  const { streams, heldStreams, sessionOf } = options;

  async function release(
    leaver: Leaver,
    holder: string,
    isWanted: (runtimeId: string) => boolean,
  ): Promise<readonly ReleasedRuntime[]> {
    const { namespace, executorId, incarnationId } = leaver;
    const found = await heldStreams(namespace, holder);
    const released = await Promise.all(
      found.map(async (stream): Promise<readonly ReleasedRuntime[]> => {
        const runtimeId = runtimeIdOf(parseStreamName(stream)?.id ?? "");
        if (!isWanted(runtimeId)) return [];
        const command = { type: "release_lease" as const, executorId, incarnationId };
        const envelope = { name: command.type, bytes: 150, retrySafe: true, command };
        const { reply, revision } = await streams.submit(stream, envelope);
        const isReleased = reply.type === "released" && reply.released;
        return isReleased ? [{ runtimeId, revision }] : [];
      }),
    );
    return released.flat();
  }

  return async (leaver, runtimeIds) => {
    const holder = holderKey(leaver);
    if (runtimeIds.size > 0) return await release(leaver, holder, (id) => runtimeIds.has(id));
    const session = sessionOf(holder);
    // First: what is given back must not be assigned to the same session again.
    if (session) session.ending = true;
    try {
      const released = await release(leaver, holder, () => true);
      await options.end(holder);
      return released;
    } catch (error) {
      // It has not gone, and may stay.
      if (session) session.ending = false;
      throw error;
    }
  };
}
