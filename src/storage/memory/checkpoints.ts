/** Checkpoints in memory: per stream the stored folds in order of revision. */
import type { StreamName } from "../../core/shared/ids.ts";
import type { CheckpointStore, StoredCheckpoint, StreamPoint } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import type { WriteLog } from "./write-log.ts";

/** The checkpoints of a memory database, shared by its connections. */
export interface CheckpointTable {
  readonly put: (checkpoint: StoredCheckpoint) => void;
  readonly latest: (
    streams: readonly StreamName[],
    foldVersion: number,
  ) => readonly StoredCheckpoint[];
  readonly nearest: (point: StreamPoint, foldVersion: number) => StoredCheckpoint | undefined;
}

/** No checkpoints yet. */
export function makeCheckpointTable(log: WriteLog): CheckpointTable {
  const streams = new Map<StreamName, StoredCheckpoint[]>();

  function put(checkpoint: StoredCheckpoint): void {
    const stored = streams.get(checkpoint.stream) ?? [];
    streams.set(checkpoint.stream, stored);
    const isThere = stored.some(
      (other) =>
        other.revision === checkpoint.revision && other.foldVersion === checkpoint.foldVersion,
    );
    if (isThere) return;
    const index = stored.findLastIndex((other) => other.revision <= checkpoint.revision) + 1;
    stored.splice(index, 0, checkpoint);
    log.wrote(() => {
      stored.splice(stored.indexOf(checkpoint), 1);
    });
  }

  function nearest(point: StreamPoint, foldVersion: number): StoredCheckpoint | undefined {
    return streams
      .get(point.stream)
      ?.findLast(
        (checkpoint) =>
          checkpoint.foldVersion === foldVersion && checkpoint.revision <= point.revision,
      );
  }

  return {
    put,
    latest: (names, foldVersion) =>
      names
        .map((stream) => nearest({ stream, revision: Number.POSITIVE_INFINITY }, foldVersion))
        .filter((checkpoint) => checkpoint !== undefined),
    nearest,
  };
}

/** The checkpoints as one connection sees them. */
export function makeMemoryCheckpoints(table: CheckpointTable, gate: MemoryGate): CheckpointStore {
  return {
    put: (checkpoint) =>
      gate.run("checkpoints", "put", true, () => {
        table.put(checkpoint);
      }),
    latest: (streams, foldVersion) =>
      gate.run("checkpoints", "latest", false, () => table.latest(streams, foldVersion)),
    nearest: (point, foldVersion) =>
      gate.run("checkpoints", "nearest", false, () => table.nearest(point, foldVersion)),
  };
}
