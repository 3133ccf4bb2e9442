// What clients and executors of simulated runtimes saw.
import type { RuntimeCommand, RuntimeReply } from "../../../src/core/runtime/commands.ts";

/** An answer that somebody got. */
export interface RuntimeAnswer {
  readonly runtimeId: string;
  readonly command: RuntimeCommand;
  readonly reply: RuntimeReply;
  readonly revision: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** A look at a runtime's head. */
export interface RuntimeLook {
  readonly runtimeId: string;
  readonly revision: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** Everything that was seen. */
export interface RuntimeHistory {
  readonly answers: RuntimeAnswer[];
  readonly looks: RuntimeLook[];
  /** Errors that nobody should ever see, and what the examination found. */
  readonly surprises: string[];
  /** Moments: a counter of the world's events. */
  readonly now: () => number;
}

/** An empty history. */
export function makeRuntimeHistory(): RuntimeHistory {
  let moment = 0;
  return {
    answers: [],
    looks: [],
    surprises: [],
    now: () => {
      moment += 1;
      return moment;
    },
  };
}
