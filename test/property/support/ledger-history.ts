// What the clients of a simulation saw, in the order of the world's events.
import type { LedgerCommand, LedgerReply } from "./ledger-types.ts";

/** An answer that a client got. */
export interface LedgerAnswer {
  readonly streamId: string;
  /** One per thing that a client wants; the same for all tries of it. */
  readonly wishId: string;
  readonly command: LedgerCommand;
  readonly reply: LedgerReply;
  readonly revision: number;
  /** True when the answer may be one that was given before, and rests on an old revision. */
  readonly mayBeOld: boolean;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** A read that a client got. */
export interface LedgerRead {
  readonly streamId: string;
  readonly revision: number;
  readonly total: number;
  readonly consumedCount: number;
  readonly generation: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** What a listener heard at one replica. */
export interface LedgerHearing {
  readonly streamId: string;
  readonly replicaName: string;
  /** Revision of the fold that was read after the listening began. */
  readonly since: number;
  readonly heard: readonly number[];
}

/** Everything that was seen. */
export interface LedgerHistory {
  readonly answers: LedgerAnswer[];
  readonly reads: LedgerRead[];
  readonly hearings: LedgerHearing[];
  /** Errors that no client should ever see. */
  readonly surprises: string[];
  /** Moments: a counter of the world's events. */
  readonly now: () => number;
}

/** An empty history. */
export function makeLedgerHistory(): LedgerHistory {
  let moment = 0;
  return {
    answers: [],
    reads: [],
    hearings: [],
    surprises: [],
    now: () => {
      moment += 1;
      return moment;
    },
  };
}
