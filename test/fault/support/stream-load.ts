// A client that pipelines: it sends inputs over one stream without waiting, and when the stream
// ends it sends everything unanswered again, in order, at the next replica.
import type { IngestStreamResponse } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { type ClientLoad, ingest, planInput } from "./client-loads.ts";
import { isPassing } from "./endpoints.ts";
import { type InputPlan, makeInput } from "./made-inputs.ts";
import { pauseFor } from "./waiting.ts";

interface Pending {
  readonly order: number;
  readonly runtimeId: string;
  readonly plan: InputPlan;
}

const PENDING_MAX = 32;
const PACE_MS = 60;
/** A stream at a replica that does not answer is given up after this time. */
const STREAM_MS = 6_000;
const RECONNECT_MS = 50;

/** Pipelined ingests over one stream after the other. */
export const streamLoad: ClientLoad = async (client) => {
  const { closing, ending } = client.scene;
  const pending = new Map<number, Pending>();
  let count = 0;

  function requestOf({ order, runtimeId, plan }: Pending) {
    client.noteSent(runtimeId, plan, order);
    return { clientSequence: BigInt(order), runtimeId, input: makeInput(plan) };
  }

  async function* requests(over: AbortSignal) {
    for (const item of pending.values()) yield requestOf(item);
    while (!closing.aborted && !over.aborted) {
      if (pending.size < PENDING_MAX) {
        const item = {
          order: count,
          runtimeId: client.anyRuntime(),
          plan: planInput(client, count),
        };
        pending.set(count, item);
        count += 1;
        yield requestOf(item);
      }
      await pauseFor(PACE_MS, closing);
    }
  }

  async function settle({ clientSequence, outcome }: IngestStreamResponse): Promise<void> {
    const order = Number(clientSequence);
    const item = pending.get(order);
    if (item === undefined) throw new Error(`${client.name} was answered ${order} twice`);
    pending.delete(order);
    if (outcome.case === "error") await ingest(client, item.runtimeId, item.plan);
    else client.noteAnswer(item.runtimeId, item.plan, outcome);
  }

  while (!closing.aborted || pending.size > 0) {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, ending, AbortSignal.timeout(STREAM_MS)]);
    try {
      const responses = client.endpoints
        .next()
        .runtimes.ingestStream(requests(over.signal), { signal });
      for await (const response of responses) await settle(response);
    } catch (error) {
      if (ending.aborted || !isPassing(error)) throw error;
    }
    over.abort();
    await pauseFor(RECONNECT_MS, ending);
  }
};
