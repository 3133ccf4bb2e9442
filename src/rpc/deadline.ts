/** Deadlines as the protocols say them, and those that are too far away for a timer. */
import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";

const CONNECT_HEADER = "connect-timeout-ms";
/** Header of gRPC and gRPC-Web. */
export const GRPC_TIMEOUT_HEADER = "grpc-timeout";

/** Headers in which the protocols say how long the caller waits. */
export const DEADLINE_HEADERS: readonly string[] = [CONNECT_HEADER, GRPC_TIMEOUT_HEADER];

/** The longest time that a timer takes; one that is longer goes off at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Takes out a deadline that is more than 24 days away. Stubs send such ones for calls that may take
 * for ever; a call without a deadline is what they mean. One that cannot be read stays.
 */
export function forgetFarDeadline(header: Headers): void {
  for (const [name, parse] of [
    [CONNECT_HEADER, parseConnectTimeout],
    [GRPC_TIMEOUT_HEADER, parseGrpcTimeout],
  ] as const) {
    const { timeoutMs = 0 } = parse(header.get(name), Number.MAX_SAFE_INTEGER);
    if (timeoutMs > TIMER_MS_MAX) header.delete(name);
  }
}
