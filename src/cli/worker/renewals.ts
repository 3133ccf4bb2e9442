/**
 * Renews the leases of one incarnation: every third of their time to live, and at once when a run
 * was taken up, because the renewal that names a run acknowledges it.
 */
import type { RenewLeasesResponse } from "../../../gen/keelson/executor/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import { failureOf } from "../client/failure.ts";
import { makeBackoff, pause } from "../client/repeat.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";

const RENEWALS_PER_TTL = 3;
const CALL_TIMEOUT_MIN_MS = 1_000;

/** What to renew, and who is told. */
export interface RenewalOptions {
  readonly connection: Connection;
  readonly executorId: string;
  readonly incarnationId: string;
  /** The runs held now. */
  readonly heldRunIds: () => readonly string[];
  /** Told of every renewal, with the runs that it named. */
  readonly onRenewed: (renewed: RenewLeasesResponse, heldRunIds: readonly string[]) => void;
  /** Told when the leases are over for good; nothing is renewed after it. */
  readonly onDead: () => void;
  readonly signal: AbortSignal;
}

/** Renews until its signal fires. */
export interface Renewals {
  /** Renews now; a renewal under way is followed by another. */
  readonly renewNow: () => void;
  /** Takes note of how long the leases live without renewal; the first time begins to renew. */
  readonly setTtl: (ttlMs: number) => void;
  /** Takes note that the server confirmed the leases to a call sent at this monotonic time. */
  readonly confirm: (sentMs: number) => void;
  /** True while the leases cannot have lapsed, however long this process was paused. */
  readonly isFresh: () => boolean;
}

/**
 * Prepares to renew. It begins with the first sign of an open stream, because an incarnation that
 * never attached has nothing to renew and would be told that it is dead.
 */
export function makeRenewals(options: RenewalOptions): Renewals {
  const { connection, executorId, incarnationId, onRenewed, onDead, signal } = options;
  const isStopped = (): boolean => signal.aborted;
  let ttlMs = 0;
  let confirmedMs = Number.NEGATIVE_INFINITY;
  let hurry = new AbortController();

  /** False when the leases are over for good. */
  async function renew(): Promise<boolean> {
    const backoff = makeBackoff(ttlMs / RENEWALS_PER_TTL);
    while (!isStopped()) {
      hurry = new AbortController();
      try {
        const timeoutMs = Math.max(CALL_TIMEOUT_MIN_MS, Math.round(ttlMs / RENEWALS_PER_TTL));
        const sentMs = performance.now();
        const heldRunIds = [...options.heldRunIds()];
        const request = { executorId, incarnationId, heldRunIds };
        const renewed = await connection.executors.renewLeases(request, { signal, timeoutMs });
        const { remaining } = renewed;
        if (remaining !== undefined) ttlMs = durationFromProto(remaining) ?? ttlMs;
        confirmedMs = sentMs;
        onRenewed(renewed, heldRunIds);
        return true;
      } catch (error) {
        if (isStopped()) return true;
        const { reason } = failureOf(error);
        if (reason === "EXECUTOR_INCARNATION_DEAD" || reason === "EXECUTOR_NOT_FOUND") return false;
        await pause(backoff.nextMs(), signal);
      }
    }
    return true;
  }

  async function keepRenewing(): Promise<void> {
    while (!isStopped()) {
      await pause(ttlMs / RENEWALS_PER_TTL, AbortSignal.any([signal, hurry.signal]));
      if (isStopped() || !(await renew())) break;
    }
    if (!isStopped()) onDead();
  }

  return {
    renewNow: () => hurry.abort(),
    confirm: (sentMs) => {
      confirmedMs = sentMs;
    },
    isFresh: () => performance.now() - confirmedMs < ttlMs,
    setTtl: (spanMs) => {
      const isFirst = ttlMs === 0;
      const isChanged = ttlMs !== spanMs;
      ttlMs = spanMs;
      if (isFirst) void keepRenewing();
      else if (isChanged) hurry.abort();
    },
  };
}
