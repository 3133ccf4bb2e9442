/** Waits for the end of an input however long it takes, over restarts of the server. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AwaitInputRequestSchema,
  AwaitInputResponse,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { durationToProto } from "../../rpc/codec/time.ts";
import type { Connection } from "../client/connection.ts";
import { untilAnswered } from "../client/repeat.ts";

/** One call waits at most this long; the server allows a minute. */
const CALL_WAIT_MS = 50_000;
const ANSWER_MS = 10_000;

/** Which input of which runtime. */
export interface AwaitedInput {
  readonly runtimeId: string;
  readonly target: NonNullable<MessageInitShape<typeof AwaitInputRequestSchema>["target"]>;
}

/** The end of the input, or `pending` when the time is up. Waits for ever without a time. */
export async function waitForEnd(
  { runtimes }: Connection,
  input: AwaitedInput,
  patienceMs: number | undefined,
): Promise<AwaitInputResponse> {
  const endMs = performance.now() + (patienceMs ?? Number.POSITIVE_INFINITY);
  const timeUp = new AbortController();
  const timer = patienceMs === undefined ? undefined : setTimeout(() => timeUp.abort(), patienceMs);
  try {
    for (;;) {
      const response = await untilAnswered(
        () => {
          const restMs = Math.max(0, Math.ceil(endMs - performance.now()));
          const waitMs = Math.min(CALL_WAIT_MS, restMs);
          const timeout = durationToProto(waitMs);
          return runtimes.awaitInput({ ...input, timeout }, { timeoutMs: waitMs + ANSWER_MS });
        },
        { signal: timeUp.signal },
      );
      const isPending = response.completion?.outcome.case === "pending";
      if (!isPending || performance.now() >= endMs) return response;
    }
  } finally {
    clearTimeout(timer);
  }
}
