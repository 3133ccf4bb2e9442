// Reads from the server, once all is quiet, what it says about every runtime: counts, inputs,
// receipts, the whole history as a watcher sees it, and whether the chain holds.
import {
  type AbandonReason,
  AbandonReasonSchema,
  InputState,
  type InputStatus,
  type RunBoundaryReceipt,
  type Runtime,
  type RuntimeEventEnvelope,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { Endpoint } from "./endpoints.ts";
import type { FinalEvent, FinalInput, FinalReceipt, FinalRuntime } from "./history.ts";
import { textOf } from "./made-inputs.ts";

const PAGE_SIZE = 500;
const CALL = { timeoutMs: 30_000 };

const STATES: Readonly<Partial<Record<InputState, FinalInput["state"]>>> = {
  [InputState.CONSUMED]: "consumed",
  [InputState.SUPERSEDED]: "superseded",
  [InputState.COALESCED]: "coalesced",
  [InputState.ABANDONED]: "abandoned",
};

/** The name of a reason as completions and inputs both tell it. */
export function abandonReasonName(reason: AbandonReason): string {
  return AbandonReasonSchema.value[reason]?.name ?? "";
}

function inputOf(status: InputStatus): FinalInput {
  const { outcome } = status.terminalOutcome ?? {};
  return {
    inputId: status.inputId,
    key: status.idempotencyKey,
    content: status.input === undefined ? "" : textOf(status.input),
    state: STATES[status.state] ?? "live",
    admittedRevision: Number(status.admittedRevision),
    attemptCount: status.attemptCount,
    consumedByRunId: outcome?.case === "consumed" ? outcome.value.runId : "",
    replacedByInputId:
      outcome?.case === "superseded"
        ? outcome.value.byInputId
        : outcome?.case === "coalesced"
          ? outcome.value.aggregateId
          : "",
    abandonReason: outcome?.case === "abandoned" ? abandonReasonName(outcome.value.reason) : "",
  };
}

async function inputsOf(endpoint: Endpoint, runtimeId: string): Promise<readonly FinalInput[]> {
  const inputs: FinalInput[] = [];
  let pageToken = "";
  do {
    const request = { runtimeId, includePayload: true, pageSize: PAGE_SIZE, pageToken };
    const page = await endpoint.runtimes.listInputs(request, CALL);
    inputs.push(...page.inputs.map(inputOf));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return inputs;
}

function isAlike(receipt: RunBoundaryReceipt, loaded: RunBoundaryReceipt | undefined): boolean {
  return (
    loaded?.commitHash === receipt.commitHash &&
    loaded.revision === receipt.revision &&
    loaded.contributingInputIds.join() === receipt.contributingInputIds.join()
  );
}

async function receiptsOf(endpoint: Endpoint, runtimeId: string): Promise<readonly FinalReceipt[]> {
  const receipts: FinalReceipt[] = [];
  let pageToken = "";
  do {
    const request = { runtimeId, pageSize: PAGE_SIZE, pageToken };
    const page = await endpoint.runtimes.listBoundaryReceipts(request, CALL);
    for (const receipt of page.receipts) {
      const { runId, sequence } = receipt;
      const name = { runtimeId, runId, sequence };
      const loaded = await endpoint.runtimes.loadBoundaryReceipt(name, CALL);
      receipts.push({
        runId,
        sequence: Number(sequence),
        inputIds: receipt.contributingInputIds,
        commitHash: receipt.commitHash,
        revision: Number(receipt.revision),
        isLoadedAlike: isAlike(receipt, loaded.receipt),
      });
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return receipts;
}

function eventOf({ revision, index, eventId, eventCode, event }: RuntimeEventEnvelope): FinalEvent {
  const executor = event.case === "executor" ? event.value : undefined;
  return {
    index,
    eventId,
    eventCode,
    revision: Number(revision),
    generation: Number(executor?.generation ?? 0n),
    holder: executor === undefined ? "" : `${executor.executorId}/${executor.incarnationId}`,
    runId: event.case === "runLifecycle" ? event.value.runId : "",
    inputId: event.case === "inputLifecycle" ? event.value.inputId : "",
  };
}

/** All events up to a revision, as one watcher from the beginning gets them. */
async function eventsOf(
  endpoint: Endpoint,
  runtimeId: string,
  revision: bigint,
): Promise<readonly FinalEvent[]> {
  const events: FinalEvent[] = [];
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, AbortSignal.timeout(CALL.timeoutMs)]);
  const request = { runtimeId, after: { revision: 0n } };
  try {
    for await (const { message } of endpoint.runtimes.watchRuntime(request, { signal })) {
      if (message.case === "event") events.push(eventOf(message.value));
      if (message.case === "bookmark" && message.value.revision >= revision) enough.abort();
    }
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
  return events;
}

function runtimeFacts(runtime: Runtime) {
  const counts = runtime.inputCounts;
  if (counts === undefined) throw new Error(`${runtime.runtimeId} has no counts`);
  const live = counts.queued + counts.staged + counts.appliedPendingConsumption;
  return {
    revision: Number(runtime.revision),
    attemptLimit: runtime.config?.attemptLimit ?? 0,
    currentRunId: runtime.currentRun?.runId ?? "",
    counts: {
      accepted: Number(counts.accepted),
      consumed: Number(counts.consumed),
      superseded: Number(counts.superseded),
      coalesced: Number(counts.coalesced),
      abandoned: Number(counts.abandoned),
      live: Number(live),
    },
  };
}

/** Reads everything about one runtime. */
export async function collectRuntime(endpoint: Endpoint, runtimeId: string): Promise<FinalRuntime> {
  const { runtime } = await endpoint.runtimes.getRuntime({ runtimeId }, CALL);
  if (runtime === undefined) throw new Error(`${runtimeId} was not answered`);
  const verified = await endpoint.runtimes.verifyRuntime({ runtimeId }, CALL);
  return {
    runtimeId,
    ...runtimeFacts(runtime),
    inputs: await inputsOf(endpoint, runtimeId),
    receipts: await receiptsOf(endpoint, runtimeId),
    events: await eventsOf(endpoint, runtimeId, runtime.revision),
    isVerified: verified.valid && verified.commitCount === runtime.revision,
  };
}
