/**
 * The liveness registers of the sessions at this replica. A register is renewed by whichever
 * replica the executor calls, so what is known here may be old: sessions whose register was not
 * seen alive lately are looked up, and get no work when that was long ago.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Clock, LeaseStore, LeaseAttachment } from "../engine/ports.ts";
import { makeRenewals } from "./renewals.ts";
import { holderKey, type Session, type SessionTerms } from "./session.ts";

/**
 * A lapsed register is watched for a minute. A replica that stood still for longer must not give
 * work to an incarnation that was buried meanwhile.
 */
const TRUSTED_MS = 30_000;
const LOOKS_PER_TTL = 3;

/** What renewing led to: the time to live, or why there is none. */
export type Renewed =
  | { readonly kind: "renewed"; readonly ttlMs: number }
  | { readonly kind: "dead" }
  | { readonly kind: "unknown" };

/** An incarnation that takes a run of its own. */
export type Claimant = Pick<
  SessionTerms,
  "namespace" | "executorId" | "incarnationId" | "leaseTtlMs"
>;

/** A pool as registers name what an incarnation serves. */
export function servedPool(namespace: string, pool: string): string {
  return [namespace, pool].map(encodeURIComponent).join("/");
}

/** Registers of executor incarnations. */
export interface Registers {
  /** Opens the register of a session. Refuses EXECUTOR_INCARNATION_DEAD. */
  readonly open: (session: Session) => Promise<void>;
  /**
   * Opens or renews the register of an incarnation that takes a run without being attached;
   * answers its time to live, which stays what it was. Refuses EXECUTOR_INCARNATION_DEAD.
   */
  readonly claim: (claimant: Claimant, session: Session | undefined) => Promise<number>;
  readonly renew: (holder: string, session: Session | undefined) => Promise<Renewed>;
  /**
   * Looks the register up when it was not seen alive lately: whether it is over, or a newer
   * stream of the incarnation attached elsewhere.
   */
  readonly confirm: (session: Session) => Promise<"alive" | "over" | "replaced">;
  /** Whether the register was seen alive so lately that work may be given to the session. */
  readonly isTrusted: (session: Session) => boolean;
}

/** The refusal of an incarnation whose register is over. */
export function incarnationDead(terms: {
  readonly executorId: string;
  readonly incarnationId: string;
}): RefusedError {
  const { executorId, incarnationId } = terms;
  const message =
    "The leases of this incarnation are over for good; stop its runs and attach with a new one";
  const metadata = { executorId, incarnationId };
  return new RefusedError(refusalOf("EXECUTOR_INCARNATION_DEAD", message, metadata));
}

/**
 * Whether a newer stream of the incarnation has taken over elsewhere. Polls come to any replica in
 * turn, and none of them replaces another.
 */
export function isReplaced(session: Session, { attachments }: LeaseAttachment): boolean {
  return !session.terms.polls && attachments > session.attachments;
}

/** Makes the registers of a process. */
export function makeRegisters(
  leases: LeaseStore,
  clock: Clock,
  databaseNowMs: () => TimeMs,
): Registers {
  const renewals = makeRenewals(leases, clock);

  function seenAlive(session: Session, agoMs = 0): void {
    session.renewedMs = Math.max(session.renewedMs, clock.monotonicMs() - Math.max(0, agoMs));
    session.confirmedMs = clock.monotonicMs();
  }

  return {
    open: async (session) => {
      const { leaseTtlMs, namespace, target } = session.terms;
      const serves = target.kind === "pool" ? servedPool(namespace, target.pool) : "";
      const attachments = await leases.open(session.holder, leaseTtlMs, { serves });
      if (attachments === "lapsed") throw incarnationDead(session.terms);
      session.attachments = attachments;
      seenAlive(session);
    },
    claim: async (claimant, session) => {
      const holder = holderKey(claimant);
      const ttlMs = (await leases.get(holder))?.ttlMs ?? claimant.leaseTtlMs;
      if ((await leases.open(holder, ttlMs)) === "lapsed") throw incarnationDead(claimant);
      if (session) seenAlive(session);
      return ttlMs;
    },
    renew: async (holder, session) => {
      if (await renewals.renew(holder)) {
        if (session) seenAlive(session);
        const ttlMs = session?.terms.leaseTtlMs ?? (await leases.get(holder))?.ttlMs;
        return ttlMs === undefined ? { kind: "unknown" } : { kind: "renewed", ttlMs };
      }
      return { kind: (await leases.get(holder)) ? "dead" : "unknown" };
    },
    confirm: async (session) => {
      const ageMs = clock.monotonicMs() - session.confirmedMs;
      if (ageMs < session.terms.leaseTtlMs / LOOKS_PER_TTL && ageMs < TRUSTED_MS / 2) {
        return "alive";
      }
      const row = await leases.get(session.holder);
      if (row?.state !== "live") return "over";
      seenAlive(session, databaseNowMs() - row.renewedAt);
      return isReplaced(session, row) ? "replaced" : "alive";
    },
    isTrusted: (session) => clock.monotonicMs() - session.confirmedMs < TRUSTED_MS,
  };
}
