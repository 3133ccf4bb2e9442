// Judges the holds on one process: a generation is one worker's, and nothing that a former holder
// writes is taken.
import {
  type FinalProcess,
  type ProcessEntry,
  processEntriesOf,
  type ProcessEntryOf,
} from "./process-history.ts";
import type { ProcessBlame } from "./process-violation.ts";
import { grouped } from "./violation.ts";

type Claimed = ProcessEntryOf<"claimed">;

function judgeClaims(claims: readonly Claimed[], process: FinalProcess, blame: ProcessBlame) {
  const { processId } = process;
  for (const [generation, same] of grouped(claims, (claim) => `${claim.generation}`)) {
    const holders = new Set(
      same.map(({ worker, incarnationId, leaseToken }) => {
        return `${worker}/${incarnationId} by ${leaseToken}`;
      }),
    );
    if (holders.size > 1) {
      const names = [...holders].join(" and ");
      blame("generation_shared", processId, `generation ${generation}: ${names}`);
    }
  }
  const inOrder = claims.toSorted((left, right) => left.revision - right.revision);
  for (const [index, { generation }] of inOrder.entries()) {
    const before = inOrder[index - 1]?.generation ?? 0;
    if (generation < before || generation > process.generation) {
      const order = `generation ${generation} after ${before}, in all ${process.generation}`;
      blame("generation_shared", processId, order);
    }
  }
}

/** Judges which writes under a lease were taken. */
function judgeFences(
  entries: readonly ProcessEntry[],
  process: FinalProcess,
  blame: ProcessBlame,
): void {
  const { processId, events } = process;
  const claims = processEntriesOf(entries, "claimed");
  const releases = processEntriesOf(entries, "released");
  let highest = 0;
  for (const { sequence, generation, revision, terminalState } of events) {
    if (generation === 0) continue;
    const isEnd = terminalState !== "";
    const isStale =
      generation < highest ||
      generation > process.generation ||
      (isEnd && generation !== process.generation) ||
      claims.some((claim) => claim.generation > generation && claim.revision < revision) ||
      claims.some((claim) => claim.generation === generation && claim.revision > revision) ||
      releases.some((release) => release.generation === generation && release.revision < revision);
    if (isStale) {
      blame("stale_lease_accepted", processId, `event ${sequence} of generation ${generation}`);
    }
    highest = Math.max(highest, generation);
  }
}

/** Judges the holds on one process. */
export function judgeLeases(
  entries: readonly ProcessEntry[],
  process: FinalProcess,
  blame: ProcessBlame,
): void {
  const { processId, events, end } = process;
  judgeClaims(processEntriesOf(entries, "claimed"), process, blame);
  judgeFences(entries, process, blame);
  for (const append of processEntriesOf(entries, "appended")) {
    const event = events.find(({ sequence }) => sequence === append.sequence);
    if (append.replayed || event === undefined || event.generation === append.generation) continue;
    const detail = `event ${append.sequence} was sent by generation ${append.generation}`;
    blame("stale_lease_accepted", processId, detail);
  }
  for (const { worker, generation, state, output, sequence } of processEntriesOf(
    entries,
    "completed",
  )) {
    const name = `the completion of ${worker} with generation ${generation}`;
    const event = events.find((candidate) => candidate.sequence === sequence);
    if (end?.sequence !== sequence || end.state !== state || end.output !== output) {
      blame("completion_lost", processId, `${name} is not how it ended`);
    } else if (event?.generation !== generation) {
      blame("stale_lease_accepted", processId, name);
    }
  }
}
