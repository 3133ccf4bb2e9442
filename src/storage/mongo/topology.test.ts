import { describe, expect, it } from "vitest";
import { StorageError } from "../../engine/ports.ts";
import { requireServerVersion, topologyOf, writeConcernsOf } from "./topology.ts";

describe("topologyOf", () => {
  it("tells a standalone server, a member of a replica set and a router apart", () => {
    expect(topologyOf({})).toBe("standalone");
    expect(topologyOf({ setName: "rs0" })).toBe("replica_set");
    expect(topologyOf({ ["msg"]: "isdbgrid" })).toBe("sharded");
  });
});

describe("writeConcernsOf", () => {
  it("asks a majority where there is one, and the journal always", () => {
    expect(writeConcernsOf("standalone").durable).toEqual({ w: 1, j: true });
    for (const topology of ["replica_set", "sharded"] as const) {
      expect(writeConcernsOf(topology).durable).toEqual({ w: "majority", j: true });
      expect(writeConcernsOf(topology).replicated).toEqual({ w: "majority", j: false });
    }
  });
});

describe("requireServerVersion", () => {
  const failure = (version: string, versionArray: readonly number[]): unknown => {
    try {
      requireServerVersion({ version, versionArray });
      return undefined;
    } catch (error) {
      return error;
    }
  };

  it("refuses servers older than 8.0 and says which version is needed", () => {
    const error = failure("7.0.14", [7, 0, 14, 0]);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ kind: "incompatible" });
    expect(String(error)).toContain("7.0.14");
    expect(String(error)).toContain("8.0");
  });

  it("takes 8.0 and newer, also versions before a release", () => {
    expect(failure("8.0.0", [8, 0, 0, 0])).toBeUndefined();
    expect(failure("9.0.0-alpha0", [9, 0, 0, -50])).toBeUndefined();
    expect(failure("10.1.2", [10, 1, 2, 0])).toBeUndefined();
  });
});
