// One simulated story of runtimes from beginning to end: clients, agents, operators, executors and
// replicas in trouble, then a last crash, healing, and judgement once all work is done.
import { assertInvariants } from "../../../src/core/runtime/testing/invariants.ts";
import { ingestAsClient, sweepLeases, workAsExecutor } from "./runtime-actors.ts";
import { look, type RuntimeScene } from "./runtime-asking.ts";
import { cancelAsOperator, operateAsAgent, runAsCaller } from "./runtime-callers.ts";
import { sayIngress } from "./runtime-drain-actors.ts";
import { pause } from "./asking.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { makeRuntimeHistory } from "./runtime-history.ts";
import { judgeRuntimes } from "./runtime-judge.ts";
import {
  makeRuntimeReplica,
  runtimeEnvelope,
  runtimeName,
  type RuntimeReplica,
} from "./runtime-replica.ts";
import {
  AFTERMATH_MS,
  asReplicaSet,
  makeCountingObserver,
  readJournal,
  rest,
  rowsBehind,
  STEPS_MAX,
  stepUntil,
  type StoryEnd,
  tearBatches,
} from "./story-ground.ts";
import { makeTape } from "./tape.ts";
import { makeWorld } from "./world.ts";

const RUNTIME_IDS = ["a/1", "b:2"];
const CLIENTS = 3;
const INPUTS_PER_CLIENT = 10;
const EXECUTORS = 2;
const AGENTS = 2;
const OPERATIONS_PER_AGENT = 3;
const CANCELLATIONS = 3;
const TAKEN_RUNS = 3;
const INGRESS_CHANGES = 4;
const TROUBLED_STEPS = 4000;

/** Resolves when no runtime has anything left to do. */
async function workIsDone(scene: RuntimeScene): Promise<void> {
  for (const runtimeId of RUNTIME_IDS) {
    for (;;) {
      const state = await look(scene, runtimeId);
      if (state?.registration === "none") break;
      if (state && state.run === null && state.counts.queued === 0) break;
      await pause(scene, 5);
    }
  }
}

/** Whoever is there besides clients and executors. */
function sideActors(scene: RuntimeScene): readonly Promise<void>[] {
  return [
    ...Array.from({ length: AGENTS }, (_, index) =>
      operateAsAgent(scene, `agent-${index}`, OPERATIONS_PER_AGENT),
    ),
    cancelAsOperator(scene, CANCELLATIONS),
    runAsCaller(scene, TAKEN_RUNS),
    sayIngress(scene, INGRESS_CHANGES),
  ];
}

/** What every replica must be able to say once all trouble is over. */
async function examine(scene: RuntimeScene): Promise<void> {
  const { history, world } = scene;
  const keyed = history.answers.filter(({ command }) => command.type === "ingest");
  for (const { name, replica } of world.seats()) {
    for (const runtimeId of RUNTIME_IDS) {
      const stream = runtimeName(runtimeId);
      const { state } = await replica.runtimes.fresh(stream);
      if (state.registration === "registered") assertInvariants(state);
      const verified = await replica.runtimes.verify(stream);
      if (!verified.valid) history.surprises.push(`${name}: ${runtimeId}: ${verified.problem}`);
    }
    for (const { runtimeId, command, reply } of keyed) {
      const envelope = runtimeEnvelope(command, `${name} repeats`);
      const again = await replica.runtimes.submit(runtimeName(runtimeId), envelope);
      const told = again.reply.type === "ingested" ? again.reply.outcome : undefined;
      const first = reply.type === "ingested" ? reply.outcome : undefined;
      const firstId = first?.type === "accepted" ? first.header.inputId : undefined;
      const isKnown =
        told?.type === "deduplicated" && (firstId === undefined || told.existingId === firstId);
      if (!isKnown) history.surprises.push(`${name} forgot ${JSON.stringify(command)}`);
    }
  }
}

/** Lets a world of runtimes run with these choices and judges it. */
export async function tellRuntimeStory(
  choices: readonly number[],
  plant: PlantedBug = {},
): Promise<StoryEnd> {
  const tape = makeTape(choices);
  const history = makeRuntimeHistory();
  const adventures = new Map<string, number>();
  const count = (kind: string): void => {
    adventures.set(kind, (adventures.get(kind) ?? 0) + 1);
  };
  const isReplicaSet = tape.chance(400);
  const world = makeWorld<RuntimeReplica>({
    tape,
    replicas: 2 + tape.pick(2),
    start: ({ storage, ...setup }) => {
      const torn = tearBatches(isReplicaSet ? asReplicaSet(storage, tape) : storage, tape);
      const replica = makeRuntimeReplica({
        ...setup,
        storage: plant.wrapStorage ? plant.wrapStorage(torn) : torn,
        ...(plant.runtime ? { aggregate: plant.runtime } : {}),
        observer: makeCountingObserver(count),
      });
      return { replica, started: replica.engine.start() };
    },
  });
  const over = { isSo: false };
  const common = { world, tape, history, runtimeIds: RUNTIME_IDS, lapsed: [] };
  const scene: RuntimeScene = { ...common, isOver: () => over.isSo };
  // A bug that is planted in the fence is met most often among clients and executors alone.
  const clients = Promise.all([
    ...Array.from({ length: CLIENTS }, (_, index) =>
      ingestAsClient(scene, `client-${index}`, INPUTS_PER_CLIENT),
    ),
    ...(plant.runtime ? [] : sideActors(scene)),
  ]);
  const workers = Promise.all([
    ...Array.from({ length: EXECUTORS }, (_, index) => workAsExecutor(scene, `executor-${index}`)),
    sweepLeases(scene),
  ]);
  await stepUntil(world, clients, TROUBLED_STEPS);
  world.heal();
  const done = clients.then(() => workIsDone(scene));
  if (!(await stepUntil(world, done, STEPS_MAX))) history.surprises.push("work is never done");
  over.isSo = true;
  if (!(await stepUntil(world, workers, STEPS_MAX))) history.surprises.push("executors hang");
  await rest(world, AFTERMATH_MS);
  const examination = examine(scene).catch((error: unknown) => {
    history.surprises.push(`examination: ${String(error)}`);
  });
  if (!(await stepUntil(world, examination, STEPS_MAX))) history.surprises.push("replicas hang");
  const journal = await readJournal(world, RUNTIME_IDS.map(runtimeName));
  const behind = await rowsBehind(world, journal);
  if (behind.length > 0) history.surprises.push(`rows stay behind: ${behind.join(", ")}`);
  const byId = new Map(RUNTIME_IDS.map((id) => [id, journal.get(runtimeName(id)) ?? []]));
  for (const [kind, times] of world.troubles) adventures.set(kind, times);
  return { violations: judgeRuntimes(history, byId), adventures, answers: history.answers.length };
}
