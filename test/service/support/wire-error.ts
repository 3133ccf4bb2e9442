/** What an error on the wire says besides its code. */
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** The parts of an error that clients decide by. */
export interface WireError {
  readonly code: number;
  readonly reason: string | undefined;
  readonly hasRetryDelay: boolean;
}

/** The error a call ends with; throws when it does not fail. */
export async function wireErrorOf(call: Promise<unknown>): Promise<WireError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (!error) throw new Error("the call did not fail");
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  const hasRetryDelay = delay !== undefined && (delay.seconds > 0n || delay.nanos > 0);
  return { code: error.code, reason: info?.reason, hasRetryDelay };
}
