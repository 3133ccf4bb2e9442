// Reads the JSON report of a test run, names what failed and what was skipped, and ends with the
// line `N passed, N failed`. A skipped case counts as a failure: on the gate everything must run.
import { readFileSync } from "node:fs";
import { z } from "zod";

const testReport = z.object({
  success: z.boolean(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

const [reportPath] = process.argv.slice(2);
if (reportPath === undefined) throw new Error("usage: test-summary.ts <report.json>");
const report = testReport.parse(JSON.parse(readFileSync(reportPath, "utf8")));

const cases = report.testResults.flatMap((file) => file.assertionResults);
const bad = cases.filter((result) => result.status !== "passed");
const brokenFiles = report.testResults.filter(
  (file) =>
    file.status !== "passed" && !file.assertionResults.some((result) => result.status === "failed"),
);
for (const result of bad) console.log(`${result.status}: ${result.fullName}`);
for (const file of brokenFiles) console.log(`did not run: ${file.name} ${file.message ?? ""}`);

const passedCount = cases.length - bad.length;
const failedCount = bad.length + brokenFiles.length;
console.log(`${passedCount} passed, ${failedCount} failed`);
process.exitCode = failedCount === 0 && report.success && passedCount > 0 ? 0 : 1;
