// How clients of simulated replicas ask: whom, how long they wait for an answer, and what an error
// means to them.
import { RefusedError } from "../../../src/core/shared/refusal.ts";
import { StorageError } from "../../../src/engine/ports.ts";
import type { Tape } from "./tape.ts";
import type { World } from "./world.ts";

/** What came of asking; `unknown`: no answer, or one that says that it may still happen. */
export type Outcome = "done" | "refused" | "again" | "unknown";

/** What everybody who asks lives in. */
export interface Scene<Replica> {
  readonly world: World<Replica>;
  readonly tape: Tape;
}

const PATIENCE_MS = 3000;
const PAUSE_MS = 40;
const TRY_AGAIN: ReadonlySet<string> = new Set([
  "DATABASE_UNAVAILABLE",
  "CONFLICT",
  "SERVER_DRAINING",
  "OVERLOADED",
]);

/** What an error means; one that nobody should ever see is added to `surprises`. */
export function outcomeOf(
  error: unknown,
  expected: ReadonlySet<string>,
  surprises: string[],
  what: string,
): Outcome {
  if (error instanceof StorageError && error.kind === "unavailable") return "again";
  if (error instanceof RefusedError) {
    const { reason } = error.refusal;
    if (reason === "OUTCOME_UNKNOWN") return "unknown";
    if (TRY_AGAIN.has(reason)) return "again";
    if (expected.has(reason)) return "refused";
  }
  surprises.push(`${what}: ${String(error)}`);
  return "refused";
}

/** The outcome of an attempt, or `unknown` when the asker's patience ends first. */
export function within(scene: Scene<unknown>, attempt: Promise<Outcome>): Promise<Outcome> {
  return new Promise((resolve) => {
    scene.world.clock.after(PATIENCE_MS, () => {
      resolve("unknown");
    });
    void attempt.then(resolve);
  });
}

/** A short wait before the next attempt. */
export function pause(scene: Scene<unknown>, times = 1): Promise<void> {
  return new Promise((resolve) => {
    scene.world.clock.after(PAUSE_MS * times, resolve);
  });
}

/** Some replica that serves; undefined while none does. */
export function anyReplica<Replica>(scene: Scene<Replica>): Replica | undefined {
  const ready = scene.world.seats().filter((seat) => seat.isReady);
  return ready[scene.tape.pick(ready.length)]?.replica;
}
