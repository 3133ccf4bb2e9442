/** Replica registers in memory, timed by the database's clock. */
import type { Clock, ReplicaFacts, ReplicaRow, ReplicaStore } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import type { WriteLog } from "./write-log.ts";

/** The registers of a memory database, shared by its connections. */
export interface ReplicaTable {
  readonly heartbeat: (row: ReplicaFacts) => number;
  readonly bury: (row: ReplicaRow) => void;
  readonly list: () => readonly ReplicaRow[];
  readonly remove: (replicaId: string) => void;
}

/** No replicas yet. */
export function makeReplicaTable(log: WriteLog, clock: Clock): ReplicaTable {
  const rows = new Map<string, ReplicaRow>();

  function replace(replicaId: string, row: ReplicaRow | undefined): void {
    const former = rows.get(replicaId);
    if (row === undefined) rows.delete(replicaId);
    else rows.set(replicaId, row);
    log.wrote(() => {
      if (former === undefined) rows.delete(replicaId);
      else rows.set(replicaId, former);
    });
  }

  return {
    heartbeat: (row) => {
      const heartbeatAt = clock.nowMs();
      replace(row.replicaId, { ...row, heartbeatAt, buried: false });
      return heartbeatAt;
    },
    bury: ({ replicaId, heartbeatAt }) => {
      const row = rows.get(replicaId);
      if (row?.heartbeatAt === heartbeatAt) replace(replicaId, { ...row, buried: true });
    },
    list: () => [...rows.values()],
    remove: (replicaId) => {
      replace(replicaId, undefined);
    },
  };
}

/** The registers as one connection sees them. */
export function makeMemoryReplicas(table: ReplicaTable, gate: MemoryGate): ReplicaStore {
  return {
    heartbeat: (row) => gate.run("replicas", "heartbeat", false, () => table.heartbeat(row)),
    bury: (row) => gate.run("replicas", "bury", false, () => table.bury(row)),
    list: () => gate.run("replicas", "list", false, () => table.list()),
    remove: (replicaId) =>
      gate.run("replicas", "remove", false, () => {
        table.remove(replicaId);
      }),
  };
}
