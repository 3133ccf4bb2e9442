import { expect, test } from "vitest";
import { chooseMirror } from "./debian-packages.ts";

test("the mirror of the installed release is chosen, not its security or update suites", () => {
  const lines = [
    "main bookworm-security http://security.example/debian-security/",
    "main bookworm-updates http://updates.example/debian/",
    "main bookworm http://mirror.example/debian/",
  ];
  expect(chooseMirror(lines.join("\n"))).toBe("http://mirror.example/debian/");
});

test("other publishers that use Debian's release names are passed over", () => {
  const lines = [
    "main bookworm https://apt.publisher.example/",
    "stable bookworm https://download.publisher.example/linux/debian/",
    "contrib bookworm http://mirror.example/debian/",
    "main bookworm http://mirror.example/debian/",
  ];
  expect(chooseMirror(lines.join("\n"))).toBe("http://mirror.example/debian/");
});

test("a mirror whose address does not name Debian is better than none", () => {
  expect(chooseMirror("main bookworm http://mirror.example/os/\n")).toBe(
    "http://mirror.example/os/",
  );
  expect(chooseMirror("")).toBeUndefined();
  expect(chooseMirror("main /flat http://flat.example/\n")).toBeUndefined();
});
