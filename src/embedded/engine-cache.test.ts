import { expect, test } from "vitest";
import { cacheMebibytes } from "./engine-cache.ts";

test.each([
  { memory: 512, cache: 256 },
  { memory: 2048, cache: 256 },
  { memory: 4096, cache: 512 },
  { memory: 8192, cache: 1024 },
  { memory: 65_536, cache: 1024 },
])("with $memory MiB of memory the engine's cache has $cache MiB", ({ memory, cache }) => {
  expect(cacheMebibytes(memory * 1024 * 1024)).toBe(cache);
});
