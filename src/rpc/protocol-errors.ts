/**
 * What the protocol library refuses before a handler is asked: messages that cannot be decoded or
 * are too large, headers that make no sense. Callers are told like by any other refusal, with a
 * reason and details, whatever protocol they speak.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { type Refusal, refusalOf } from "../core/shared/refusal.ts";

/** The field that a decoder names, without the package of its message. */
const DECODED_FIELD = /^cannot decode (?:field|oneof) (?:[a-z][\w]*\.)*([A-Z][\w]*\.[\w.]+) /;
/** What the library says of bytes that are no message; it calls that internal. */
const NO_MESSAGE = /^(?:parse binary: |received compressed envelope)/;
const CONFIGURED_LIMIT = /(\d+)$/;
const WHOLE_REQUEST = "request";

function malformed({ rawMessage }: ConnectError): Refusal {
  const field = DECODED_FIELD.exec(rawMessage)?.[1] ?? WHOLE_REQUEST;
  return {
    ...refusalOf("INVALID_FIELD", `The request cannot be read: ${rawMessage}`),
    violations: [{ field, description: rawMessage }],
  };
}

/** The refusal that an error of the library stands for; undefined for errors of another kind. */
export function protocolRefusal(error: ConnectError): Refusal | undefined {
  const { code, rawMessage } = error;
  if (code === Code.InvalidArgument) return malformed(error);
  if (code === Code.Internal && NO_MESSAGE.test(rawMessage)) return malformed(error);
  if (code !== Code.ResourceExhausted) return undefined;
  const limit = CONFIGURED_LIMIT.exec(rawMessage)?.[1] ?? "";
  return refusalOf("LIMIT_EXCEEDED", `The message is too large: ${rawMessage}`, { limit });
}
