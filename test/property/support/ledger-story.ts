// One simulated story from beginning to end: clients and replicas in trouble, then a last crash,
// healing, and judgement.
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
import type { PlantedBug } from "./planted-bug.ts";
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

const CLIENTS = 4;
const WISHES_PER_CLIENT = 16;
const TROUBLED_STEPS = 2500;
const STREAM_IDS = ["a/1", "b:2", "c%3"];
/** Small enough to evict now and then. */
const CACHE_BYTES_MAX = 6000;

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
  const isReplicaSet = tape.chance(400);
  const answerTimeoutMs = tape.chance(500) ? 400 : 5000;
  const world = makeWorld<LedgerReplica>({
    tape,
    replicas: 2 + tape.pick(2),
    start: ({ storage, ...setup }) => {
      const torn = tearBatches(isReplicaSet ? asReplicaSet(storage, tape) : storage, tape);
      const replica = makeLedgerReplica({
        ...setup,
        storage: plant.wrapStorage ? plant.wrapStorage(torn) : torn,
        observer: makeCountingObserver(count),
        cacheBytesMax: CACHE_BYTES_MAX,
        answerTimeoutMs,
        ...(plant.ledger ? { aggregate: plant.ledger } : {}),
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
  const journal = await readJournal(world, STREAM_IDS.map(ledgerName));
  const byId = new Map(STREAM_IDS.map((id) => [id, journal.get(ledgerName(id)) ?? []]));
  examineHearings(scene, new Map([...byId].map(([id, commits]) => [id, commits.length])));
  const behind = await rowsBehind(world, journal);
  if (behind.length > 0) history.surprises.push(`rows stay behind: ${behind.join(", ")}`);
  const violations = judgeLedgers(history, byId);
  for (const [kind, times] of world.troubles) adventures.set(kind, times);
  return { violations, adventures, answers: history.answers.length };
}
