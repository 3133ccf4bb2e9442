// One client of the fault suite: what it sends and hears is noted, and it goes on asking until it
// has an answer. How it sends is up to the load it carries.
import type {
  IngestAccepted,
  IngestDeduplicated,
  IngestRejected,
  InputCompletion,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeSeededRandom } from "../../property/support/seeded-entropy.ts";
import { abandonReasonName } from "./collector.ts";
import { type Endpoints, makeEndpoints, type Protocol } from "./endpoints.ts";
import type { HistoryRecorder } from "./history-recorder.ts";
import type { Completion, IngestOutcome } from "./history.ts";
import type { InputPlan } from "./made-inputs.ts";

/** What every client works with. */
export interface Scene {
  readonly urls: readonly string[];
  readonly runtimeIds: readonly string[];
  readonly recorder: HistoryRecorder;
  readonly seed: number;
  /** Aborted when clients are to make no further inputs; what they sent is still followed up. */
  readonly closing: AbortSignal;
  /** Aborted when everything is to end at once. */
  readonly ending: AbortSignal;
}

/** One client. */
export interface FaultClient {
  readonly name: string;
  readonly endpoints: Endpoints;
  readonly random: () => number;
  readonly scene: Scene;
  /** One of the runtimes, by chance. */
  readonly anyRuntime: () => string;
  readonly noteSent: (runtimeId: string, plan: InputPlan, order?: number) => void;
  readonly noteAnswer: (runtimeId: string, plan: InputPlan, outcome: WireOutcome) => void;
  readonly noteCompletion: (
    runtimeId: string,
    key: string,
    completion: InputCompletion | undefined,
  ) => void;
}

/** The outcome of an ingest as any of the calls answers it. */
export type WireOutcome =
  | { readonly case: "accepted"; readonly value: IngestAccepted }
  | { readonly case: "deduplicated"; readonly value: IngestDeduplicated }
  | { readonly case: "rejected"; readonly value: IngestRejected }
  | { readonly case: "error" | undefined; readonly value?: unknown };

function outcomeOf(outcome: WireOutcome): IngestOutcome {
  switch (outcome.case) {
    case "accepted": {
      const { inputId, input } = outcome.value;
      return { kind: "accepted", inputId, revision: Number(input?.admittedRevision ?? 0n) };
    }
    case "deduplicated": {
      const { existingId, sameContent } = outcome.value;
      return { kind: "deduplicated", existingId, sameContent };
    }
    case "rejected":
      return { kind: "rejected", reason: outcome.value.reason.case ?? "" };
    default:
      throw new Error("an ingest was answered without an outcome");
  }
}

/** A completion as histories tell it; undefined while the input is not over. */
function completionOf({ outcome }: InputCompletion): Completion | undefined {
  switch (outcome.case) {
    case "completed":
      return { kind: "completed", text: outcome.value.result?.text ?? "" };
    case "completedWithoutResult":
      return { kind: "completed_without_result" };
    case "callbackPending":
      return { kind: "callback_pending" };
    case "abandoned":
      return { kind: "abandoned", reason: abandonReasonName(outcome.value.reason) };
    case "superseded":
      return { kind: "superseded", byInputId: outcome.value.byInputId };
    case "coalesced":
      return { kind: "coalesced", aggregateId: outcome.value.aggregateId };
    case "runtimeTerminated":
      return { kind: "runtime_terminated", reason: String(outcome.value.reason) };
    case "pending":
      return undefined;
    case undefined:
      throw new Error("a wait was answered without an outcome");
  }
}

/** Makes a client of a scene; `number` sets it apart from the others. */
export function makeFaultClient(
  scene: Scene,
  number: number,
  protocol: Protocol = "grpc",
): FaultClient {
  const name = `client-${number}`;
  const { recorder, runtimeIds, urls, ending } = scene;
  const random = makeSeededRandom(scene.seed * 1_000 + number);
  return {
    name,
    random,
    scene,
    endpoints: makeEndpoints(urls, {
      protocol,
      signal: ending,
      first: number,
    }),
    anyRuntime: () => runtimeIds[Math.floor(random() * runtimeIds.length)] ?? "",
    noteSent: (runtimeId, { key, text }, order) => {
      const content = text;
      recorder.note({
        type: "sent",
        client: name,
        runtimeId,
        key,
        content,
        order: order ?? null,
      });
    },
    noteAnswer: (runtimeId, { key, text }, wire) => {
      const outcome = outcomeOf(wire);
      recorder.note({
        type: "answered",
        client: name,
        runtimeId,
        key,
        content: text,
        outcome,
      });
    },
    noteCompletion: (runtimeId, key, wire) => {
      const completion = wire === undefined ? undefined : completionOf(wire);
      if (completion === undefined) return;
      recorder.note({
        type: "awaited",
        client: name,
        runtimeId,
        key,
        completion,
      });
    },
  };
}
