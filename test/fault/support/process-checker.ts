// The checker of fault runs over processes: a pure function from what was recorded to the promises
// that were broken. It knows nothing of the code under test; its own tests show that it finds each
// kind.
import { judgeGrants } from "./judge-process-grants.ts";
import { judgeLog } from "./judge-process-log.ts";
import { judgeLeases } from "./judge-process-leases.ts";
import { judgeFollowers, judgeProcessWatchers } from "./judge-process-watches.ts";
import { judgeWakes } from "./judge-process-wakes.ts";
import type { ProcessEntry, ProcessHistory } from "./process-history.ts";
import type { ProcessBlame, ProcessViolation } from "./process-violation.ts";
import { grouped } from "./violation.ts";

function namedIn(entry: ProcessEntry): string {
  return "processId" in entry ? entry.processId : "";
}

/** All broken promises of a recorded history; empty when there are none. */
export function checkProcesses(history: ProcessHistory): readonly ProcessViolation[] {
  const violations: ProcessViolation[] = [];
  const blame: ProcessBlame = (rule, processId, detail) => {
    violations.push({ rule, processId, detail });
  };
  const entriesOf = grouped(history.entries, namedIn);
  for (const process of history.processes) {
    const entries = entriesOf.get(process.processId) ?? [];
    judgeLog(entries, process, blame);
    judgeLeases(entries, process, blame);
    judgeFollowers(entries, process, blame);
  }
  const known = new Set(history.processes.map(({ processId }) => processId));
  for (const processId of entriesOf.keys()) {
    if (processId === "" || known.has(processId)) continue;
    blame("process_lost", processId, "it was answered for and is not there");
  }
  judgeGrants(history, blame);
  judgeWakes(history, blame);
  judgeProcessWatchers(history, blame);
  return violations;
}
