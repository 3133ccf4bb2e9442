/**
 * Holds of workers on processes: a register per hold keeps it alive, the process's stream says who
 * has it. A register is open before its hold is granted and goes once the hold is over, so there is
 * never a hold that could not lapse. Renewals touch the register alone.
 */
import { holdsLease } from "../core/process/append.ts";
import type { LeaseProof, ProcessCommand } from "../core/process/commands.ts";
import { leaseHeld, leaseLost, refusedByTable } from "../core/process/refusals.ts";
import type { Lease, ProcessState } from "../core/process/state.ts";
import { holderOfLease } from "../core/process/summarize.ts";
import type { LeaseOwner } from "../core/process/terms.ts";
import {
  type LeaseToken,
  leaseTokenOf,
  type ProcessId,
  processIdOf,
  type Revision,
  type StreamName,
} from "../core/shared/ids.ts";
import { type Refusal, type RefusalReason, RefusedError } from "../core/shared/refusal.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, Entropy, LeaseStore, StreamRow } from "../engine/ports.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { ProcessQueue } from "./process-queue.ts";
import type { ProcessCommit, ProcessStreams } from "./process-streams.ts";
import { makeNewRegisters } from "./new-registers.ts";
import { makeRenewals } from "./renewals.ts";

/** How often a claim is tried again because a hold was over whose process did not know. */
const CLAIM_TRIES_MAX = 4;
/** A register that was opened longer ago is renewed before a hold is granted on it. */
const REGISTER_AGE_MAX_MS = 500;
/** Registers of holds that are over are discarded together. */
const DISCARD_AFTER_MS = 500;
/** Between two looks of a claim that waits for work. */
const WAIT_MS = 1_000;
/** Refusals that say for certain that no hold was granted. */
const NOT_GRANTED: readonly RefusalReason[] = [
  "LEASE_HELD",
  "PROCESS_TERMINAL",
  "NOT_CLAIMABLE",
  "PROCESS_NOT_FOUND",
  "NO_LONGER_RETAINED",
  "REQUEST_ID_REUSED",
];

/** Who claims, and how the claim travels. */
export interface ClaimTerms {
  readonly owner: LeaseOwner;
  readonly ttlMs: number;
  readonly envelopeOf: (command: ProcessCommand) => CommandEnvelope<ProcessCommand>;
  /** True when the claim has an idempotency id: its first answer counts, whatever came since. */
  readonly isRemembered: boolean;
}

/** A hold that was granted or extended, and the process as it is then. */
export interface ClaimedProcess {
  readonly stream: StreamName;
  readonly lease: Lease;
  readonly extended: boolean;
  /** How long the hold lasts from now unless renewed. */
  readonly remainingMs: number;
  readonly state: ProcessState;
  readonly revision: Revision;
}

/** Where work is looked for, and for how long. */
export interface WorkSearch {
  readonly namespace: string;
  readonly kinds: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Holds of workers. */
export interface ProcessLeases {
  /** Claims one process. Refuses LEASE_HELD with the time that is left of the other's hold. */
  readonly claim: (stream: StreamName, terms: ClaimTerms) => Promise<ClaimedProcess>;
  /** Claims the oldest process that waits for a worker; `undefined` when there was none in time. */
  readonly claimNext: (
    search: WorkSearch,
    terms: ClaimTerms,
  ) => Promise<ClaimedProcess | undefined>;
  /** Renews a hold. Refuses LEASE_LOST. */
  readonly renew: (
    stream: StreamName,
    proof: LeaseProof,
  ) => Promise<Pick<ClaimedProcess, "remainingMs" | "state" | "revision">>;
  /** Adds to a refusal LEASE_HELD how long the hold lasts unless renewed; other errors stay. */
  readonly withTimeLeft: (stream: StreamName, error: unknown) => Promise<unknown>;
  /** Tells a process that the register of its hold lapsed; `row` is where that was found. */
  readonly lapse: (holder: string, row: StreamRow) => Promise<void>;
  /** To be called for every commit folded here. */
  readonly advanced: (stream: StreamName, commit: ProcessCommit) => void;
}

/** What holds are made of. */
export interface ProcessLeasesOptions {
  readonly engine: Pick<Engine, "time">;
  readonly leases: LeaseStore;
  readonly streams: ProcessStreams;
  readonly queue: ProcessQueue;
  readonly clock: Clock;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
}

/** A register that stands open for a hold that may be granted. */
interface OpenRegister {
  readonly leaseToken: LeaseToken;
  openedMs: number;
}

function namespaceOf(stream: StreamName): string {
  return parseStreamName(stream)?.namespace ?? "";
}

function processIdOfStream(stream: StreamName): ProcessId {
  return processIdOf(parseStreamName(stream)?.id ?? "");
}

function registerOf(stream: StreamName, leaseToken: LeaseToken): string {
  return `${encodeURIComponent(namespaceOf(stream))}/${holderOfLease(leaseToken)}`;
}

function isRefusedFor(error: unknown, reasons: readonly RefusalReason[]): boolean {
  return error instanceof RefusedError && reasons.includes(error.refusal.reason);
}

/** The refusal of what a live hold stands in the way of. */
function heldFor({ metadata, ...refusal }: Refusal, remainingMs: number): RefusedError {
  const told = { ...metadata, remainingMs: String(remainingMs) };
  return new RefusedError({ ...refusal, metadata: told, retryAfterMs: remainingMs });
}

/** Makes the holds of a process. */
export function makeProcessLeases(options: ProcessLeasesOptions): ProcessLeases {
  const { engine, leases, streams, queue, clock, entropy, observer } = options;
  const renewals = makeRenewals(leases, clock);
  const openNew = makeNewRegisters(leases);
  let over = new Set<string>();

  async function discardOver(): Promise<void> {
    const holders = [...over];
    over = new Set();
    try {
      await leases.discard(holders);
    } catch (error) {
      // They lapse, and are settled then.
      observer.backgroundFailed("discard of lease registers", error);
    }
  }

  function discard(holder: string): void {
    over.add(holder);
    if (over.size === 1) clock.after(DISCARD_AFTER_MS, () => void discardOver());
  }

  const leftOf = (ttlMs: number, sinceMs: number): number =>
    Math.max(0, ttlMs - (clock.monotonicMs() - sinceMs));

  async function open(stream: StreamName, register: OpenRegister, ttlMs: number): Promise<void> {
    if (clock.monotonicMs() - register.openedMs < REGISTER_AGE_MAX_MS) return;
    const isNew = register.openedMs === Number.NEGATIVE_INFINITY;
    const holder = registerOf(stream, register.leaseToken);
    register.openedMs = clock.monotonicMs();
    await (isNew ? openNew(holder, ttlMs) : leases.open(holder, ttlMs));
  }

  const newRegister = (): OpenRegister => ({
    leaseToken: leaseTokenOf(entropy.freshId()),
    openedMs: Number.NEGATIVE_INFINITY,
  });

  async function submitLapse(stream: StreamName, leaseToken: LeaseToken): Promise<void> {
    const command = { type: "lapse_lease" as const, leaseToken };
    await streams.submit(stream, { name: command.type, bytes: 150, command });
  }

  /** Submits a claim under a register; answers what the stream says, whoever had it before. */
  async function submit(
    stream: StreamName,
    register: OpenRegister,
    terms: ClaimTerms,
    isForAnyWork: boolean,
  ): Promise<ClaimedProcess> {
    const { owner, ttlMs, envelopeOf } = terms;
    const { leaseToken } = register;
    await open(stream, register, ttlMs);
    const processId = processIdOfStream(stream);
    const held = { processId, owner, leaseToken, ttlMs, isForAnyWork };
    const command = { type: "claim_lease" as const, ...held };
    const { reply, state, revision } = await streams.submit(stream, envelopeOf(command));
    if (reply.type !== "leased") throw new TypeError(`A claim was answered with ${reply.type}`);
    const remainingMs = leftOf(ttlMs, register.openedMs);
    const { lease } = reply;
    return { stream, lease, extended: reply.extended, remainingMs, state, revision };
  }

  /** How a hold that stands in the way is: over without the process knowing, or live. */
  async function obstacle(stream: StreamName, lease: Lease): Promise<number | "over"> {
    const row = await leases.get(registerOf(stream, lease.leaseToken));
    if (row?.state !== "live") return "over";
    return Math.max(0, row.ttlMs - (engine.time.nowMs() - row.renewedAt));
  }

  async function withTimeLeft(stream: StreamName, error: unknown): Promise<unknown> {
    if (!(error instanceof RefusedError) || error.refusal.reason !== "LEASE_HELD") return error;
    const { lease } = (await streams.fresh(stream)).state;
    const left = lease === null ? "over" : await obstacle(stream, lease);
    return heldFor(error.refusal, left === "over" ? 0 : left);
  }

  /** The hold that this owner has already, renewed; undefined when a claim must be committed. */
  async function presentHold(
    stream: StreamName,
    terms: ClaimTerms,
  ): Promise<ClaimedProcess | undefined> {
    const { owner, ttlMs } = terms;
    const { state, revision } = await streams.fresh(stream);
    const barred = refusedByTable(state, "claim_lease", processIdOfStream(stream));
    if (barred !== undefined) throw new RefusedError(barred);
    const { lease } = state;
    if (lease === null) return undefined;
    const isTheirs =
      lease.owner.ownerId === owner.ownerId && lease.owner.incarnationId === owner.incarnationId;
    const remainingMs = await obstacle(stream, lease);
    if (remainingMs === "over") {
      await submitLapse(stream, lease.leaseToken);
      return undefined;
    }
    if (!isTheirs) throw heldFor(leaseHeld(state), remainingMs);
    const openedMs = clock.monotonicMs();
    const register = registerOf(stream, lease.leaseToken);
    if (ttlMs !== lease.ttlMs || (await leases.open(register, ttlMs)) === "lapsed") {
      return undefined;
    }
    return {
      stream,
      lease,
      extended: true,
      remainingMs: leftOf(ttlMs, openedMs),
      state,
      revision,
    };
  }

  /** Renews the register of a hold that was there already; one that is over has no time left. */
  async function settleExtension(claimed: ClaimedProcess, ttlMs: number): Promise<ClaimedProcess> {
    if (claimed.state.lease?.leaseToken !== claimed.lease.leaseToken) {
      return { ...claimed, remainingMs: 0 };
    }
    const openedMs = clock.monotonicMs();
    const register = registerOf(claimed.stream, claimed.lease.leaseToken);
    const isOver = (await leases.open(register, ttlMs)) === "lapsed";
    return { ...claimed, remainingMs: isOver ? 0 : leftOf(ttlMs, openedMs) };
  }

  /** Answers nothing where a hold came between; the last try is refused instead. */
  async function claimOnce(
    stream: StreamName,
    terms: ClaimTerms,
    { looksFirst, isLast }: { readonly looksFirst: boolean; readonly isLast: boolean },
  ): Promise<ClaimedProcess | undefined> {
    const held = looksFirst ? await presentHold(stream, terms) : undefined;
    if (held !== undefined) return held;
    const register = newRegister();
    const holder = registerOf(stream, register.leaseToken);
    try {
      const claimed = await submit(stream, register, terms, false);
      if (claimed.lease.leaseToken === register.leaseToken) return claimed;
      discard(holder);
      return await settleExtension(claimed, terms.ttlMs);
    } catch (error) {
      // Of any other failure the outcome is unknown: the register lapses if it is nobody's.
      if (isRefusedFor(error, NOT_GRANTED)) discard(holder);
      if (!isLast && isRefusedFor(error, ["LEASE_HELD"])) return undefined;
      throw await withTimeLeft(stream, error);
    }
  }

  async function claim(stream: StreamName, terms: ClaimTerms): Promise<ClaimedProcess> {
    for (let tries = 1; ; tries += 1) {
      const looksFirst = tries > 1 || !terms.isRemembered;
      const isLast = tries === CLAIM_TRIES_MAX;
      const claimed = await claimOnce(stream, terms, { looksFirst, isLast });
      if (claimed !== undefined) return claimed;
    }
  }

  async function claimNext(
    search: WorkSearch,
    terms: ClaimTerms,
  ): Promise<ClaimedProcess | undefined> {
    const { namespace, kinds, timeoutMs, signal } = search;
    const endMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const claimed = await claimWaiting(search, terms);
      const leftMs = endMs - clock.monotonicMs();
      if (claimed !== undefined || leftMs <= 0 || signal.aborted) return claimed;
      await queue.wait(namespace, kinds, Math.min(leftMs, WAIT_MS), signal);
    }
  }

  /** Claims the oldest of the processes that wait now, one after the other under one register. */
  async function claimWaiting(
    { namespace, kinds }: WorkSearch,
    terms: ClaimTerms,
  ): Promise<ClaimedProcess | undefined> {
    const register = newRegister();
    let tried: StreamName | undefined;
    for (;;) {
      const stream = await queue.take(namespace, kinds);
      if (stream === undefined) {
        if (tried !== undefined) discard(registerOf(tried, register.leaseToken));
        return undefined;
      }
      tried = stream;
      try {
        return await submit(stream, register, terms, true);
      } catch (error) {
        if (isRefusedFor(error, NOT_GRANTED)) continue;
        queue.giveBack(stream);
        throw error;
      }
    }
  }

  return {
    claim,
    claimNext,
    renew: async (stream, proof) => {
      const { state, revision } = await streams.fresh(stream);
      const barred = refusedByTable(state, "release_lease", processIdOfStream(stream));
      if (barred !== undefined) throw new RefusedError(barred);
      const { lease } = state;
      const renewedMs = clock.monotonicMs();
      const isHeld = lease !== null && holdsLease(state, proof);
      if (!isHeld || !(await renewals.renew(registerOf(stream, lease.leaseToken)))) {
        throw new RefusedError(leaseLost(state, proof));
      }
      return { remainingMs: leftOf(lease.ttlMs, renewedMs), state, revision };
    },
    withTimeLeft,
    lapse: async (holder, row) => {
      const { lease } = (await streams.fresh(row.stream)).state;
      if (lease === null || registerOf(row.stream, lease.leaseToken) !== holder) {
        await streams.reproject(row.stream);
      } else {
        await submitLapse(row.stream, lease.leaseToken);
      }
    },
    advanced: (stream, commit) => {
      const before = commit.before.state.lease;
      const after = commit.after.state.lease;
      if (commit.isOwn && before !== null && before.leaseToken !== after?.leaseToken) {
        discard(registerOf(stream, before.leaseToken));
      }
    },
  };
}
