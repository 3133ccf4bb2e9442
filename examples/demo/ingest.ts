// Sends the demo's inputs: one lane per runtime, so that the inputs of a runtime keep their order,
// and never far ahead of the workers, so that the kills find the sending in full swing.
import { fromJsonString } from "@bufbuild/protobuf";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import {
  type IngestBatchItem,
  IngestBatchItemSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import type { DemoClient } from "./client.ts";
import { DESKS } from "./inputs/plan.ts";

/** One input as it was acknowledged. */
export interface Acknowledgement {
  readonly runtimeId: string;
  readonly key: string;
  readonly inputId: string;
  readonly isDuplicate: boolean;
}

/** How far the sending may be ahead of the work. */
const AHEAD_MAX = 90;
const PAUSE_MS = 40;
const INPUTS = new URL("inputs.jsonl", import.meta.url);

/** The demo's inputs; with a limit its first lines, and always the closing ones. */
export function readInputs(limit: number): readonly IngestBatchItem[] {
  const lines = readFileSync(INPUTS, "utf8").trimEnd().split("\n");
  const chosen = [...lines.slice(0, Math.min(limit, lines.length - DESKS)), ...lines.slice(-DESKS)];
  return chosen.map((line) => {
    return fromJsonString(IngestBatchItemSchema, line);
  });
}

async function acknowledged(client: DemoClient, item: IngestBatchItem): Promise<Acknowledgement> {
  const { runtimeId, input } = item;
  const { outcome } = await client.call((runtimes, limits) => {
    return runtimes.ingest({ runtimeId, ...(input === undefined ? {} : { input }) }, limits);
  });
  const key = input?.idempotencyKey ?? "";
  if (outcome.case === "accepted") {
    return { runtimeId, key, inputId: outcome.value.inputId, isDuplicate: false };
  }
  if (outcome.case === "deduplicated" && outcome.value.sameContent) {
    return { runtimeId, key, inputId: outcome.value.existingId, isDuplicate: true };
  }
  throw new Error(`the input ${key} was answered with ${outcome.case ?? "nothing"}`);
}

/** Sends all inputs; `backlog` tells by how many inputs the workers are behind. */
export async function sendInputs(
  client: DemoClient,
  items: readonly IngestBatchItem[],
  options: {
    readonly backlog: () => number;
    readonly onAcknowledged: (acknowledgement: Acknowledgement) => void;
  },
): Promise<void> {
  const lanes = Map.groupBy(items, (item) => item.runtimeId);
  const sendLane = async (lane: readonly IngestBatchItem[]): Promise<void> => {
    for (const item of lane) {
      while (options.backlog() > AHEAD_MAX) await delay(PAUSE_MS);
      options.onAcknowledged(await acknowledged(client, item));
    }
  };
  await Promise.all([...lanes.values()].map(sendLane));
}
