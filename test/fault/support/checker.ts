// The checker of fault runs: a pure function from what was recorded to the promises that were
// broken. It knows nothing of the code under test; its own tests show that it finds each kind.
import type { RecordedHistory } from "./history.ts";
import { judgeInputs } from "./judge-inputs.ts";
import { judgeRuns } from "./judge-runs.ts";
import { judgeTotals } from "./judge-totals.ts";
import { judgeWatches } from "./judge-watches.ts";
import { grouped, makeVerdict, type Violation } from "./violation.ts";

/** All broken promises of a recorded history; empty when there are none. */
export function checkHistory(history: RecordedHistory): readonly Violation[] {
  const verdict = makeVerdict();
  const entriesOf = grouped(history.entries, (entry) => entry.runtimeId);
  for (const runtime of history.runtimes) {
    const entries = entriesOf.get(runtime.runtimeId) ?? [];
    const blame = verdict.about(runtime.runtimeId);
    judgeInputs(entries, runtime, blame);
    judgeRuns(entries, runtime, blame);
    judgeWatches(entries, runtime, blame);
    judgeTotals(runtime, blame);
  }
  const known = new Set(history.runtimes.map((runtime) => runtime.runtimeId));
  for (const [runtimeId, entries] of entriesOf) {
    if (known.has(runtimeId) || !entries.some((entry) => entry.type === "answered")) continue;
    verdict.about(runtimeId)("acknowledged_and_lost", "the whole runtime");
  }
  return verdict.violations;
}
