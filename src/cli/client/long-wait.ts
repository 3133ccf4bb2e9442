/** Waits that take as long as they take, over restarts of the server: call by call. */
import type { CallOptions } from "@connectrpc/connect";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationToProto } from "../../rpc/codec/time.ts";
import { untilAnswered } from "./repeat.ts";

/** One call waits at most this long; the server allows a minute. */
const CALL_WAIT_MS = 50_000;
const ANSWER_MS = 10_000;

/** A wait, as one call of it. */
export interface LongWait<Response> {
  /** Must be safe to repeat. */
  readonly call: (timeout: Duration, options: CallOptions) => Promise<Response>;
  /** Whether there is nothing more to wait for. */
  readonly isOver: (response: Response) => boolean;
  /** Undefined: for ever. */
  readonly patienceMs: number | undefined;
}

/** The answer once it is over, or the last one when the time is up. */
export async function waitLong<Response>(wait: LongWait<Response>): Promise<Response> {
  const { call, isOver, patienceMs } = wait;
  const endMs = performance.now() + (patienceMs ?? Number.POSITIVE_INFINITY);
  const timeUp = new AbortController();
  const timer = patienceMs === undefined ? undefined : setTimeout(() => timeUp.abort(), patienceMs);
  try {
    for (;;) {
      const response = await untilAnswered(
        () => {
          const restMs = Math.max(0, Math.ceil(endMs - performance.now()));
          const waitMs = Math.min(CALL_WAIT_MS, restMs);
          return call(durationToProto(waitMs), { timeoutMs: waitMs + ANSWER_MS });
        },
        { signal: timeUp.signal },
      );
      if (isOver(response) || performance.now() >= endMs) return response;
    }
  } finally {
    clearTimeout(timer);
  }
}
