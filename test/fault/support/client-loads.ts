// What the clients of the fault suite do: single ingests with retries and duplicates, ingests that
// are waited for, calls that are given up in the middle, batches, and operators who interrupt.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { reasonOf } from "./endpoints.ts";
import type { FaultClient } from "./client.ts";
import {
  type Directive,
  type InputPlan,
  type InputShape,
  makeInput,
  textFor,
} from "./made-inputs.ts";
import { pauseFor } from "./waiting.ts";

/** Goes on until the scene closes, and then until all that was sent is answered. */
export type ClientLoad = (client: FaultClient) => Promise<void>;

const PACE_MS = 25;
const AWAIT_MS = 2_000;
const AWAIT_CALL_MS = 4_000;
const BATCH_SIZE = 8;
const SCOPES = 3;
const WAITERS = 8;

/** Shapes that are run without another input to wake the runtime. */
const AWAITED_SHAPES: readonly InputShape[] = ["prompt", "event", "superseding", "operation"];

const SHAPES: readonly InputShape[] = [
  ...(["prompt", "event", "event", "steer"] as const),
  ...(["superseding", "superseding", "progress", "operation"] as const),
];

function directiveFor(shape: InputShape, chance: number): Directive {
  // Only a prompt has a run to itself, so that only a prompt may spoil one.
  if (shape === "prompt" && chance < 0.02) return "poison";
  if (shape === "prompt" && chance < 0.04) return "fatal";
  if (chance < 0.1) return "fail_once";
  if (chance < 0.14) return "wait";
  return chance < 0.3 ? "steps" : "complete";
}

/** The next input of a client, of a chosen shape or of any. */
export function planInput(client: FaultClient, count: number, wanted?: InputShape): InputPlan {
  const chosen = SHAPES[Math.floor(client.random() * SHAPES.length)] ?? "prompt";
  const shape = wanted ?? chosen;
  const key = `${client.name}-${count}`;
  const scope = `${client.name}-scope-${Math.floor(client.random() * SCOPES)}`;
  return { shape, key, scope, text: textFor(directiveFor(shape, client.random()), key) };
}

/** Sends one input until it is answered. */
export async function ingest(
  client: FaultClient,
  runtimeId: string,
  plan: InputPlan,
): Promise<void> {
  client.noteSent(runtimeId, plan);
  const request = { runtimeId, input: makeInput(plan) };
  const { outcome } = await client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.ingest(request, limits);
  });
  client.noteAnswer(runtimeId, plan, outcome);
}

/** Paces a load: a breath after each round, until the scene closes. */
async function untilClosed(
  client: FaultClient,
  round: (count: number) => Promise<void>,
): Promise<void> {
  for (let count = 0; !client.scene.closing.aborted; count += 1) {
    await round(count);
    await pauseFor(PACE_MS, client.scene.closing);
  }
}

/** Single ingests; some are sent again later, with the same or with another content. */
export const unaryLoad: ClientLoad = async (client) => {
  const earlier: (readonly [string, InputPlan])[] = [];
  await untilClosed(client, async (count) => {
    const runtimeId = client.anyRuntime();
    const plan = planInput(client, count);
    await ingest(client, runtimeId, plan);
    earlier.push([runtimeId, plan]);
    const again = earlier[Math.floor(client.random() * earlier.length * 4)];
    if (again === undefined) return;
    const [whereAgain, former] = again;
    const isAltered = client.random() < 0.5;
    const altered = { ...former, text: textFor("complete", `${former.key} altered`) };
    await ingest(client, whereAgain, isAltered ? altered : former);
  });
};

/** Waits for the end of an input for as long as it takes. */
async function awaitEnd(client: FaultClient, runtimeId: string, key: string): Promise<void> {
  const target = { case: "idempotencyKey" as const, value: key };
  const request = { runtimeId, target, timeout: durationFromMs(AWAIT_MS) };
  let isOver = false;
  while (!isOver && !client.scene.ending.aborted) {
    const { completion } = await client.endpoints.call(
      ({ runtimes }, limits) => runtimes.awaitInput(request, limits),
      { timeoutMs: AWAIT_CALL_MS },
    );
    client.noteCompletion(runtimeId, key, completion);
    isOver = completion?.outcome.case !== "pending";
  }
}

async function ingestAndAwait(client: FaultClient, count: number): Promise<void> {
  const runtimeId = client.anyRuntime();
  const shape = AWAITED_SHAPES[count % AWAITED_SHAPES.length] ?? "prompt";
  const plan = planInput(client, count, shape);
  client.noteSent(runtimeId, plan);
  const request = { runtimeId, input: makeInput(plan), timeout: durationFromMs(AWAIT_MS) };
  const { admission, completion } = await client.endpoints.call(
    ({ runtimes }, limits) => runtimes.ingestAndAwait(request, limits),
    { timeoutMs: AWAIT_CALL_MS },
  );
  client.noteAnswer(runtimeId, plan, admission?.outcome ?? { case: undefined });
  client.noteCompletion(runtimeId, plan.key, completion);
  await awaitEnd(client, runtimeId, plan.key);
}

/** Ingests that are waited for, several at once, and then once more by another waiter. */
export const awaitLoad: ClientLoad = async (client) => {
  let count = 0;
  const waiter = (): Promise<void> =>
    untilClosed(client, async () => {
      count += 1;
      await ingestAndAwait(client, count);
    });
  await Promise.all(Array.from({ length: WAITERS }, waiter));
};

/** Ingests given up after a few milliseconds, and then sent again until they are answered. */
export const cancellingLoad: ClientLoad = async (client) => {
  await untilClosed(client, async (count) => {
    const runtimeId = client.anyRuntime();
    const plan = planInput(client, count);
    client.noteSent(runtimeId, plan);
    const request = { runtimeId, input: makeInput(plan) };
    const patience = AbortSignal.timeout(1 + Math.floor(client.random() * 12));
    const first = await client.endpoints
      .next()
      .runtimes.ingest(request, { signal: patience })
      .catch(() => undefined);
    if (first !== undefined) client.noteAnswer(runtimeId, plan, first.outcome);
    await ingest(client, runtimeId, plan);
  });
};

/** Batches over several runtimes; items that were refused for the moment are sent again alone. */
export const batchLoad: ClientLoad = async (client) => {
  await untilClosed(client, async (count) => {
    const planned = Array.from({ length: BATCH_SIZE }, (_item, index) => {
      return [client.anyRuntime(), planInput(client, count * BATCH_SIZE + index)] as const;
    });
    for (const [runtimeId, plan] of planned) client.noteSent(runtimeId, plan);
    const items = planned.map(([runtimeId, plan]) => ({ runtimeId, input: makeInput(plan) }));
    const { results } = await client.endpoints.call(({ runtimes }, limits) => {
      return runtimes.ingestBatch({ items }, limits);
    });
    for (const [index, [runtimeId, plan]] of planned.entries()) {
      const outcome = results[index]?.outcome ?? { case: undefined };
      if (outcome.case === "error") await ingest(client, runtimeId, plan);
      else client.noteAnswer(runtimeId, plan, outcome);
    }
    await pauseFor(PACE_MS * BATCH_SIZE, client.scene.closing);
  });
};

/** An operator beside the ingests: interrupts runs and publishes events. */
export const operatorLoad: ClientLoad = async (client) => {
  await untilClosed(client, async (count) => {
    const runtimeId = client.anyRuntime();
    await ingest(client, runtimeId, { ...planInput(client, count, "prompt") });
    if (count % 5 === 0) {
      const requestId = `${client.name}-publication-${count}`;
      const event = { runtimeId, eventCode: "fault.noted", requestId };
      await client.endpoints.call(({ runtimes }, limits) => runtimes.publishEvent(event, limits));
    }
    if (count % 3 !== 0) return;
    try {
      await client.endpoints.call(({ runtimes }, limits) => {
        return runtimes.interruptRun({ runtimeId, reason: "for a test" }, limits);
      });
    } catch (error) {
      if (reasonOf(error) !== "NO_CURRENT_RUN" && !client.scene.ending.aborted) throw error;
    }
  });
};
