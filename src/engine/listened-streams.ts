/**
 * Streams that somebody in this process listens to, by shard: those are caught up when other
 * replicas move them. The catching up itself is a closure per stream, so that types stay with
 * their aggregate.
 */
import type { Revision, StreamName } from "../core/shared/ids.ts";
import type { EngineObserver } from "./observer.ts";
import type { Prober } from "./freshness.ts";

/** One listened-to stream. */
interface Listened {
  readonly stream: StreamName;
  /** Revision of the committed fold here. */
  readonly revision: () => Revision;
  readonly catchUp: () => Promise<void>;
  count: number;
  running: boolean;
  again: boolean;
}

/** The listened-to streams of a process. */
export interface ListenedStreams {
  readonly add: (
    shard: string,
    stream: StreamName,
    revision: () => Revision,
    catchUp: () => Promise<void>,
  ) => void;
  readonly remove: (shard: string, stream: StreamName) => void;
  /** Another replica moved a stream of this shard. */
  readonly moved: (shard: string) => void;
  /** Any of them may have moved: probe all heads, catch up those that did. */
  readonly probeAll: () => Promise<void>;
}

function takeAgain(listened: Listened): boolean {
  const { again } = listened;
  listened.again = false;
  return again;
}

/** Makes the set of listened-to streams. */
export function makeListenedStreams(prober: Prober, observer: EngineObserver): ListenedStreams {
  const byShard = new Map<string, Listened[]>();
  let probing = false;

  async function run(listened: Listened): Promise<void> {
    if (listened.running) {
      listened.again = true;
      return;
    }
    listened.running = true;
    try {
      for (let again = true; again; again = takeAgain(listened)) await listened.catchUp();
    } catch (error) {
      observer.backgroundFailed("catching up a listened-to stream", error);
    } finally {
      listened.running = false;
    }
  }

  async function probe(listened: Listened): Promise<void> {
    const point = { stream: listened.stream, revision: listened.revision() + 1 };
    if (await prober.exists(point)) await run(listened);
  }

  async function probeAll(): Promise<void> {
    if (probing) return;
    probing = true;
    try {
      await Promise.all([...byShard.values()].flat().map(probe));
    } catch (error) {
      observer.backgroundFailed("probe of listened-to streams", error);
    } finally {
      probing = false;
    }
  }

  return {
    add: (shard, stream, revision, catchUp) => {
      const listed = byShard.get(shard) ?? [];
      const known = listed.find((listened) => listened.stream === stream);
      if (known) known.count += 1;
      else listed.push({ stream, revision, catchUp, count: 1, running: false, again: false });
      byShard.set(shard, listed);
    },
    remove: (shard, stream) => {
      const listed = byShard.get(shard) ?? [];
      const known = listed.find((listened) => listened.stream === stream);
      if (!known) return;
      known.count -= 1;
      if (known.count > 0) return;
      const rest = listed.filter((listened) => listened !== known);
      if (rest.length > 0) byShard.set(shard, rest);
      else byShard.delete(shard);
    },
    moved: (shard) => {
      for (const listened of byShard.get(shard) ?? []) void run(listened);
    },
    probeAll,
  };
}
