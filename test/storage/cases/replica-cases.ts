/** What every replica store promises. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ReplicaRow, ReplicaStore } from "../../../src/engine/ports.ts";
import type { CaseSetup } from "../case-setup.ts";

/** See the header of this file. */
export function replicaCases(setup: CaseSetup): void {
  const replicas = (): ReplicaStore => setup.storage().replicas;

  async function rowOf(replicaId: string): Promise<ReplicaRow | undefined> {
    const rows = await setup.otherStorage().replicas.list();
    return rows.find((row) => row.replicaId === replicaId);
  }

  describe("replicas", () => {
    it("stamps a heartbeat with the database's time and shows it to others", async () => {
      const row = {
        replicaId: randomUUID(),
        address: "$host:7420",
        version: "1.2.3",
        startedAt: 1_700_000_000_000,
        lowWatermark: 1_700_000_000_001,
        busyPools: [{ pool: "$default/gpu", executors: 3 }],
      };
      const before = await setup.storage().databaseTime();
      const heartbeatAt = await replicas().heartbeat(row);
      expect(heartbeatAt).toBeGreaterThanOrEqual(before);
      expect(await rowOf(row.replicaId)).toEqual({ ...row, heartbeatAt, buried: false });
      const later = { ...row, lowWatermark: 1_700_000_000_002, busyPools: [] };
      const laterAt = await replicas().heartbeat(later);
      expect(laterAt).toBeGreaterThanOrEqual(heartbeatAt);
      expect(await rowOf(row.replicaId)).toEqual({
        ...later,
        heartbeatAt: laterAt,
        buried: false,
      });
    });

    it("buries a replica until it beats again, and not one that has beaten since", async () => {
      const replicaId = randomUUID();
      const times = { startedAt: 1, lowWatermark: 1 };
      const row = { replicaId, address: "a", version: "1", ...times, busyPools: [] };
      const earlier = await replicas().heartbeat(row);
      const ago = { ...row, heartbeatAt: earlier - 1, buried: false };
      await replicas().bury(ago);
      expect(await rowOf(replicaId)).toMatchObject({ buried: false });
      await replicas().bury({ ...ago, heartbeatAt: earlier });
      expect(await rowOf(replicaId)).toMatchObject({ heartbeatAt: earlier, buried: true });
      await replicas().heartbeat(row);
      expect(await rowOf(replicaId)).toMatchObject({ buried: false });
    });

    it("removes a replica that leaves and no other", async () => {
      const [left, right] = [randomUUID(), randomUUID()];
      for (const replicaId of [left, right]) {
        await replicas().heartbeat({
          replicaId,
          address: "a",
          version: "1",
          startedAt: 1,
          lowWatermark: 1,
          busyPools: [],
        });
      }
      await replicas().remove(left);
      await replicas().remove(left);
      expect(await rowOf(left)).toBeUndefined();
      expect(await rowOf(right)).toBeDefined();
    });
  });
}
