// The test suites, one vitest project each. `npm test` runs all of them, one group after the other
// and from fast to slow, so that a suite with real processes never shares the machine with another.
import { defineConfig } from "vitest/config";

interface Suite {
  readonly name: string;
  readonly files: string;
  readonly caseTimeoutMs: number;
  /** Files of the suite that run at once; undefined: as many as the machine has cores. */
  readonly filesAtOnce?: number;
}

const SUITES: readonly Suite[] = [
  { name: "tidy", files: "test/tidy/**/*.test.ts", caseTimeoutMs: 30_000 },
  { name: "unit", files: "src/**/*.test.ts", caseTimeoutMs: 20_000 },
  { name: "property", files: "test/property/**/*.test.ts", caseTimeoutMs: 180_000 },
  { name: "storage", files: "test/storage/**/*.test.ts", caseTimeoutMs: 60_000 },
  { name: "service", files: "test/service/**/*.test.ts", caseTimeoutMs: 60_000 },
  { name: "fault", files: "test/fault/**/*.test.ts", caseTimeoutMs: 600_000, filesAtOnce: 1 },
];

export default defineConfig({
  test: {
    passWithNoTests: true,
    projects: SUITES.map((suite, position) => ({
      test: {
        name: suite.name,
        include: [suite.files],
        environment: "node" as const,
        // CommonJS packages look the same under test as they do to Node.
        deps: { interopDefault: false },
        testTimeout: suite.caseTimeoutMs,
        hookTimeout: Math.max(suite.caseTimeoutMs, 60_000),
        sequence: { groupOrder: position },
        ...(suite.filesAtOnce === undefined ? {} : { maxWorkers: suite.filesAtOnce }),
      },
    })),
  },
});
