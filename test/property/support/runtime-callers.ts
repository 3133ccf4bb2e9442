// Who asks of simulated runtimes what only a request id makes repeatable: agents with operations
// beside their loop, an operator that cancels inputs, and callers that run their own input.
import type { RuntimeCommand } from "../../../src/core/runtime/commands.ts";
import {
  executorIdOf,
  incarnationIdOf,
  type OperationId,
  operationIdOf,
  runtimeIdOf,
} from "../../../src/core/shared/ids.ts";
import { pause } from "./asking.ts";
import { DEFAULTS, execute, ingestCommandOf, LEASE_TTL_MS } from "./runtime-actors.ts";
import { insist, type RuntimeScene } from "./runtime-asking.ts";

/** Longer than anything that was asked can still come to pass. */
const LATE_PAUSES = 130;

function registration(operationId: OperationId, isChild: boolean): RuntimeCommand {
  const kind = isChild ? "mob_member_child" : "background_tool_op";
  const spec = { operationId, kind, displayName: operationId, expectPeerChannel: false } as const;
  return { type: "register_operation", spec, operationIdIsFresh: false };
}

/** How operations end, of which each attempt takes one. */
function ending(operationId: OperationId, way: number): RuntimeCommand {
  const result = { content: `done ${operationId}`, isError: false };
  if (way === 0) return { type: "fail_operation", operationId, error: "it went wrong" };
  if (way === 1) return { type: "cancel_operation", operationId };
  return { type: "complete_operation", operationId, result, resultBytes: 60 };
}

/** One operation from its registration to its end, which two sometimes want at once. */
async function operate(scene: RuntimeScene, runtimeId: string, name: string): Promise<void> {
  const { tape } = scene;
  const operationId = operationIdOf(name);
  const say = async (command: RuntimeCommand, what: string): Promise<void> => {
    await insist(scene, runtimeId, command, `${name} ${what}`);
    await pause(scene, tape.pick(8));
  };
  await say(registration(operationId, tape.chance(300)), "registered");
  if (tape.chance(150)) {
    await say({ type: "abort_operation_provisioning", operationId }, "aborted");
    return;
  }
  await say({ type: "mark_operation_provisioned", operationId }, "provisioned");
  if (tape.chance(300)) {
    await say({ type: "report_operation_progress", operationId, percent: 50 }, "progress");
  }
  const rival = tape.chance(300) ? [say(ending(operationId, 1), "ended by a rival")] : [];
  await Promise.all([say(ending(operationId, tape.pick(4)), "ended"), ...rival]);
}

/** An agent's life: one operation after the other, collected now and then. */
export async function operateAsAgent(
  scene: RuntimeScene,
  name: string,
  operations: number,
): Promise<void> {
  const { tape, runtimeIds } = scene;
  for (let serial = 1; serial <= operations; serial += 1) {
    const runtimeId = runtimeIds[tape.pick(runtimeIds.length)] ?? "";
    const config = {};
    const registered = { runtimeId: runtimeIdOf(runtimeId), config, defaults: DEFAULTS };
    const actor = `${name}-${serial}`;
    await insist(scene, runtimeId, { type: "ensure_runtime", ...registered }, `${actor} ensures`);
    await operate(scene, runtimeId, actor);
    if (!tape.chance(300)) continue;
    const limits = { operationsMax: 2, bytesMax: 10_000 };
    await insist(scene, runtimeId, { type: "collect_completed", ...limits }, `${actor} collects`);
  }
}

/** Cancels inputs of clients by their keys, whatever has become of them; sometimes all from one. */
export async function cancelAsOperator(scene: RuntimeScene, times: number): Promise<void> {
  const { tape, runtimeIds } = scene;
  for (let serial = 1; serial <= times; serial += 1) {
    await pause(scene, tape.pick(60));
    const client = `client-${tape.pick(3)}`;
    const first = 1 + tape.pick(8);
    const keys = [`${client}-${first}`, `${client}-${first + 1}`, "a key that nobody used"];
    const targets = keys.map((idempotencyKey) => ({ idempotencyKey }));
    const anchor = { idempotencyKey: `${client}-${first}` };
    const selection = tape.chance(200)
      ? ({ type: "suffix", anchor } as const)
      : ({ type: "targets", targets } as const);
    const runtimeId = runtimeIds[anchor.idempotencyKey.length % runtimeIds.length] ?? "";
    await insist(scene, runtimeId, { type: "cancel_inputs", selection }, `cancel ${serial}`);
  }
}

/** Takes inputs in and runs them at once, where nothing is in hand; may leave in the middle. */
export async function runAsCaller(scene: RuntimeScene, times: number): Promise<void> {
  const { tape, runtimeIds, lapsed } = scene;
  for (let serial = 1; serial <= times; serial += 1) {
    await pause(scene, tape.pick(40));
    const runtimeId = runtimeIds[tape.pick(runtimeIds.length)] ?? "";
    const name = `caller-${serial}`;
    const holder = { executorId: executorIdOf("caller"), incarnationId: incarnationIdOf(name) };
    const body = { type: "prompt", text: name } as const;
    const ingest = { ...ingestCommandOf(runtimeId, `input-${name}`, name, { body }) };
    const taking = { ...ingest, withoutWake: true };
    const command = { type: "ingest_and_run", ingest: taking, ...holder } as const;
    const actor = `${name} takes`;
    const reply = await insist(scene, runtimeId, { ...command, ttlMs: LEASE_TTL_MS }, actor);
    if (reply?.type === "run_taken" && !tape.chance(200)) {
      const { runId, generation, inputIds: staged } = reply.run;
      await execute(scene, runtimeId, { runId, generation, staged });
    }
    lapsed.push(holder);
  }
  await pause(scene, LATE_PAUSES);
}
