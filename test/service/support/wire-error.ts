/** What an error on the wire says besides its code. */
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";

/** The parts of an error that clients decide by. */
export interface WireError {
  readonly code: number;
  readonly reason: string | undefined;
  readonly hasRetryDelay: boolean;
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (!error) throw new Error("the call did not fail");
  return error;
}

/** The reason a call is refused for, with its facts and the fields that are wrong. */
export async function refusalFactsOf(call: Promise<unknown>): Promise<{
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly string[];
}> {
  const error = await failureOf(call);
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  const fields = violations.map(({ field }) => field);
  return { reason: info?.reason, metadata: info?.metadata ?? {}, fields };
}

/** The error a call ends with; throws when it does not fail. */
export async function wireErrorOf(call: Promise<unknown>): Promise<WireError> {
  const error = await failureOf(call);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  const hasRetryDelay = delay !== undefined && (delay.seconds > 0n || delay.nanos > 0);
  return { code: error.code, reason: info?.reason, hasRetryDelay };
}
