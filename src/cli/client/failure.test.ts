import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/keelson/errors/v1/errors_pb.ts";
import { IngestErrorSchema } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { connectErrorOf, wireRefusalOf } from "../../rpc/errors.ts";
import { refusalOf, RefusedError } from "../../core/shared/refusal.ts";
import { CLIENT_EXIT_CODES, exitCodeOfStatus } from "./exit-codes.ts";
import { failureJson, failureOf, failureOfItem, failureText, isPassing } from "./failure.ts";

const ADDRESS = "http://127.0.0.1:7420";

/** What a client reads of a refusal that crossed the wire. */
function received(refusal: ConstructorParameters<typeof RefusedError>[0]) {
  return failureOf(connectErrorOf(wireRefusalOf(new RefusedError(refusal))));
}

describe("a refusal of the server", () => {
  const failure = received({
    ...refusalOf("RUNTIME_NOT_REGISTERED", "Nobody ensured it", { runtimeId: "agent-\u001b1" }),
    retryAfterMs: 1_500,
  });

  it("is told with reason, facts and what to do next, harmless for a terminal", () => {
    expect(failureText(failure, ADDRESS)).toBe(
      [
        "error: Nobody ensured it",
        "  reason     RUNTIME_NOT_REGISTERED",
        "  runtimeId  agent-\\u001b1",
        "  retry      after 1.5s",
        "  next       create it with `keelson runtime ensure agent-\\u001b1`, " +
          "or ingest with --ensure",
      ].join("\n"),
    );
  });

  it("is one line of JSON for scripts", () => {
    expect(JSON.parse(failureJson(failure))).toEqual({
      error: {
        code: "not_found",
        reason: "RUNTIME_NOT_REGISTERED",
        message: "Nobody ensured it",
        metadata: { runtimeId: "agent-\u001b1" },
        fields: [],
        retryAfterMs: 1_500,
      },
    });
  });

  it("names every field that is wrong", () => {
    const violations = [{ field: "input.prompt.text", description: "is too long" }];
    const text = failureText(
      received({ ...refusalOf("INVALID_FIELD", "Bad fields"), violations }),
      ADDRESS,
    );
    expect(text).toContain("  input.prompt.text  is too long");
  });

  it.each([
    ["INVALID_FIELD", CLIENT_EXIT_CODES.usage, false],
    ["DATABASE_UNAVAILABLE", CLIENT_EXIT_CODES.unavailable, true],
    ["OVERLOADED", CLIENT_EXIT_CODES.unavailable, true],
    ["INPUT_NOT_FOUND", CLIENT_EXIT_CODES.notFound, false],
    ["RUN_IN_FLIGHT", CLIENT_EXIT_CODES.precondition, false],
    ["REQUEST_ID_REUSED", CLIENT_EXIT_CODES.precondition, false],
    ["STATE_MISMATCH", CLIENT_EXIT_CODES.conflict, false],
    ["CONFLICT", CLIENT_EXIT_CODES.conflict, true],
    ["OUTCOME_UNKNOWN", CLIENT_EXIT_CODES.outcomeUnknown, false],
    ["INTERNAL", CLIENT_EXIT_CODES.failed, false],
  ] as const)("for %s ends with %i", (reason, exitCode, passes) => {
    const refused = received(refusalOf(reason, "No"));
    expect(refused.reason).toBe(reason);
    expect(exitCodeOfStatus(refused.code)).toBe(exitCode);
    expect(isPassing(refused)).toBe(passes);
  });
});

describe("an item of a batch", () => {
  it("fails like a call of its own", () => {
    const failure = failureOfItem(
      create(IngestErrorSchema, {
        code: Code.ResourceExhausted,
        reason: ErrorReason.QUEUE_FULL,
        message: "The queue is full",
        metadata: { queueLimit: "10" },
        retryDelay: { seconds: 1n },
      }),
    );
    expect(failure).toEqual({
      code: Code.ResourceExhausted,
      reason: "QUEUE_FULL",
      message: "The queue is full",
      metadata: { queueLimit: "10" },
      fields: [],
      retryAfterMs: 1_000,
    });
    expect(isPassing(failure)).toBe(true);
  });
});

describe("a connection", () => {
  it.each([Code.Aborted, Code.Internal, Code.Canceled, Code.Unavailable])(
    "that broke off with %i counts as unavailable",
    (code) => {
      const failure = failureOf(new ConnectError("read ECONNRESET", code));
      expect(failure.code).toBe(Code.Unavailable);
      expect(isPassing(failure)).toBe(true);
      expect(failureText(failure, ADDRESS)).toContain(`No server answers at ${ADDRESS}`);
    },
  );
});
