/**
 * Opens liveness registers under fresh names: those that are asked for while a write is under way
 * share the next one, so that many claims at once cost few writes.
 */
import type { LeaseStore, NewRegister } from "../engine/ports.ts";

/** Most registers of one write. */
const WRITE_MAX = 500;

interface Waiting {
  readonly register: NewRegister;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Makes the opener of a process; it resolves once the register is durable. */
export function makeNewRegisters(
  leases: Pick<LeaseStore, "openNew">,
): (holder: string, ttlMs: number) => Promise<void> {
  let waiting: Waiting[] = [];
  let isWriting = false;

  async function write(batch: readonly Waiting[]): Promise<void> {
    try {
      await leases.openNew(batch.map(({ register }) => register));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async function writeAll(): Promise<void> {
    isWriting = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, WRITE_MAX);
      waiting = waiting.slice(WRITE_MAX);
      await write(batch);
    }
    isWriting = false;
  }

  return (holder, ttlMs) =>
    new Promise((resolve, reject) => {
      waiting.push({ register: { holder, ttlMs }, resolve, reject });
      if (!isWriting) void writeAll();
    });
}
