import { describe, expect, it } from "vitest";
import { StorageError } from "../../engine/ports.ts";
import { requireServerVersion, topologyOf } from "./topology.ts";

describe("topologyOf", () => {
  it("tells a standalone server, a member of a replica set and a router apart", () => {
    expect(topologyOf({})).toBe("standalone");
    expect(topologyOf({ setName: "rs0" })).toBe("replica_set");
    expect(topologyOf({ ["msg"]: "isdbgrid" })).toBe("sharded");
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
