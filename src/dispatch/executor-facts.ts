/** What is known of the executors that could run a runtime, for those who ask why it does not. */
import type { ExecutorFacts } from "../core/runtime/explain.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { Membership } from "../engine/membership.ts";
import type { LeaseRow, LeaseStore } from "../engine/ports.ts";
import type { Pools } from "./pools.ts";
import { servedPool } from "./registers.ts";
import { holderKey } from "./session.ts";

/** Executors of a pool that are counted; there may be more. */
const EXECUTORS_MAX = 1000;

/** Where the facts are. */
export interface FactSources {
  readonly leases: Pick<LeaseStore, "get" | "servedUntil" | "serving">;
  readonly membership: Pick<Membership, "others">;
  readonly pools: Pick<Pools, "attached" | "busy">;
}

function holderFacts({ renewedAt, ttlMs, state }: LeaseRow): ExecutorFacts["holder"] & object {
  return { renewedAt, expiresAt: renewedAt + ttlMs, isLapsed: state === "lapsed" };
}

/**
 * Reads the facts: who lives from the registers, who takes no more from the sessions here and from
 * what the other replicas said with their last heartbeats.
 */
export async function executorFacts(
  { leases, membership, pools }: FactSources,
  namespace: string,
  state: RuntimeState,
): Promise<ExecutorFacts> {
  const { lease, config } = state;
  const pool = servedPool(namespace, config.pool);
  const holder = lease === null ? undefined : holderKey({ namespace, ...lease });
  const [serving, servedUntil, register] = await Promise.all([
    leases.serving(pool, EXECUTORS_MAX),
    leases.servedUntil(pool),
    holder === undefined ? undefined : leases.get(holder),
  ]);
  const busyPools = [pools.busy(), ...membership.others().map((replica) => replica.busyPools)];
  const busy = busyPools.flat().filter((other) => other.pool === pool);
  return {
    // A register may be overdue while its session is still here.
    poolExecutors: Math.max(serving.length, pools.attached(namespace, config.pool)),
    busyExecutors: busy.reduce((sum, { executors }) => sum + executors, 0),
    ...(servedUntil === undefined ? {} : { poolServedUntil: servedUntil }),
    ...(register === undefined ? {} : { holder: holderFacts(register) }),
  };
}
