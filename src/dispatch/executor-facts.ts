/** What is known of the executors that could run a runtime, for those who ask why it does not. */
import type { ExecutorFacts } from "../core/runtime/explain.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { LeaseRow, LeaseStore } from "../engine/ports.ts";
import type { PoolRoom } from "./pools.ts";
import { servedPool } from "./registers.ts";
import { holderKey } from "./session.ts";

/** Executors of a pool that are counted; there may be more. */
const EXECUTORS_MAX = 1000;

function holderFacts({ renewedAt, ttlMs, state }: LeaseRow): ExecutorFacts["holder"] & object {
  return { renewedAt, expiresAt: renewedAt + ttlMs, isLapsed: state === "lapsed" };
}

/** Reads the facts: of all replicas from the registers, of this one from its sessions. */
export async function executorFacts(
  leases: Pick<LeaseStore, "get" | "serving">,
  roomOf: (namespace: string, pool: string) => PoolRoom,
  namespace: string,
  state: RuntimeState,
): Promise<ExecutorFacts> {
  const { lease, config } = state;
  const holder = lease === null ? undefined : holderKey({ namespace, ...lease });
  const [serving, register] = await Promise.all([
    leases.serving(servedPool(namespace, config.pool), EXECUTORS_MAX),
    holder === undefined ? undefined : leases.get(holder),
  ]);
  const { attached: attachedHere, freeSlots: freeSlotsHere } = roomOf(namespace, config.pool);
  return {
    // A register may be overdue while its session is still here.
    poolExecutors: Math.max(serving.length, attachedHere),
    attachedHere,
    freeSlotsHere,
    ...(register === undefined ? {} : { holder: holderFacts(register) }),
  };
}
