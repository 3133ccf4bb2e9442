import { describe, expect, it } from "vitest";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { StorageError } from "../engine/ports.ts";
import { errorFacts } from "./error-facts.ts";

const CANARY = "canary-7f3a";

describe("facts of an error", () => {
  it("keeps the words of our own errors, with kind, reason and place", () => {
    const facts = errorFacts(new RefusedError(refusalOf("CONFLICT", "Lost a race")));
    expect(facts).toMatchObject({
      type: "RefusedError",
      message: "Lost a race",
      reason: "CONFLICT",
    });
    expect(facts.frames?.[0]).toContain("error-facts.test.ts");
  });

  it("keeps the words of the system", () => {
    const error = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    expect(errorFacts(error)).toMatchObject({
      message: "connect ECONNREFUSED",
      code: "ECONNREFUSED",
    });
  });

  it("says nothing that a parser or a driver quotes", () => {
    let parseError: unknown;
    try {
      JSON.parse(`{"text": ${CANARY}}`);
    } catch (error) {
      parseError = error;
    }
    const driverError = Object.assign(new Error(`dup key: ${CANARY}`), {
      name: "MongoServerError",
      code: 11_000,
      writeErrors: [{ document: CANARY }],
    });
    const wrapped = new StorageError("rejected", "a write was refused", { cause: driverError });
    for (const error of [parseError, driverError, wrapped, CANARY, { text: CANARY }]) {
      expect(JSON.stringify(errorFacts(error))).not.toContain(CANARY);
    }
    expect(errorFacts(wrapped).cause).toMatchObject({ type: "MongoServerError", code: 11_000 });
  });

  it("ends a chain of causes that has no end", () => {
    const error = new Error("loop");
    error.cause = error;
    expect(() => JSON.stringify(errorFacts(error))).not.toThrow();
  });
});
