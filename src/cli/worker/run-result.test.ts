import { rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { makeResultFile, outcomeOf, type ResultFile, storable } from "./run-result.ts";

describe("an outcome", () => {
  it("is a structure for a JSON object or array, and text for everything else", () => {
    expect(outcomeOf('{"a":1}')).toMatchObject({
      case: "result",
      value: { structured: { kind: { case: "structValue" } } },
    });
    expect(outcomeOf(" [1]")).toMatchObject({
      value: { structured: { kind: { case: "listValue" } } },
    });
    for (const text of ["42", '"a"', "{broken", "done"]) {
      expect(outcomeOf(text)).toEqual({ case: "result", value: { text } });
    }
    expect(outcomeOf("")).toMatchObject({ case: "none" });
  });

  it("holds nothing that cannot be stored", () => {
    expect(storable("a\0b\uD800c")).toBe("a\uFFFDb\uFFFDc");
  });
});

describe("a result file", () => {
  let file: ResultFile | undefined;

  afterEach(() => file?.remove());

  it("is read without its last line break, and is empty when nobody wrote it", async () => {
    file = await makeResultFile();
    expect(await file.read()).toBe("");
    await writeFile(file.path, "one\ntwo\n");
    expect(await file.read()).toBe("one\ntwo");
  });

  it("is refused when it is larger than a result may be", async () => {
    file = await makeResultFile();
    await writeFile(file.path, Buffer.alloc(1024 * 1024 + 1, "x"));
    expect(await file.read()).toBeUndefined();
  });

  it("is gone afterwards, also when the command removed it", async () => {
    file = await makeResultFile();
    await rm(file.path, { force: true });
    await file.remove();
    await expect(stat(dirname(file.path))).rejects.toThrow("ENOENT");
  });
});
