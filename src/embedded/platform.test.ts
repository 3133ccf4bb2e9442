import { expect, test } from "vitest";
import { platformSupport, readPlatformFacts } from "./platform.ts";

const debian13 = { platform: "linux", architecture: "x64", glibcVersion: "2.41" };

test("a machine with the oldest sufficient glibc runs the engine as it is", () => {
  const facts = { ...debian13, glibcVersion: "2.38" };
  expect(platformSupport(facts)).toEqual({ kind: "native", glibcVersion: "2.38" });
});

test("versions are compared as numbers, not as text", () => {
  expect(platformSupport({ ...debian13, glibcVersion: "2.4" }).kind).toBe("private_glibc");
  expect(platformSupport({ ...debian13, glibcVersion: "2.100" }).kind).toBe("native");
  expect(platformSupport({ ...debian13, glibcVersion: "3.0" }).kind).toBe("native");
});

test("an older glibc is replaced by a private one for the machine's architecture", () => {
  expect(platformSupport({ ...debian13, glibcVersion: "2.36" })).toMatchObject({
    kind: "private_glibc",
    machine: { debianArchitecture: "amd64", loaderName: "ld-linux-x86-64.so.2" },
  });
  const arm = { platform: "linux", architecture: "arm64", glibcVersion: "2.36" };
  expect(platformSupport(arm)).toMatchObject({
    kind: "private_glibc",
    machine: { debianArchitecture: "arm64", loaderName: "ld-linux-aarch64.so.1" },
  });
});

test("musl, other systems and other processors are refused with the cause", () => {
  const explanationOf = (changes: object) => {
    const support = platformSupport({ ...debian13, ...changes });
    return support.kind === "unsupported" ? support.explanation : support.kind;
  };
  expect(explanationOf({ glibcVersion: null })).toContain("musl");
  expect(explanationOf({ platform: "win32" })).toContain("win32/x64");
  expect(explanationOf({ architecture: "riscv64" })).toContain("linux/riscv64");
  expect(explanationOf({ platform: "darwin", glibcVersion: null })).toContain("darwin/x64");
  expect(explanationOf({ platform: "darwin", architecture: "arm64" })).toBe("native");
});

test("the facts of this machine name its platform", () => {
  expect(readPlatformFacts()).toMatchObject({
    platform: process.platform,
    architecture: process.arch,
  });
});
