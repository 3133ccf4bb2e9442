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
  readonly pools: Pick<Pools, "rooms">;
}

function holderFacts({ renewedAt, ttlMs, state }: LeaseRow): ExecutorFacts["holder"] & object {
  return { renewedAt, expiresAt: renewedAt + ttlMs, isLapsed: state === "lapsed" };
}

/**
 * Reads the facts: who lives from the registers, what they could take from the sessions here and
 * from what the other replicas said with their last heartbeats.
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
  const here = pools.rooms().find((room) => room.pool === pool);
  const elsewhere = membership.others().flatMap((replica) => {
    return replica.pools.filter((room) => room.pool === pool);
  });
  const rooms = here === undefined ? elsewhere : [here, ...elsewhere];
  return {
    // A register may be overdue while its session is still here.
    poolExecutors: Math.max(serving.length, here?.attached ?? 0),
    attached: rooms.reduce((sum, { attached }) => sum + attached, 0),
    freeSlots: rooms.reduce((sum, { freeSlots }) => sum + freeSlots, 0),
    ...(servedUntil === undefined ? {} : { poolServedUntil: servedUntil }),
    ...(register === undefined ? {} : { holder: holderFacts(register) }),
  };
}
