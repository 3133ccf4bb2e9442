// The faults of the long run: which process is troubled how, in an order that a seed decides. A
// process is troubled by one fault at a time, and the next fault waits until clients made progress
// after the last one, or could not for a while.
import { makeSeededRandom } from "../../property/support/seeded-entropy.ts";
import type { Cluster } from "./cluster.ts";
import type { Program } from "./program.ts";
import { happensWithin, pauseFor } from "./waiting.ts";

/** How a process is troubled. */
export type FaultKind =
  | "replica_killed"
  | "replica_paused"
  | "replica_drained"
  | "database_killed"
  | "database_paused"
  | "executor_killed"
  | "executor_paused";

/** How often each kind of fault happens. */
export type FaultPlan = Readonly<Record<FaultKind, number>>;

/** What the faults work on. */
export interface FaultScene {
  readonly cluster: Pick<Cluster, "replicas" | "database">;
  /** Whoever works for the control plane. */
  readonly executors: readonly Program[];
  readonly seed: number;
  /** Grows whenever a client is answered. */
  readonly progress: () => number;
  /** Longer than any lease lives without renewal. */
  readonly longPauseMs: number;
  readonly shortPauseMs: number;
}

const PROGRESS_STEP = 25;
const PROGRESS_DEADLINE_MS = 2_500;

/** Puts the faults of a plan into an order that the seed decides. */
export function orderFaults(plan: FaultPlan, seed: number): readonly FaultKind[] {
  const random = makeSeededRandom(seed);
  const kinds: readonly FaultKind[] = [
    ...(["replica_killed", "replica_paused", "replica_drained"] as const),
    ...(["database_killed", "database_paused"] as const),
    ...(["executor_killed", "executor_paused"] as const),
  ];
  return kinds
    .flatMap((kind) => Array.from({ length: plan[kind] }, () => ({ kind, rank: random() })))
    .toSorted((left, right) => left.rank - right.rank)
    .map(({ kind }) => kind);
}

/** Makes the faults happen, one after the other, and answers when every process is up again. */
export async function sufferFaults(
  order: readonly FaultKind[],
  scene: FaultScene,
): Promise<ReadonlyMap<FaultKind, number>> {
  const { cluster, executors, seed, longPauseMs, shortPauseMs } = scene;
  const { replicas, database } = cluster;
  const random = makeSeededRandom(seed + 1);
  const happened = new Map<FaultKind, number>();
  const troubled = new Map<string, Promise<void>>();
  const pick = <Item>(items: readonly Item[]): Item => {
    const item = items[Math.floor(random() * items.length)];
    if (item === undefined) throw new RangeError("there is nothing to trouble");
    return item;
  };
  const pauseMs = (): number => (random() < 0.4 ? longPauseMs : shortPauseMs);

  function faultOf(kind: FaultKind): readonly [target: string, work: () => Promise<void>] {
    switch (kind) {
      case "replica_killed": {
        const replica = pick(replicas);
        return [replica.name, async () => await replica.kill().then(replica.start)];
      }
      case "replica_drained": {
        const replica = pick(replicas);
        return [replica.name, async () => await replica.terminate().then(replica.start)];
      }
      case "replica_paused": {
        const replica = pick(replicas);
        return [replica.name, () => between(replica.pause, replica.resume, pauseMs())];
      }
      case "database_killed":
        return ["database", database.kill];
      case "database_paused":
        return ["database", () => between(database.pause, database.resume, pauseMs())];
      case "executor_killed": {
        const executor = pick(executors);
        return [executor.name, async () => await executor.kill().then(executor.start)];
      }
      case "executor_paused": {
        const executor = pick(executors);
        return [executor.name, () => between(executor.pause, executor.resume, longPauseMs)];
      }
    }
  }

  for (const kind of order) {
    const [target, work] = faultOf(kind);
    await troubled.get(target);
    troubled.set(target, work());
    happened.set(kind, (happened.get(kind) ?? 0) + 1);
    const enough = scene.progress() + PROGRESS_STEP;
    await happensWithin(PROGRESS_DEADLINE_MS, () => scene.progress() >= enough);
  }
  await Promise.all(troubled.values());
  return happened;
}

async function between(
  begin: () => void | Promise<void>,
  end: () => void | Promise<void>,
  durationMs: number,
): Promise<void> {
  await begin();
  await pauseFor(durationMs);
  await end();
}
