import {
  BSON,
  MongoCompatibilityError,
  MongoInvalidArgumentError,
  MongoNetworkError,
  MongoServerError,
} from "mongodb";
import { describe, expect, it } from "vitest";
import { StorageError } from "../../engine/ports.ts";
import { isDuplicateKey, requireWrites, storageErrorOf } from "./errors.ts";

const kindOf = (error: unknown): string => storageErrorOf("case", error).kind;
const serverError = (code: number): MongoServerError => new MongoServerError({ code });

/** The kind of the error that `work` throws. */
function thrownKind(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof StorageError ? error.kind : "another error";
  }
}

describe("storageErrorOf", () => {
  it("counts whatever may have taken effect as unavailable", () => {
    const networkError = new MongoNetworkError("connection reset");
    const stepDown = serverError(10107);
    const timeout = serverError(50);
    const unknownCode = serverError(4242);
    for (const error of [networkError, stepDown, timeout, unknownCode, new Error("anything")]) {
      expect(kindOf(error)).toBe("unavailable");
    }
  });

  it("counts missing rights as unavailable: they can be given later", () => {
    expect(kindOf(serverError(13))).toBe("unavailable");
    expect(kindOf(serverError(18))).toBe("unavailable");
  });

  it("counts what was refused for its content as rejected", () => {
    expect(kindOf(serverError(10334))).toBe("rejected");
    expect(kindOf(new MongoInvalidArgumentError("too large"))).toBe("rejected");
    expect(kindOf(new BSON.BSONError("not a document"))).toBe("rejected");
  });

  it("counts servers and indexes that do not fit as incompatible", () => {
    expect(kindOf(serverError(86))).toBe("incompatible");
    expect(kindOf(new MongoCompatibilityError("wire version"))).toBe("incompatible");
  });

  it("keeps the driver's error as cause and its text out of the message", () => {
    const cause = new MongoServerError({ code: 11000, errmsg: 'dup key: { name: "secret" }' });
    const error = storageErrorOf("records.insert", cause);
    expect(error.cause).toBe(cause);
    expect(error.message).not.toContain("secret");
    expect(storageErrorOf("again", error)).toBe(error);
  });
});

describe("requireWrites", () => {
  it("lets expected failures of single writes pass and no others", () => {
    const reply = { writeErrors: [{ index: 0, code: 11000 }] };
    expect(thrownKind(() => requireWrites("case", reply, isDuplicateKey))).toBeUndefined();
    expect(thrownKind(() => requireWrites("case", reply))).toBe("unavailable");
    const mixed = { writeErrors: [...reply.writeErrors, { index: 1, code: 112 }] };
    expect(thrownKind(() => requireWrites("case", mixed, isDuplicateKey))).toBe("unavailable");
  });

  it("does not trust writes whose write concern was not met", () => {
    const reply = { writeConcernError: { code: 64 } };
    expect(thrownKind(() => requireWrites("case", reply))).toBe("unavailable");
  });
});
