/** Inputs of a benchmark: small prompts with unique keys, spread over runtimes. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  IngestBatchRequestSchema,
  IngestRequestSchema,
  IngestStreamRequestSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";

/** 120 characters, the size of a short sentence or two. */
export const PROMPT_TEXT =
  "Count the words of this sentence and answer with one number only. ".repeat(2);

const RPC = "/keelson.runtime.v1.RuntimeControlPlaneService";
/** Paths of the calls that are measured. */
export const PATHS = {
  ingest: `${RPC}/Ingest`,
  ingestBatch: `${RPC}/IngestBatch`,
  ingestStream: `${RPC}/IngestStream`,
} as const;

/** Names of runtimes. */
export function runtimeIds(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** Makes bodies of unary ingests, round robin over runtimes, each with a key of its own. */
function makeBodies<Body>(
  runtimes: readonly string[],
  keyPrefix: string,
  bodyOf: (runtimeId: string, idempotencyKey: string) => Body,
): () => Body {
  let sent = 0;
  return () => {
    const runtimeId = runtimes[sent % runtimes.length] ?? "";
    sent += 1;
    return bodyOf(runtimeId, `${keyPrefix}-${sent}`);
  };
}

/** Makes the JSON bodies of unary ingests. */
export function makeJsonBodies(runtimes: readonly string[], keyPrefix: string): () => string {
  return makeBodies(runtimes, keyPrefix, (runtimeId, idempotencyKey) =>
    JSON.stringify({ runtimeId, input: { idempotencyKey, prompt: { text: PROMPT_TEXT } } }),
  );
}

function promptInput(idempotencyKey: string) {
  return { idempotencyKey, kind: { case: "prompt" as const, value: { text: PROMPT_TEXT } } };
}

/** Makes the messages of unary ingests over gRPC. */
export function makeMessages(runtimes: readonly string[], keyPrefix: string): () => Uint8Array {
  return makeBodies(runtimes, keyPrefix, (runtimeId, idempotencyKey) => {
    const input = promptInput(idempotencyKey);
    return toBinary(IngestRequestSchema, create(IngestRequestSchema, { runtimeId, input }));
  });
}

/** The messages of one ingest stream. */
export function streamMessages(
  runtimes: readonly string[],
  keyPrefix: string,
  count: number,
): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) =>
    toBinary(
      IngestStreamRequestSchema,
      create(IngestStreamRequestSchema, {
        clientSequence: BigInt(index + 1),
        runtimeId: runtimes[index % runtimes.length] ?? "",
        input: promptInput(`${keyPrefix}-${index}`),
      }),
    ),
  );
}

/** An input that shares its run with its neighbours, unlike a prompt. */
function eventInput(idempotencyKey: string) {
  const value = {
    eventType: "bench",
    payload: { kind: { case: "numberValue" as const, value: 1 } },
  };
  return { idempotencyKey, kind: { case: "externalEvent" as const, value } };
}

/** The body of one batch of inputs. */
export function batchBody(
  runtimes: readonly string[],
  keyPrefix: string,
  count: number,
  kind: "prompt" | "event" = "prompt",
): Buffer {
  const inputOf = kind === "prompt" ? promptInput : eventInput;
  const items = Array.from({ length: count }, (_, index) => ({
    runtimeId: runtimes[index % runtimes.length] ?? "",
    input: inputOf(`${keyPrefix}-${index}`),
  }));
  return Buffer.from(
    toBinary(IngestBatchRequestSchema, create(IngestBatchRequestSchema, { items })),
  );
}
