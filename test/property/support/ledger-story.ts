// One simulated story from beginning to end: clients and replicas in trouble, then a last crash,
// healing, and judgement.
import { type EngineObserver, silentObserver } from "../../../src/engine/observer.ts";
import { type Storage, StorageError, type StoredCommit } from "../../../src/engine/ports.ts";
import type { LedgerAggregate } from "./ledger-aggregate.ts";
import {
  type LedgerScene,
  listenToLedgers,
  liveAsClient,
  readLedger,
  repeatAllKeys,
} from "./ledger-clients.ts";
import { makeLedgerHistory } from "./ledger-history.ts";
import { judgeLedgers } from "./ledger-judge.ts";
import { ledgerName, type LedgerReplica, makeLedgerReplica } from "./ledger-replica.ts";
import { makeTape, type Tape } from "./tape.ts";
import { makeWorld, type World } from "./world.ts";

/** A bug that is planted on purpose; both parts are optional. */
export interface PlantedBug {
  /** Goes between an engine and its storage. */
  readonly wrapStorage?: (storage: Storage) => Storage;
  readonly aggregate?: LedgerAggregate;
}

/** How a story went. */
export interface StoryEnd {
  readonly violations: readonly string[];
  /** How often what happened. */
  readonly adventures: ReadonlyMap<string, number>;
  readonly answers: number;
}

const CLIENTS = 4;
const WISHES_PER_CLIENT = 16;
const TROUBLED_STEPS = 2500;
const STEPS_MAX = 30_000;
const AFTERMATH_MS = 8000;
/** Patrols come every minute, and a stepped clock may hide a dead replica for another. */
const REPAIR_MS_MAX = 200_000;
const STREAM_IDS = ["a/1", "b:2", "c%3"];
/** Small enough to evict now and then. */
const CACHE_BYTES_MAX = 6000;

/** Steps until a promise has an outcome; false when it never comes. */
async function stepUntil(
  world: World<LedgerReplica>,
  promise: Promise<unknown>,
  stepsMax: number,
): Promise<boolean> {
  const seen = { isSettled: false };
  const note = (): void => {
    seen.isSettled = true;
  };
  promise.then(note, note);
  for (let steps = 0; steps < stepsMax && !seen.isSettled; steps += 1) await world.step();
  return seen.isSettled;
}

async function readJournal(
  world: World<LedgerReplica>,
): Promise<ReadonlyMap<string, readonly StoredCommit[]>> {
  const storage = world.database.connect("judge");
  const journal = new Map<string, readonly StoredCommit[]>();
  for (const streamId of STREAM_IDS) {
    const reading = storage.journal.readAfter([{ stream: ledgerName(streamId), revision: 0 }]);
    await stepUntil(world, reading, STEPS_MAX);
    journal.set(streamId, (await reading).commits);
  }
  return journal;
}

/** What every replica must be able to say once all trouble is over. */
async function examine(scene: LedgerScene): Promise<void> {
  const { history } = scene;
  for (const { name, replica } of scene.world.seats()) {
    for (const streamId of STREAM_IDS) {
      const outcome = await readLedger(scene, streamId, replica);
      if (outcome !== "done") history.surprises.push(`${name} cannot read after healing`);
      const verified = await replica.ledgers.verify(ledgerName(streamId));
      if (!verified.valid) history.surprises.push(`${name}: ${streamId}: ${verified.problem}`);
    }
    await repeatAllKeys(scene, replica, name);
  }
}

/** Everybody who listens must have heard the last commit by now. */
function examineHearings(scene: LedgerScene, heads: ReadonlyMap<string, number>): void {
  const names = new Set(scene.world.seats().map((seat) => seat.name));
  for (const { streamId, replicaName, heard, since } of scene.history.hearings) {
    const last = heard.at(-1) ?? since;
    if (!names.has(replicaName) || last >= (heads.get(streamId) ?? 0)) continue;
    scene.history.surprises.push(`${replicaName} never heard of ${streamId} after ${last}`);
  }
}

/** The rows must show the heads in the end, whoever died with rows unwritten. */
async function examineViews(scene: LedgerScene, heads: ReadonlyMap<string, number>): Promise<void> {
  const { world, history } = scene;
  const { views } = world.database.connect("views");
  const untilMs = world.clock.monotonicMs() + REPAIR_MS_MAX;
  for (;;) {
    const reading = views.get(STREAM_IDS.map(ledgerName));
    await stepUntil(world, reading, STEPS_MAX);
    const shown = new Map((await reading).map((row) => [row.id, row.revision]));
    const behind = STREAM_IDS.filter((streamId) => shown.get(streamId) !== heads.get(streamId));
    if (behind.every((streamId) => heads.get(streamId) === 0)) return;
    if (world.clock.monotonicMs() > untilMs) {
      history.surprises.push(`rows stay behind: ${behind.join(", ")}`);
      return;
    }
    await rest(world, AFTERMATH_MS);
  }
}

async function rest(world: World<LedgerReplica>, durationMs: number): Promise<void> {
  const untilMs = world.clock.monotonicMs() + durationMs;
  while (world.clock.monotonicMs() < untilMs) await world.step();
}

/** Counts what the engines went through, so that a story that was too easy shows. */
function makeCountingObserver(count: (kind: string) => void): EngineObserver {
  return {
    ...silentObserver,
    batchRetried: () => {
      count("batch sent again");
    },
    conflict: () => {
      count("conflict");
    },
    checkpointStored: () => {
      count("checkpoint");
    },
    streamRepaired: () => {
      count("row repaired");
    },
  };
}

/** Batches of inserts of which only the first part takes effect before the connection breaks. */
function tearBatches(storage: Storage, tape: Tape): Storage {
  const { journal } = storage;
  return {
    ...storage,
    journal: {
      ...journal,
      append: async (commits, timeoutMs) => {
        const isTorn = commits.length > 1 && tape.chance(100);
        if (!isTorn) return await journal.append(commits, timeoutMs);
        await journal.append(commits.slice(0, tape.pick(commits.length)), timeoutMs);
        throw new StorageError("unavailable", "the connection broke within the batch");
      },
    },
  };
}

/** Lets a world run with these choices and judges it. */
export async function tellLedgerStory(
  choices: readonly number[],
  plant: PlantedBug = {},
): Promise<StoryEnd> {
  const tape = makeTape(choices);
  const history = makeLedgerHistory();
  const adventures = new Map<string, number>();
  const count = (kind: string): void => {
    adventures.set(kind, (adventures.get(kind) ?? 0) + 1);
  };
  const world = makeWorld<LedgerReplica>({
    tape,
    replicas: 2 + tape.pick(2),
    start: ({ storage, ...setup }) => {
      const torn = tearBatches(storage, tape);
      const replica = makeLedgerReplica({
        ...setup,
        storage: plant.wrapStorage ? plant.wrapStorage(torn) : torn,
        observer: makeCountingObserver(count),
        cacheBytesMax: CACHE_BYTES_MAX,
        ...(plant.aggregate ? { aggregate: plant.aggregate } : {}),
      });
      const listening = async (): Promise<void> => {
        await replica.engine.start();
        await listenToLedgers({ history, streamIds: STREAM_IDS }, replica, setup.replicaId);
      };
      return { replica, started: listening() };
    },
  });
  const scene: LedgerScene = { world, tape, history, streamIds: STREAM_IDS };
  const clients = Promise.all(
    Array.from({ length: CLIENTS }, (_, index) =>
      liveAsClient(scene, `client-${index}`, WISHES_PER_CLIENT),
    ),
  );
  await stepUntil(world, clients, TROUBLED_STEPS);
  world.heal();
  if (!(await stepUntil(world, clients, STEPS_MAX))) history.surprises.push("clients starve");
  await rest(world, AFTERMATH_MS);
  const examination = examine(scene).catch((error: unknown) => {
    history.surprises.push(`examination: ${String(error)}`);
  });
  if (!(await stepUntil(world, examination, STEPS_MAX))) history.surprises.push("replicas hang");
  const journal = await readJournal(world);
  const heads = new Map([...journal].map(([streamId, commits]) => [streamId, commits.length]));
  examineHearings(scene, heads);
  await examineViews(scene, heads);
  const violations = judgeLedgers(history, journal);
  for (const [kind, times] of world.troubles) adventures.set(kind, times);
  return { violations, adventures, answers: history.answers.length };
}
