/** What the demo knows for itself of its inputs, and how it checks the server's word against it. */
import type { Client } from "@connectrpc/connect";
import type { RuntimeControlPlaneService } from "../../gen/keelson/runtime/v1/service_pb.ts";

/** A client of the runtime service. */
export type RuntimeClient = Client<typeof RuntimeControlPlaneService>;

/** Ids that the server acknowledged, by runtime. */
export type Acknowledged = ReadonlyMap<string, ReadonlySet<string>>;

/** How many inputs are where, over all runtimes. */
export interface Totals {
  readonly accepted: number;
  readonly live: number;
  readonly consumed: number;
  readonly abandoned: number;
  readonly superseded: number;
  readonly coalesced: number;
}

/** What the check at the end found. */
export interface Findings {
  readonly totals: Totals;
  /** Acknowledged inputs that the server does not know, or has not brought to an end. */
  readonly lost: number;
  /** Inputs that stand in more than one receipt. */
  readonly consumedTwice: number;
  /** Consumed inputs without a receipt. */
  readonly withoutReceipt: number;
  readonly receipts: number;
  readonly receiptsMissing: number;
  readonly commits: number;
  readonly runtimesInvalid: number;
}

const PAGE = 1000;

/** Sums the counters of the runtimes. */
export async function totalsOf(
  client: RuntimeClient,
  runtimeIds: readonly string[],
): Promise<Totals> {
  const totals = { accepted: 0, live: 0, consumed: 0, abandoned: 0, superseded: 0, coalesced: 0 };
  for (const runtimeId of runtimeIds) {
    const counts = (await client.getRuntime({ runtimeId })).runtime?.inputCounts;
    if (!counts) continue;
    totals.accepted += Number(counts.accepted);
    totals.live += Number(counts.queued + counts.staged + counts.appliedPendingConsumption);
    totals.consumed += Number(counts.consumed);
    totals.abandoned += Number(counts.abandoned);
    totals.superseded += Number(counts.superseded);
    totals.coalesced += Number(counts.coalesced);
  }
  return totals;
}

/** Ids of the inputs that have come to an end, with how. */
async function endsOf(client: RuntimeClient, runtimeId: string): Promise<Map<string, string>> {
  const ends = new Map<string, string>();
  for (let pageToken = ""; ; ) {
    const page = await client.listInputs({ runtimeId, pageSize: PAGE, pageToken });
    for (const input of page.inputs) {
      const end = input.terminalOutcome?.outcome.case;
      if (end !== undefined) ends.set(input.inputId, end);
    }
    pageToken = page.nextPageToken;
    if (pageToken === "") return ends;
  }
}

/** Loads every receipt of a runtime one by one, and counts in how many each input stands. */
async function receiptsOf(client: RuntimeClient, runtimeId: string) {
  const seen = new Map<string, number>();
  let receipts = 0;
  let missing = 0;
  for (let pageToken = ""; ; ) {
    const page = await client.listBoundaryReceipts({ runtimeId, pageSize: PAGE, pageToken });
    for (const { runId, sequence, contributingInputIds } of page.receipts) {
      const loaded = await client.loadBoundaryReceipt({ runtimeId, runId, sequence });
      receipts += 1;
      if (loaded.receipt?.commitHash.length !== 64) missing += 1;
      for (const inputId of contributingInputIds) seen.set(inputId, (seen.get(inputId) ?? 0) + 1);
    }
    pageToken = page.nextPageToken;
    if (pageToken === "") return { seen, receipts, missing };
  }
}

/** Checks everything that was acknowledged against what the server has. */
export async function audit(client: RuntimeClient, acknowledged: Acknowledged): Promise<Findings> {
  const findings = {
    lost: 0,
    consumedTwice: 0,
    withoutReceipt: 0,
    receipts: 0,
    receiptsMissing: 0,
    commits: 0,
    runtimesInvalid: 0,
  };
  for (const [runtimeId, inputIds] of acknowledged) {
    const ends = await endsOf(client, runtimeId);
    const { seen, receipts, missing } = await receiptsOf(client, runtimeId);
    const { valid, commitCount } = await client.verifyRuntime({ runtimeId });
    for (const inputId of inputIds) if (!ends.has(inputId)) findings.lost += 1;
    for (const [inputId, end] of ends) {
      if (end === "consumed" && !seen.has(inputId)) findings.withoutReceipt += 1;
    }
    for (const times of seen.values()) if (times > 1) findings.consumedTwice += 1;
    findings.receipts += receipts;
    findings.receiptsMissing += missing;
    findings.commits += Number(commitCount);
    if (!valid) findings.runtimesInvalid += 1;
  }
  const totals = await totalsOf(client, [...acknowledged.keys()]);
  return { totals, ...findings };
}
