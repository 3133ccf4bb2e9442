import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { protocolRefusal } from "./protocol-errors.ts";

const DECODING = "cannot decode field keelson.runtime.v1.PromptInput.text from JSON: invalid UTF8";

test.each([
  ["a field of the wrong form", Code.InvalidArgument, DECODING, "PromptInput.text"],
  ["a header", Code.InvalidArgument, "protocol error: invalid connect timeout value: x", "request"],
  ["bytes that are no message", Code.Internal, "parse binary: premature EOF", "request"],
])("%s is a field that is wrong", (_what, code, message, field) => {
  expect(protocolRefusal(new ConnectError(message, code))).toMatchObject({
    reason: "INVALID_FIELD",
    violations: [{ field, description: message }],
  });
});

test("a message that is too large names the limit", () => {
  const message = "message size is larger than configured readMaxBytes 1024";
  const refusal = protocolRefusal(new ConnectError(message, Code.ResourceExhausted));
  expect(refusal).toMatchObject({ reason: "LIMIT_EXCEEDED", metadata: { limit: "1024" } });
});

test("faults of the server and methods that there are not are left alone", () => {
  expect(protocolRefusal(new ConnectError("serialize binary: x", Code.Internal))).toBeUndefined();
  expect(protocolRefusal(new ConnectError("no such", Code.Unimplemented))).toBeUndefined();
});
