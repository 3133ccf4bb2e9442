/**
 * Renews liveness registers: all renewals that arrive within a tenth of a second share one bulk
 * write, however many runtimes the executors hold.
 */
import type { Clock, LeaseStore } from "../engine/ports.ts";

const COLLECT_MS = 100;

/** Renewals of executor incarnations. */
export interface Renewals {
  /** False when the register is not live: lapsed for good, or never opened. */
  readonly renew: (holder: string) => Promise<boolean>;
}

interface Waiting {
  readonly resolve: (live: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Makes the renewals of a process. */
export function makeRenewals(leases: Pick<LeaseStore, "renew">, clock: Clock): Renewals {
  let waiting = new Map<string, Waiting[]>();

  async function flush(): Promise<void> {
    const batch = waiting;
    waiting = new Map();
    try {
      const dead = new Set(await leases.renew([...batch.keys()]));
      for (const [holder, waiters] of batch) {
        for (const waiter of waiters) waiter.resolve(!dead.has(holder));
      }
    } catch (error) {
      for (const waiters of batch.values()) {
        for (const waiter of waiters) waiter.reject(error);
      }
    }
  }

  return {
    renew: (holder) =>
      new Promise((resolve, reject) => {
        const known = waiting.get(holder);
        if (known) known.push({ resolve, reject });
        else waiting.set(holder, [{ resolve, reject }]);
        if (waiting.size === 1 && !known) clock.after(COLLECT_MS, () => void flush());
      }),
  };
}
