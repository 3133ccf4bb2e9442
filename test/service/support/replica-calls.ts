// Calls that cases about dispatch make again and again.
import type { RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { Replica } from "./dispatch-world.ts";
import { prompt } from "./inputs.ts";

/** Registers runtimes with the default configuration. */
export async function ensure(replica: Replica, ...runtimeIds: readonly string[]): Promise<void> {
  for (const runtimeId of runtimeIds) await replica.runtimes.ensureRuntime({ runtimeId });
}

/** Ingests a prompt and answers its id. */
export async function ingest(replica: Replica, runtimeId: string, text = "hello"): Promise<string> {
  const { outcome } = await replica.runtimes.ingest({ runtimeId, input: prompt(text) });
  if (outcome.case !== "accepted") throw new Error(`the input was ${outcome.case}`);
  return outcome.value.inputId;
}

/** Registers runtimes and gives each a prompt. */
export async function ensureWithWork(
  replica: Replica,
  ...runtimeIds: readonly string[]
): Promise<void> {
  await ensure(replica, ...runtimeIds);
  for (const runtimeId of runtimeIds) await ingest(replica, runtimeId);
}

/** What became of an input: its state, and how often it was attempted. */
export async function inputAt(replica: Replica, runtimeId: string, inputId: string) {
  const target = { case: "inputId", value: inputId } as const;
  const { input } = await replica.runtimes.getInput({ runtimeId, target });
  return { state: input?.state, attempts: input?.attemptCount };
}

/** The state of a runtime. */
export async function stateOf(
  replica: Replica,
  runtimeId: string,
): Promise<RuntimeState | undefined> {
  const { runtime } = await replica.runtimes.getRuntime({ runtimeId });
  return runtime?.state;
}
