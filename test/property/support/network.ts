// The way between replicas and the memory database, with everything that goes wrong on it: requests
// and answers that are lost, inserts that land after their caller gave up or died, views that are
// seconds late, answers in another order.
import type { MemoryOperation, MemoryScheduler } from "../../../src/storage/memory/gate.ts";
import type { ManualClock } from "./manual-clock.ts";
import type { Tape } from "./tape.ts";

type Fate = "answered" | "lost";

/** An operation on its way. */
interface Letter {
  readonly operation: MemoryOperation;
  readonly apply: () => void;
  readonly resolve: (fate: Fate) => void;
  /** Not before this moment of the world's clock. */
  readonly readyMs: number;
  isApplied: boolean;
  isClosed: boolean;
}

/** How often things go wrong, in a thousand operations. */
export interface NetworkFaults {
  readonly lostRequest: number;
  readonly lostAnswer: number;
  readonly late: number;
  readonly slowAnswer: number;
  readonly slowView: number;
}

/** Everything goes wrong now and then. */
export const ROUGH_NETWORK: NetworkFaults = {
  lostRequest: 15,
  lostAnswer: 20,
  late: 15,
  slowAnswer: 150,
  slowView: 250,
};

/** Operations between replicas and their database. */
export interface Network {
  readonly scheduler: MemoryScheduler;
  /** Moves one operation on; false when none can move now. */
  readonly move: () => boolean;
  /** What the connection asked for may still take effect, but it hears no answer any more. */
  readonly cut: (connection: string) => void;
  /** While held, nothing of the connection moves. */
  readonly hold: (connection: string, isHeld: boolean) => void;
  /** The database is gone: whoever waits hears so. */
  readonly breakAll: () => void;
  /** Lets land what was given up long ago. */
  readonly landLate: () => void;
}

const SLOW_VIEW_MS_MAX = 4000;

/** Makes the network of a world. */
export function makeNetwork(tape: Tape, clock: ManualClock, faults: NetworkFaults): Network {
  let letters: Letter[] = [];
  let late: Letter[] = [];
  const held = new Set<string>();
  const severed = new Set<string>();

  function readyAt({ port }: MemoryOperation): number {
    if (port !== "views" || !tape.chance(faults.slowView)) return 0;
    return clock.monotonicMs() + tape.pick(SLOW_VIEW_MS_MAX);
  }

  function canMove(letter: Letter): boolean {
    return (
      !held.has(letter.operation.connection) &&
      letter.readyMs <= clock.monotonicMs() &&
      !letter.isClosed
    );
  }

  function close(letter: Letter, fate: Fate): void {
    letter.isClosed = true;
    letters = letters.filter((other) => other !== letter);
    letter.resolve(fate);
  }

  function deliver(letter: Letter): void {
    if (letter.isApplied) {
      close(letter, tape.chance(faults.lostAnswer) ? "lost" : "answered");
      return;
    }
    if (tape.chance(faults.lostRequest)) {
      close(letter, "lost");
    } else if (tape.chance(faults.late)) {
      close(letter, "lost");
      late.push(letter);
    } else {
      letter.apply();
      letter.isApplied = true;
      if (tape.chance(faults.lostAnswer)) close(letter, "lost");
      else if (!tape.chance(faults.slowAnswer)) close(letter, "answered");
    }
  }

  function landOne(): void {
    const letter = late[tape.pick(late.length)];
    late = late.filter((other) => other !== letter);
    letter?.apply();
  }

  return {
    scheduler: (operation, apply) =>
      new Promise((resolve) => {
        if (severed.has(operation.connection)) return;
        const readyMs = readyAt(operation);
        letters.push({ operation, apply, resolve, readyMs, isApplied: false, isClosed: false });
      }),
    move: () => {
      if (late.length > 0 && tape.chance(60)) {
        landOne();
        return true;
      }
      const movable = letters.filter(canMove);
      const letter = movable[tape.pick(movable.length)];
      if (letter) deliver(letter);
      return letter !== undefined;
    },
    cut: (connection) => {
      severed.add(connection);
      const own = letters.filter((letter) => letter.operation.connection === connection);
      letters = letters.filter((letter) => letter.operation.connection !== connection);
      late.push(...own.filter((letter) => !letter.isApplied));
    },
    hold: (connection, isHeld) => {
      if (isHeld) held.add(connection);
      else held.delete(connection);
    },
    breakAll: () => {
      late = [];
      for (const letter of letters) {
        if (!held.has(letter.operation.connection)) close(letter, "lost");
      }
    },
    landLate: () => {
      while (late.length > 0) landOne();
    },
  };
}
