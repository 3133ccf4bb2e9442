// Who asks things of simulated runtimes: clients that ingest with keys, executors that run what
// they find and may die or be taken for dead in the middle of it, and the sweeper that tells
// runtimes of the dead. Everybody repeats an unanswered call with the same body, at any replica.
import type { RuntimeCommand, RuntimeReply } from "../../../src/core/runtime/commands.ts";
import type { Input, InputBody } from "../../../src/core/runtime/input.ts";
import type { Run, RuntimeConfig, RuntimeState } from "../../../src/core/runtime/state.ts";
import {
  executorIdOf,
  type IncarnationId,
  incarnationIdOf,
  inputIdOf,
  runtimeIdOf,
} from "../../../src/core/shared/ids.ts";
import { anyReplica, outcomeOf, type Outcome, pause, type Scene, within } from "./asking.ts";
import type { RuntimeHistory } from "./runtime-history.ts";
import { runtimeEnvelope, runtimeName, type RuntimeReplica } from "./runtime-replica.ts";

/** What they live in. */
export interface RuntimeScene extends Scene<RuntimeReplica> {
  readonly history: RuntimeHistory;
  readonly runtimeIds: readonly string[];
  /** Incarnations whose liveness register has lapsed; they may not know it. */
  readonly lapsed: Holder[];
  /** True once there is nothing left to do. */
  readonly isOver: () => boolean;
}

/** One life of an executor. */
export interface Holder {
  readonly executorId: ReturnType<typeof executorIdOf>;
  readonly incarnationId: IncarnationId;
}

const DEFAULTS: RuntimeConfig = {
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
const LEASE_TTL_MS = 30_000;
/** Executors take their time, so that one that is taken for dead is still at it. */
const THINKING_PAUSES_MAX = 16;
const DIGEST = "0123456789abcdef".repeat(4);
const FOR_GOOD: ReadonlySet<string> = new Set([
  "LEASE_LOST",
  "LEASE_HELD",
  "NOT_RUNNABLE",
  "RUN_ENDED",
  "RUN_NOT_FOUND",
  "RUNTIME_NOT_REGISTERED",
  "CONTRIBUTORS_MISMATCH",
  "CONTRIBUTORS_NOT_APPLIED",
]);

/** Asks one replica once and writes down what it answers, however late. */
async function ask(
  scene: RuntimeScene,
  runtimeId: string,
  command: RuntimeCommand,
  actor: string,
  replica: RuntimeReplica,
): Promise<{ readonly outcome: Outcome; readonly reply?: RuntimeReply }> {
  const { history } = scene;
  const askedAt = history.now();
  try {
    const envelope = runtimeEnvelope(command, actor);
    const { reply, revision } = await replica.runtimes.submit(runtimeName(runtimeId), envelope);
    const answeredAt = history.now();
    history.answers.push({ runtimeId, command, reply, revision, askedAt, answeredAt });
    return { outcome: "done", reply };
  } catch (error) {
    const what = `${command.type} of ${actor}`;
    return { outcome: outcomeOf(error, FOR_GOOD, history.surprises, what) };
  }
}

/** Asks until it is settled; sometimes the message is delivered twice. No reply: refused. */
async function insist(
  scene: RuntimeScene,
  runtimeId: string,
  command: RuntimeCommand,
  actor: string,
): Promise<RuntimeReply | undefined> {
  for (;;) {
    const replica = anyReplica(scene);
    if (replica) {
      const twin = scene.tape.chance(100) ? anyReplica(scene) : undefined;
      if (twin) void ask(scene, runtimeId, command, actor, twin);
      const got: { reply?: RuntimeReply } = {};
      const attempt = ask(scene, runtimeId, command, actor, replica).then((answer) => {
        if (answer.reply) got.reply = answer.reply;
        return answer.outcome;
      });
      const outcome = await within(scene, attempt);
      if (outcome === "done") return got.reply;
      if (outcome === "refused") return undefined;
    }
    await pause(scene);
  }
}

/** The head of a runtime as some replica shows it; undefined when it does not answer. */
export async function look(
  scene: RuntimeScene,
  runtimeId: string,
): Promise<RuntimeState | undefined> {
  const { history } = scene;
  const replica = anyReplica(scene);
  if (!replica) return undefined;
  const got: { state?: RuntimeState } = {};
  const askedAt = history.now();
  const attempt = replica.runtimes.fresh(runtimeName(runtimeId)).then(
    ({ revision, state }): Outcome => {
      got.state = state;
      history.looks.push({ runtimeId, revision, askedAt, answeredAt: history.now() });
      return "done";
    },
    (error: unknown) => outcomeOf(error, FOR_GOOD, history.surprises, `look at ${runtimeId}`),
  );
  return (await within(scene, attempt)) === "done" ? got.state : undefined;
}

function bodyOf(kind: number, text: string): InputBody {
  const handlingMode = kind === 1 ? "steer" : "queue";
  if (kind <= 2) return { type: "external_event", eventType: text, payload: null, handlingMode };
  return { type: "prompt", text };
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
    const input: Input = {
      inputId: inputIdOf(`input-${clientId}-${serial}`),
      createdAt: 0,
      source: { type: "operator" },
      durability: "durable",
      transcriptEligible: true,
      operatorEligible: true,
      idempotencyKey: key,
      ...supersession,
      body: bodyOf(tape.pick(5), key),
    };
    const command: RuntimeCommand = {
      type: "ingest",
      runtimeId: runtimeIdOf(runtimeId),
      input,
      bodyHash: `hash of ${key}`,
      payloadBytes: 100,
      withoutWake: false,
      ensure: true,
      defaults: DEFAULTS,
      inputIdIsFresh: true,
    };
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
async function execute(scene: RuntimeScene, runtimeId: string, run: Run): Promise<void> {
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

/** Takes runtimes away from incarnations that lapsed, until there is nothing left to do. */
export async function sweepLeases(scene: RuntimeScene): Promise<void> {
  while (!scene.isOver()) {
    for (const runtimeId of scene.runtimeIds) {
      const lease = (await look(scene, runtimeId))?.lease;
      const holder = scene.lapsed.find((dead) => dead.incarnationId === lease?.incarnationId);
      if (!holder) continue;
      const actor = `sweeper of ${holder.incarnationId} after ${scene.history.now()}`;
      await insist(scene, runtimeId, { type: "lapse_lease", ...holder }, actor);
    }
    await pause(scene, 5);
  }
}
