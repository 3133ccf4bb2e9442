// Who asks things of simulated runtimes: clients that ingest with keys, executors that run what
// they find and may die or be taken for dead in the middle of it, and the sweeper that tells
// runtimes of the dead.
import type {
  IngestCommand,
  RuntimeCommand,
  RuntimeReply,
} from "../../../src/core/runtime/commands.ts";
import type { Input, InputBody } from "../../../src/core/runtime/input.ts";
import type { Run, RuntimeConfig } from "../../../src/core/runtime/state.ts";
import {
  executorIdOf,
  incarnationIdOf,
  inputIdOf,
  runtimeIdOf,
} from "../../../src/core/shared/ids.ts";
import { pause } from "./asking.ts";
import { tendDrain } from "./runtime-drain-actors.ts";
import { type Holder, insist, look, type RuntimeScene } from "./runtime-asking.ts";

/** Settings of every runtime that comes to be. */
export const DEFAULTS: RuntimeConfig = {
  labels: {},
  pool: "default",
  queueLimit: 10_000,
  attemptLimit: 3,
  retryBackoffInitialMs: 200,
  retryBackoffMaxMs: 1000,
  leaseTtlMs: 30_000,
  keepAlive: false,
  operationLimit: 10_000,
  completedRetention: 256,
};
const BATCH = { batchInputsMax: 3, batchBytesMax: 1_000_000 };
/** What executors ask for; whether they live is told by the sweeper. */
export const LEASE_TTL_MS = 30_000;
/** Executors take their time, so that one that is taken for dead is still at it. */
const THINKING_PAUSES_MAX = 16;
const DIGEST = "0123456789abcdef".repeat(4);

function bodyOf(kind: number, text: string): InputBody {
  const handlingMode = kind === 1 ? "steer" : "queue";
  if (kind <= 2) return { type: "external_event", eventType: text, payload: null, handlingMode };
  return { type: "prompt", text };
}

/** The command that takes an input in under its key. */
export function ingestCommandOf(
  runtimeId: string,
  inputId: string,
  idempotencyKey: string,
  traits: Pick<Input, "body" | "supersessionKey">,
): IngestCommand {
  return {
    type: "ingest",
    runtimeId: runtimeIdOf(runtimeId),
    input: {
      inputId: inputIdOf(inputId),
      createdAt: 0,
      source: { type: "operator" },
      durability: "durable",
      transcriptEligible: true,
      operatorEligible: true,
      idempotencyKey,
      ...traits,
    },
    bodyHash: `hash of ${idempotencyKey}`,
    payloadBytes: 100,
    withoutWake: false,
    ensure: true,
    defaults: DEFAULTS,
    inputIdIsFresh: true,
  };
}

/** One client's life: so many inputs, some of them sent twice in its life. */
export async function ingestAsClient(
  scene: RuntimeScene,
  clientId: string,
  inputs: number,
): Promise<void> {
  const { tape, runtimeIds } = scene;
  const keys: string[] = [];
  for (let serial = 1; serial <= inputs; serial += 1) {
    const isOld = keys.length > 0 && tape.chance(200);
    const key = isOld ? (keys[tape.pick(keys.length)] ?? "") : `${clientId}-${serial}`;
    keys.push(key);
    const runtimeId = runtimeIds[key.length % runtimeIds.length] ?? "";
    const supersession = tape.chance(100) ? { supersessionKey: "newest" } : {};
    const traits = { ...supersession, body: bodyOf(tape.pick(5), key) };
    const inputId = `input-${clientId}-${serial}`;
    const command = ingestCommandOf(runtimeId, inputId, key, traits);
    await insist(scene, runtimeId, command, `${clientId}-call-${serial}`);
    await pause(scene, tape.pick(4));
  }
}

/** The run that the holder has or gets at a runtime. */
async function findRun(
  scene: RuntimeScene,
  runtimeId: string,
  holder: Holder,
): Promise<Run | undefined> {
  const state = await look(scene, runtimeId);
  if (!state || state.registration !== "registered") return undefined;
  const { lease, run } = state;
  if (lease?.incarnationId === holder.incarnationId && run) return run;
  if (lease || run || !state.wake) return undefined;
  const actor = `${holder.incarnationId} assigns after ${scene.history.now()}`;
  const command = { type: "assign_run", ...holder, ttlMs: LEASE_TTL_MS, ...BATCH } as const;
  await insist(scene, runtimeId, command, actor);
  const after = await look(scene, runtimeId);
  const isMine = after?.lease?.incarnationId === holder.incarnationId;
  return isMine && after.run ? after.run : undefined;
}

/** Runs what was assigned, as an executor does it: acknowledges, commits boundaries, ends. */
export async function execute(
  scene: RuntimeScene,
  runtimeId: string,
  run: Pick<Run, "runId" | "generation" | "staged">,
): Promise<void> {
  const { tape } = scene;
  const { runId, generation } = run;
  const fence = { runId, generation };
  const say = async (command: RuntimeCommand, what: string): Promise<RuntimeReply | undefined> => {
    await pause(scene, tape.pick(THINKING_PAUSES_MAX));
    return await insist(scene, runtimeId, command, `${runId} ${what}`);
  };
  if (!(await say({ type: "acknowledge_run", ...fence }, "acknowledge"))) return;
  if (tape.chance(200)) {
    const failure = { error: "it went wrong", recoverable: true, bodyHash: `${runId} fail` };
    await say({ type: "fail_run", ...fence, ...failure }, "fail");
    return;
  }
  let staged = run.staged;
  for (let boundary = 1; staged.length > 0; boundary += 1) {
    const bodyHash = `${runId} boundary ${boundary} ${staged.join()}`;
    const point = boundary === 1 ? "run_start" : "run_checkpoint";
    const report = { boundary: point, inputIds: staged, conversationDigest: DIGEST } as const;
    const acceptSteer = boundary === 1 && tape.chance(500);
    const reply = await say(
      { type: "commit_boundary", ...fence, ...report, messageCount: 1, acceptSteer, bodyHash },
      `boundary of ${staged.join()}`,
    );
    if (reply?.type !== "boundary") return;
    staged = reply.steered;
    if (tape.chance(60)) return;
  }
  const outcome = { type: "result", result: { text: `done ${runId}` } } as const;
  const end = { outcome, takeNext: tape.chance(300), ...BATCH, bodyHash: `${runId} complete` };
  await say({ type: "complete_run", ...fence, ...end }, "complete");
}

/**
 * An executor through all its lives. A life ends by a real death, or because everybody else takes
 * it for dead: then it goes on with its run, and must be fenced.
 */
export async function workAsExecutor(scene: RuntimeScene, name: string): Promise<void> {
  const { tape, runtimeIds } = scene;
  const executorId = executorIdOf(name);
  for (let life = 1; !scene.isOver(); life += 1) {
    const holder = { executorId, incarnationId: incarnationIdOf(`${name}-${life}`) };
    for (let isAlive = true; isAlive && !scene.isOver(); ) {
      const runtimeId = runtimeIds[tape.pick(runtimeIds.length)] ?? "";
      const others = runtimeIds.filter((other) => other !== runtimeId);
      if (tape.chance(300)) isAlive = await tendDrain(scene, runtimeId, holder);
      for (const place of [runtimeId, ...others]) {
        const run = await findRun(scene, place, holder);
        if (!run) continue;
        isAlive = !tape.chance(250);
        const running = isAlive || tape.chance(600) ? execute(scene, place, run) : undefined;
        if (isAlive) await running;
        break;
      }
      await pause(scene);
    }
    scene.lapsed.push(holder);
  }
}

/** Takes runtimes and drains away from incarnations that lapsed, until all work is done. */
export async function sweepLeases(scene: RuntimeScene): Promise<void> {
  while (!scene.isOver()) {
    for (const runtimeId of scene.runtimeIds) {
      const state = await look(scene, runtimeId);
      for (const held of [state?.lease, state?.drain.host]) {
        const holder = scene.lapsed.find((dead) => dead.incarnationId === held?.incarnationId);
        if (!holder) continue;
        const actor = `sweeper of ${holder.incarnationId} after ${scene.history.now()}`;
        await insist(scene, runtimeId, { type: "lapse_lease", ...holder }, actor);
      }
    }
    await pause(scene, 5);
  }
}
