// A small world in one process: some replicas over one memory database, a clock, and a fate that
// kills, pauses and crashes. Nothing in it depends on real time or real chance.
import type { Clock, Storage } from "../../../src/engine/ports.ts";
import { makeMemoryDatabase, type MemoryDatabase } from "../../../src/storage/memory/database.ts";
import { makeManualClock, type ManualClock } from "./manual-clock.ts";
import { makeNetwork, ROUGH_NETWORK } from "./network.ts";
import type { Tape } from "./tape.ts";
import { settle } from "./wait.ts";

/** One replica's place in the world; the replica in it is replaced when it is killed. */
export interface Seat<Replica> {
  readonly name: string;
  readonly replica: Replica;
  readonly isPaused: boolean;
  /** True once the replica serves. */
  readonly isReady: boolean;
}

/** What a replica is made with. */
export interface ReplicaSetup {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly replicaId: string;
  readonly seed: number;
}

/** A replica that the world can start. */
export interface StartedReplica<Replica> {
  readonly replica: Replica;
  readonly started: Promise<void>;
}

/** How a world is made. */
export interface WorldOptions<Replica> {
  readonly tape: Tape;
  readonly replicas: number;
  readonly start: (setup: ReplicaSetup) => StartedReplica<Replica>;
}

/** The world. */
export interface World<Replica> {
  readonly clock: ManualClock;
  readonly database: MemoryDatabase;
  readonly seats: () => readonly Seat<Replica>[];
  /** Lets one thing happen. */
  readonly step: () => Promise<void>;
  /** One last crash, and all trouble is over: late things land, everybody is there. */
  readonly heal: () => void;
  /** How often each kind of trouble was had. */
  readonly troubles: ReadonlyMap<string, number>;
}

/** How a replica is there. */
interface Presence {
  readonly name: string;
  isPaused: boolean;
  isReady: boolean;
  isDead: boolean;
  wallOffsetMs: number;
  readonly held: (() => void)[];
}

interface TakenSeat<Replica> extends Presence {
  readonly replica: Replica;
}

const MINUTE_MS = 60_000;
const ADVANCE_MS_MAX = 400;
const BLACKOUT_MS_MAX = 9000;
const TURNS_PER_STEP = 3;

/** Time as one replica has it: its wall clock is its own, and nothing fires while it is paused. */
function clockOf(world: ManualClock, seat: Presence): Clock {
  return {
    nowMs: () => world.nowMs() + seat.wallOffsetMs,
    monotonicMs: world.monotonicMs,
    after: (delayMs, callback) =>
      world.after(delayMs, () => {
        if (seat.isDead) return;
        if (seat.isPaused) seat.held.push(callback);
        else callback();
      }),
  };
}

/** Makes a world with its replicas starting. */
export function makeWorld<Replica>(options: WorldOptions<Replica>): World<Replica> {
  let healed = false;
  const fate: Tape = {
    chance: (perMille) => !healed && options.tape.chance(perMille),
    pick: (count) => (healed ? 0 : options.tape.pick(count)),
  };
  const clock = makeManualClock();
  const network = makeNetwork(fate, clock, ROUGH_NETWORK);
  const { scheduler } = network;
  const database = makeMemoryDatabase({ clock, journaling: "manual", scheduler });
  const troubles = new Map<string, number>();
  let births = 0;
  let steppedMs = 0;
  let highestStepMs = 0;
  let darkUntilMs = 0;

  function trouble(kind: string): void {
    troubles.set(kind, (troubles.get(kind) ?? 0) + 1);
  }

  function bear(): TakenSeat<Replica> {
    births += 1;
    const name = `replica-${births}`;
    const presence: Presence = {
      name,
      isPaused: false,
      isReady: false,
      isDead: false,
      wallOffsetMs: [0, MINUTE_MS, -MINUTE_MS][fate.pick(3)] ?? 0,
      held: [],
    };
    const { replica, started } = options.start({
      storage: database.connect(name),
      clock: clockOf(clock, presence),
      replicaId: name,
      seed: births,
    });
    const seat = Object.assign(presence, { replica });
    started.then(
      () => {
        seat.isReady = true;
      },
      () => kill(seat),
    );
    return seat;
  }

  const seats = Array.from({ length: options.replicas }, bear);

  function kill(seat: TakenSeat<Replica>): void {
    if (seat.isDead) return;
    seat.isDead = true;
    network.cut(seat.name);
    const place = seats.indexOf(seat);
    if (place >= 0) seats[place] = bear();
  }

  function resume(seat: TakenSeat<Replica>): void {
    seat.isPaused = false;
    network.hold(seat.name, false);
    for (const callback of seat.held.splice(0)) callback();
  }

  function crash(): void {
    trouble(database.unjournaledCount() > 0 ? "crash with loss" : "crash");
    database.crash();
    network.breakAll();
  }

  function stepWall(stepMs: number): void {
    clock.stepWall(stepMs);
    steppedMs += stepMs;
    highestStepMs = Math.max(highestStepMs, steppedMs);
  }

  function misfortune(): boolean {
    const seat = seats[fate.pick(seats.length)];
    if (!seat) return false;
    if (fate.chance(6)) {
      trouble("kill");
      kill(seat);
    } else if (fate.chance(seat.isPaused ? 40 : 8)) {
      trouble("pause");
      if (seat.isPaused) resume(seat);
      else {
        seat.isPaused = true;
        network.hold(seat.name, true);
      }
    } else if (fate.chance(database.unjournaledCount() > 0 ? 20 : 5)) {
      crash();
    } else if (fate.chance(3)) {
      trouble("blackout");
      darkUntilMs = clock.monotonicMs() + fate.pick(BLACKOUT_MS_MAX);
    } else if (fate.chance(4)) {
      trouble("clock step");
      if (fate.chance(500)) stepWall(fate.chance(500) ? MINUTE_MS : -MINUTE_MS);
      else seat.wallOffsetMs += fate.chance(500) ? MINUTE_MS : -MINUTE_MS;
    } else {
      return false;
    }
    return true;
  }

  async function step(): Promise<void> {
    await settle(TURNS_PER_STEP);
    if (misfortune()) return;
    if (database.unjournaledCount() > 0 && fate.chance(120)) {
      database.flush();
    } else if (fate.chance(60)) {
      clock.advance(fate.pick(ADVANCE_MS_MAX));
    } else if (clock.monotonicMs() < darkUntilMs || !network.move()) {
      if (database.unjournaledCount() > 0) database.flush();
      else clock.advanceToNext(ADVANCE_MS_MAX);
    }
  }

  return {
    clock,
    database,
    seats: () => seats,
    step,
    heal: () => {
      crash();
      healed = true;
      darkUntilMs = 0;
      for (const seat of seats) if (seat.isPaused) resume(seat);
      network.landLate();
      // Backoffs that began before a step back last until the database's clock is there again.
      stepWall(highestStepMs - steppedMs);
    },
    troubles,
  };
}
