// Judges what executors were told: an input is consumed once, under a receipt; a fence has one
// holder and is worth nothing once a later one was given out; receipts have no gaps and are kept;
// every run ends.
import {
  entriesOf,
  type EntryOf,
  type FinalEvent,
  type FinalRuntime,
  type HistoryEntry,
} from "./history.ts";
import { type Blame, grouped } from "./violation.ts";

type Accepted = EntryOf<"boundary"> | EntryOf<"ended">;

const ENDS: ReadonlySet<string> = new Set([
  "run.completed",
  "run.failed",
  "run.cancelled",
  "run.returned",
]);

function acceptedOf(entries: readonly HistoryEntry[]): readonly Accepted[] {
  return [...entriesOf(entries, "boundary"), ...entriesOf(entries, "ended")];
}

function holderOf(report: Accepted | EntryOf<"assigned">): string {
  return `${report.executorId}/${report.incarnationId}`;
}

/** Applied under one receipt, consumed by one end, and never consumed without a receipt. */
function judgeConsumption(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  const applied = new Map<string, Set<string>>();
  const note = (inputId: string, runId: string, sequence: number): void => {
    const places = applied.get(inputId) ?? new Set();
    applied.set(inputId, places.add(`${runId}#${sequence}`));
  };
  for (const { runId, sequence, inputIds } of [
    ...runtime.receipts,
    ...entriesOf(entries, "boundary"),
  ]) {
    for (const inputId of inputIds) note(inputId, runId, sequence);
  }
  for (const [inputId, places] of applied) {
    if (places.size > 1) blame("consumed_twice", `${inputId} by ${[...places].join(" and ")}`);
  }
  const ends = runtime.events.filter((event) => event.eventCode === "input.consumed");
  for (const [inputId, events] of grouped(ends, (event) => event.inputId)) {
    if (events.length > 1) blame("consumed_twice", `${inputId} has ${events.length} ends`);
  }
  for (const input of runtime.inputs) {
    if (input.consumedByRunId === "") continue;
    const places = [...(applied.get(input.inputId) ?? [])];
    if (!places.some((place) => place.startsWith(`${input.consumedByRunId}#`))) {
      blame("consumed_without_receipt", `${input.inputId} by ${input.consumedByRunId}`);
    }
  }
}

/** Every generation is granted to one incarnation, and used by that one only. */
function judgeFences(entries: readonly HistoryEntry[], runtime: FinalRuntime, blame: Blame): void {
  const holders = new Map<number, Set<string>>();
  const note = (generation: number, holder: string): void => {
    holders.set(generation, (holders.get(generation) ?? new Set()).add(holder));
  };
  const grants = runtime.events.filter((event) => event.eventCode === "executor.lease_granted");
  for (const grant of grants) note(grant.generation, grant.holder);
  for (const report of acceptedOf(entries)) note(report.generation, holderOf(report));
  for (const [generation, names] of holders) {
    if (names.size > 1) {
      blame("fence_shared", `generation ${generation} by ${[...names].join(" and ")}`);
    }
  }
}

/** Nothing was accepted under a generation once a later one had been given out. */
function judgeStaleness(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  const bumps = runtime.events.filter((event) => {
    return (
      event.eventCode === "executor.lease_granted" || event.eventCode === "executor.lease_fenced"
    );
  });
  for (const boundary of entriesOf(entries, "boundary")) {
    const later = bumps.find((bump) => {
      return bump.generation > boundary.generation && bump.revision < boundary.revision;
    });
    if (later === undefined) continue;
    const where = `${boundary.runId}#${boundary.sequence} at revision ${boundary.revision}`;
    blame(
      "stale_fence_accepted",
      `${where} under ${boundary.generation}, after ${later.generation} at ${later.revision}`,
    );
  }
}

function judgeReceipts(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  const kept = new Map(
    runtime.receipts.map((receipt) => [`${receipt.runId}#${receipt.sequence}`, receipt]),
  );
  for (const [runId, receipts] of grouped(runtime.receipts, (receipt) => receipt.runId)) {
    for (const [index, { sequence }] of receipts.entries()) {
      if (sequence !== index) blame("receipt_gap", `${runId}: ${sequence} in place of ${index}`);
    }
  }
  for (const receipt of runtime.receipts) {
    if (receipt.isLoadedAlike) continue;
    blame("receipt_lost", `${receipt.runId}#${receipt.sequence} is listed and not loaded alike`);
  }
  for (const told of entriesOf(entries, "boundary")) {
    const name = `${told.runId}#${told.sequence}`;
    const receipt = kept.get(name);
    const isSame =
      receipt?.commitHash === told.commitHash &&
      receipt.revision === told.revision &&
      receipt.inputIds.join() === told.inputIds.join();
    if (!isSame) blame("receipt_lost", `${name} was given to ${told.executorId}`);
  }
}

function judgeEnds(entries: readonly HistoryEntry[], runtime: FinalRuntime, blame: Blame): void {
  if (runtime.currentRunId !== "") blame("run_not_finished", runtime.currentRunId);
  const ofRuns = runtime.events.filter((event) => event.runId !== "" && event.inputId === "");
  const eventsOf: ReadonlyMap<string, readonly FinalEvent[]> = grouped(
    ofRuns,
    (event) => event.runId,
  );
  for (const [runId, events] of eventsOf) {
    const ends = events.filter((event) => ENDS.has(event.eventCode));
    const isStarted = events.some((event) => event.eventCode === "run.started");
    if (isStarted && ends.length !== 1) {
      blame("run_not_finished", `${runId} has ${ends.length} ends`);
    }
  }
  for (const told of entriesOf(entries, "ended")) {
    const events = eventsOf.get(told.runId) ?? [];
    if (!events.some((event) => event.eventCode === `run.${told.how}`)) {
      blame("run_not_finished", `${told.runId} was accepted as ${told.how} and is not`);
    }
  }
}

/** Judges the runs of one runtime. */
export function judgeRuns(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  judgeConsumption(entries, runtime, blame);
  judgeFences(entries, runtime, blame);
  judgeStaleness(entries, runtime, blame);
  judgeReceipts(entries, runtime, blame);
  judgeEnds(entries, runtime, blame);
}
