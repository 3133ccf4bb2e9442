// One story of sessions, processes and runtimes from beginning to end: clients and replicas in
// trouble, then healing, rest and judgement.
import {
  type ClientLog,
  ensureRuntime,
  liveAsFlowClient,
  SESSIONS,
  settleWorld,
} from "./flow-clients.ts";
import { judgeFlowWorld, watchFlowWorld } from "./flow-judge.ts";
import { nameOf } from "./flow-codec.ts";
import {
  type FlowAggregates,
  type FlowWorld,
  makeFlowWorld,
  type PlantStreams,
} from "./flow-world.ts";
import { makeTape } from "./tape.ts";
import { settle } from "./wait.ts";

/** A bug that is planted on purpose. */
export interface FlowBug {
  readonly aggregates?: FlowAggregates;
  readonly plantStreams?: PlantStreams;
}

/** How a story ended. */
export interface FlowStoryEnd {
  readonly violations: readonly string[];
  /** Calls of clients that were answered. */
  readonly answered: number;
  readonly commits: number;
}

const CLIENTS = 5;
const WISHES = 12;
const STEPS_MAX = 20_000;
const REST_ROUNDS_MAX = 60;
/** Longer than any backoff. */
const REST_MS = 400_000;

async function stepUntil(world: FlowWorld, isDone: () => boolean): Promise<boolean> {
  for (let steps = 0; steps < STEPS_MAX && !isDone(); steps += 1) {
    world.step();
    await settle(1);
  }
  return isDone();
}

/** Lets the world do all that is left to be done. */
async function rest(world: FlowWorld): Promise<void> {
  for (let rounds = 0; rounds < REST_ROUNDS_MAX; rounds += 1) {
    await stepUntil(world, () => !world.isBusy());
    world.elapse(REST_MS);
    await settle(2);
    if (!world.isBusy()) return;
  }
}

/** Lets a world run with these choices and judges it. */
export async function tellFlowStory(
  choices: readonly number[],
  bug: FlowBug = {},
): Promise<FlowStoryEnd> {
  const tape = makeTape(choices);
  const world = makeFlowWorld({ tape, replicas: 2, ...bug });
  const log: ClientLog = { surprises: [], answered: 0, holds: [] };
  settleWorld(world);
  watchFlowWorld(world, log.surprises);
  let living = CLIENTS;
  for (let client = 0; client < CLIENTS; client += 1) {
    void liveAsFlowClient(world, tape, log, client * 100, WISHES).then(() => {
      living -= 1;
    });
  }
  if (!(await stepUntil(world, () => living === 0))) log.surprises.push("clients starve");
  world.heal();
  for (const session of SESSIONS) {
    const stream = nameOf("runtime", session);
    const { state } = world.database.fold(world.aggregates.runtimes, stream);
    if (state.phase !== "destroyed") ensureRuntime(world, session);
  }
  await rest(world);
  const violations = [...log.surprises, ...judgeFlowWorld(world)];
  return { violations, answered: log.answered, commits: world.database.journal.length };
}
