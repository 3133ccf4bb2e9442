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

/** What a header says; nothing when it says nothing. */
type Timeout = ReturnType<typeof parseGrpcTimeout>;

function withoutFarOne(header: Headers, name: string, parse: typeof parseGrpcTimeout): Timeout {
  const timeout = parse(header.get(name), Number.MAX_SAFE_INTEGER);
  if ((timeout.timeoutMs ?? 0) <= TIMER_MS_MAX) return timeout;
  header.delete(name);
  return {};
}

/** The deadline of a call over gRPC, or the error of one that cannot be read. */
export function grpcTimeoutOf(header: Headers): Timeout {
  return withoutFarOne(header, GRPC_TIMEOUT_HEADER, parseGrpcTimeout);
}

/**
 * Takes out a deadline that is more than 24 days away. Stubs send such ones for calls that may take
 * for ever; a call without a deadline is what they mean. One that cannot be read stays.
 */
export function forgetFarDeadline(header: Headers): void {
  withoutFarOne(header, CONNECT_HEADER, parseConnectTimeout);
  withoutFarOne(header, GRPC_TIMEOUT_HEADER, parseGrpcTimeout);
}
