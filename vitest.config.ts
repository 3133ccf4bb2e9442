// The test suites, one vitest project each, from fastest to slowest. `npm test` runs all of them.
import { defineConfig } from "vitest/config";

/** One suite: the files it owns and the longest time one of its cases may take. */
function suite(name: string, include: readonly string[], testTimeoutMs: number) {
  return {
    test: {
      name,
      include: [...include],
      environment: "node" as const,
      testTimeout: testTimeoutMs,
      hookTimeout: Math.max(testTimeoutMs, 60_000),
    },
  };
}

export default defineConfig({
  test: {
    passWithNoTests: true,
    projects: [
      suite("tidy", ["test/tidy/**/*.test.ts"], 30_000),
      suite("unit", ["src/**/*.test.ts"], 10_000),
      suite("property", ["test/property/**/*.test.ts"], 120_000),
      suite("storage", ["test/storage/**/*.test.ts"], 60_000),
      suite("service", ["test/service/**/*.test.ts"], 60_000),
      suite("fault", ["test/fault/**/*.test.ts"], 600_000),
    ],
  },
});
