import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { ErrorReason } from "../../gen/keelson/errors/v1/errors_pb.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { StorageError } from "../engine/ports.ts";
import { reasonNumber } from "./codec/ingest-outcome.ts";
import {
  CODE_OF,
  connectErrorOf,
  invalidFields,
  wireRefusalOf,
  type WireReason,
} from "./errors.ts";

const REASONS = Object.keys(CODE_OF) as readonly WireReason[];

function outgoing(error: unknown): ConnectError {
  return connectErrorOf(wireRefusalOf(error));
}

/** The values of the details of one type that would go out. */
function detailsOf(error: ConnectError, typeName: string): readonly unknown[] {
  return error.details.flatMap((detail) =>
    "desc" in detail && detail.desc.typeName === typeName ? [detail.value] : [],
  );
}

test.each(REASONS)("%s is published with a number that tells its code", (reason) => {
  const number = reasonNumber(reason);
  expect(number).not.toBe(ErrorReason.UNSPECIFIED);
  expect(Math.floor(number / 100)).toBe(CODE_OF[reason]);
});

test("a refusal carries its reason, domain and facts", () => {
  const refusal = refusalOf("RUNTIME_NOT_REGISTERED", "not there", { runtimeId: "r" });
  const error = outgoing(new RefusedError(refusal));
  expect(error.code).toBe(Code.NotFound);
  expect(error.rawMessage).toBe("not there");
  expect(detailsOf(error, ErrorInfoSchema.typeName)).toEqual([
    { reason: "RUNTIME_NOT_REGISTERED", domain: "keelson.dev", metadata: { runtimeId: "r" } },
  ]);
  expect(detailsOf(error, ResourceInfoSchema.typeName)).toEqual([
    { resourceType: "keelson.runtime.v1.Runtime", resourceName: "r" },
  ]);
});

test("wrong fields are listed one by one", () => {
  const violations = [
    { field: "input.kind", description: "is required" },
    { field: "runtime_id", description: "is required" },
  ];
  const error = outgoing(invalidFields(violations));
  expect(error.code).toBe(Code.InvalidArgument);
  expect(detailsOf(error, BadRequestSchema.typeName)).toEqual([{ fieldViolations: violations }]);
});

test("a refusal about the state says which condition did not hold", () => {
  const error = outgoing(new RefusedError(refusalOf("LEASE_LOST", "gone", { runtimeId: "r" })));
  expect(error.code).toBe(Code.FailedPrecondition);
  expect(detailsOf(error, PreconditionFailureSchema.typeName)).toEqual([
    { violations: [{ type: "LEASE_LOST", subject: "r", description: "gone" }] },
  ]);
});

test("a database that does not answer can be tried again", () => {
  const error = outgoing(new StorageError("unavailable", "socket closed by 10.0.0.7"));
  expect(error.code).toBe(Code.Unavailable);
  expect(error.rawMessage).not.toContain("10.0.0.7");
  expect(detailsOf(error, RetryInfoSchema.typeName)).toHaveLength(1);
});

test.each([
  new TypeError("secret of the inside"),
  new StorageError("corrupt", "secret of the inside"),
  "secret of the inside",
])("what nobody foresaw is told without its cause", (thrown) => {
  const refusal = wireRefusalOf(thrown);
  expect(refusal.isBug).toBe(true);
  expect(refusal.code).toBe(Code.Internal);
  expect(JSON.stringify(refusal)).not.toContain("secret");
});

test.each([
  [new ConnectError("timed out", Code.DeadlineExceeded), "DEADLINE_EXCEEDED"],
  [new ConnectError("cancelled", Code.Canceled), "CANCELLED"],
  [new DOMException("aborted", "AbortError"), "CANCELLED"],
])("a call that ended early is no fault of the server", (thrown, reason) => {
  expect(wireRefusalOf(thrown)).toMatchObject({ reason, isBug: false });
});
