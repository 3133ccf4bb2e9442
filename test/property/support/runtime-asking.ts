// How the actors of simulated runtimes ask: everybody repeats an unanswered call with the same
// body, at any replica, and whatever is answered, however late, is written down.
import type { RuntimeCommand, RuntimeReply } from "../../../src/core/runtime/commands.ts";
import type { RuntimeState } from "../../../src/core/runtime/state.ts";
import type { executorIdOf, IncarnationId } from "../../../src/core/shared/ids.ts";
import { anyReplica, outcomeOf, type Outcome, pause, type Scene, within } from "./asking.ts";
import type { RuntimeHistory } from "./runtime-history.ts";
import { runtimeEnvelope, runtimeName, type RuntimeReplica } from "./runtime-replica.ts";

/** What the actors live in. */
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

const FOR_GOOD: ReadonlySet<string> = new Set([
  "LEASE_LOST",
  "LEASE_HELD",
  "NOT_RUNNABLE",
  "RUN_ENDED",
  "RUN_NOT_FOUND",
  "RUN_IN_FLIGHT",
  "INPUTS_ACTIVE",
  "OPERATION_INVALID_TRANSITION",
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
export async function insist(
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
