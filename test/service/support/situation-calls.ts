/** The calls of the tables that change or read a runtime, by the names of their rows. */
import { OperationKind } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { DrainExitReason, type IngestError } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";
import { prompt } from "./inputs.ts";
import { identityOf } from "./runs.ts";
import { CONSUMED_INPUT, type SituatedRuntime } from "./situations.ts";
import { firstOf, itemReasonOf } from "./verdict.ts";

/** What a call was answered. */
export interface Answer {
  /** Revision that the answer names. */
  readonly revision?: bigint;
  /** The outcome is a rejection. */
  readonly isRejection?: boolean;
  /** The reason of an error in an answer, as batches and streams have them. */
  readonly reason?: string;
}

/** One call about a runtime in a situation. */
export type Call = (clients: CaseClients, runtime: SituatedRuntime) => Promise<Answer>;

type Calls = Readonly<Record<string, Call>>;

const NOTHING: Answer = {};
const input = prompt("another");
const known = prompt("first", { idempotencyKey: CONSUMED_INPUT });
const target = { case: "inputId", value: CONSUMED_INPUT } as const;
const staged = { case: "inputId", value: "staged" } as const;
const named = { targets: [{ target }, { target: staged }] };
const shortly = { nanos: 1_000_000 };

type Outcome =
  | { readonly case: "error"; readonly value: IngestError }
  | { readonly case: "accepted" | "deduplicated" | "rejected" | undefined };

/** What became of one item. */
function itemAnswer(
  item: { readonly outcome: Outcome; readonly revision: bigint } | undefined,
): Answer {
  if (item === undefined) throw new Error("an item without an answer");
  const { outcome, revision } = item;
  if (outcome.case === "error") return { reason: itemReasonOf(outcome.value) };
  return { revision, isRejection: outcome.case === "rejected" };
}

/** Lifecycle actions, carried out or only validated. */
function actionCalls(validateOnly: boolean): Calls {
  const terms = ({ runtimeId }: SituatedRuntime) => ({ runtimeId, validateOnly, reason: "table" });
  return {
    retire: ({ runtimes }, runtime) => runtimes.retire(terms(runtime)),
    reset: ({ runtimes }, runtime) => runtimes.reset(terms(runtime)),
    recycle: ({ runtimes }, runtime) => runtimes.recycle(terms(runtime)),
    recover: ({ runtimes }, runtime) => runtimes.recover(terms(runtime)),
    "recover,fence": ({ runtimes }, runtime) =>
      runtimes.recover({ ...terms(runtime), fenceExecutor: true }),
    cancelInputs: ({ runtimes }, runtime) =>
      runtimes.cancelInputs({ ...terms(runtime), selection: { case: "targets", value: named } }),
    stopRuntime: ({ runtimes }, runtime) => runtimes.stopRuntime(terms(runtime)),
    destroy: ({ runtimes }, runtime) => runtimes.destroy(terms(runtime)),
    unregisterRuntime: ({ runtimes }, runtime) => runtimes.unregisterRuntime(terms(runtime)),
    "unregisterRuntime,fence": ({ runtimes }, runtime) =>
      runtimes.unregisterRuntime({ ...terms(runtime), fenceExecutor: true }),
  };
}

/** Lifecycle actions that are only validated. */
export const ACTION_CALLS: Calls = actionCalls(true);

/** Everything that may change a runtime. */
export const CHANGE_CALLS: Calls = {
  ...actionCalls(false),
  ensureRuntime: ({ runtimes }, { runtimeId }) => runtimes.ensureRuntime({ runtimeId }),
  ingest: async ({ runtimes }, { runtimeId }) =>
    itemAnswer(await runtimes.ingest({ runtimeId, input })),
  "ingest,ensure": async ({ runtimes }, { runtimeId }) =>
    itemAnswer(await runtimes.ingest({ runtimeId, input, ensure: true })),
  "ingest,known": async ({ runtimes }, { runtimeId }) =>
    itemAnswer(await runtimes.ingest({ runtimeId, input: known })),
  ingestBatch: async ({ runtimes }, { runtimeId }) => {
    const { results } = await runtimes.ingestBatch({ items: [{ runtimeId, input }] });
    return itemAnswer(results[0]);
  },
  ingestStream: async ({ runtimes }, { runtimeId }) => {
    async function* requests() {
      yield { clientSequence: 1n, runtimeId, input };
    }
    const answers: Answer[] = [];
    for await (const response of runtimes.ingestStream(requests())) {
      answers.push(itemAnswer(response));
    }
    return answers[0] ?? itemAnswer(undefined);
  },
  ingestAndAwait: ({ runtimes }, { runtimeId }) =>
    runtimes.ingestAndAwait({ runtimeId, input, timeout: shortly }),
  ingestAndRun: ({ runtimes }, { runtimeId }) =>
    runtimes.ingestAndRun({ runtimeId, input, ...identityOf("caller") }),
  "ingestAndRun,ensure": ({ runtimes }, { runtimeId }) =>
    runtimes.ingestAndRun({ runtimeId, input, ensure: true, ...identityOf("caller") }),
  "ingestAndRun,known": ({ runtimes }, { runtimeId }) =>
    runtimes.ingestAndRun({ runtimeId, input: known, ...identityOf("caller") }),
  publishEvent: ({ runtimes }, { runtimeId }) =>
    runtimes.publishEvent({ runtimeId, eventCode: "case.event" }),
  setSilentIntents: ({ runtimes }, { runtimeId }) =>
    runtimes.setSilentIntents({ runtimeId, intents: ["status"] }),
  updatePeerIngress: ({ runtimes }, { runtimeId }) =>
    runtimes.updatePeerIngress({ runtimeId, endpoint: { address: "inbox://table" } }),
  "updatePeerIngress,same": ({ runtimes }, { runtimeId }) =>
    runtimes.updatePeerIngress({ runtimeId }),
  notifyDrainExited: ({ runtimes }, { runtimeId }) =>
    runtimes.notifyDrainExited({ runtimeId, reason: DrainExitReason.FAILED }),
  abortDrain: ({ runtimes }, { runtimeId }) => runtimes.abortDrain({ runtimeId }),
  interruptRun: ({ runtimes }, { runtimeId }) => runtimes.interruptRun({ runtimeId }),
  registerOperation: ({ operations }, { runtimeId }) => {
    const spec = { kind: OperationKind.BACKGROUND_TOOL_OP, displayName: "table" };
    return operations.registerOperation({ runtimeId, spec });
  },
  completeOperation: ({ operations }, { runtimeId }) =>
    operations.completeOperation({ runtimeId, operationId: "never", result: {} }),
  collectCompleted: ({ operations }, { runtimeId }) => operations.collectCompleted({ runtimeId }),
  terminateOwner: ({ operations }, { runtimeId }) =>
    operations.terminateOwner({ runtimeId, reason: "table" }),
};

/** Reads the first message of a watch and leaves. */
async function watchShortly(
  { runtimes }: CaseClients,
  request: Parameters<CaseClients["runtimes"]["watchRuntime"]>[0],
): Promise<Answer> {
  const { message } = await firstOf((signal) => runtimes.watchRuntime(request, { signal }));
  return message.case === "bookmark" ? NOTHING : { reason: "no bookmark" };
}

/** Everything that reads a runtime. */
export const READ_CALLS: Calls = {
  getRuntime: async ({ runtimes }, { runtimeId }) => {
    await runtimes.getRuntime({ runtimeId });
    return NOTHING;
  },
  "getRuntime,at": async ({ runtimes }, { runtimeId }) => {
    await runtimes.getRuntime({ runtimeId, atRevision: 1n });
    return NOTHING;
  },
  explainRuntime: async ({ runtimes }, { runtimeId }) => {
    const { causes } = await runtimes.explainRuntime({ runtimeId });
    return causes.length > 0 ? NOTHING : { reason: "no cause" };
  },
  awaitInput: async ({ runtimes }, { runtimeId }) => {
    const { completion } = await runtimes.awaitInput({ runtimeId, target });
    return completion?.outcome.case === "completed" ? NOTHING : { reason: "not completed" };
  },
  getInput: ({ runtimes }, { runtimeId }) => runtimes.getInput({ runtimeId, target }),
  listInputs: ({ runtimes }, { runtimeId }) => runtimes.listInputs({ runtimeId }),
  watchRuntime: (clients, { runtimeId }) => watchShortly(clients, { runtimeId }),
  "watchRuntime,after": (clients, { runtimeId }) =>
    watchShortly(clients, { runtimeId, after: { revision: 0n } }),
  loadBoundaryReceipt: async ({ runtimes }, { runtimeId, completion }) => {
    const runId = completion?.runId ?? "never";
    const { receipt } = await runtimes.loadBoundaryReceipt({ runtimeId, runId, sequence: 0n });
    const isThere = receipt !== undefined;
    return isThere === (completion !== undefined) ? NOTHING : { reason: "another receipt" };
  },
  listBoundaryReceipts: ({ runtimes }, { runtimeId }) =>
    runtimes.listBoundaryReceipts({ runtimeId }),
  getOperation: ({ operations }, { runtimeId }) =>
    operations.getOperation({ runtimeId, operationId: "never" }),
  listOperations: ({ operations }, { runtimeId }) => operations.listOperations({ runtimeId }),
  listCompletions: ({ operations }, { runtimeId }) => operations.listCompletions({ runtimeId }),
  waitAll: ({ operations }, { runtimeId }) => operations.waitAll({ runtimeId }),
  waitCompletions: ({ operations }, { runtimeId }) =>
    operations.waitCompletions({ runtimeId, timeout: {} }),
  waitDrain: async ({ runtimes }, { runtimeId }) => {
    const { ended } = await runtimes.waitDrain({ runtimeId, timeout: {} });
    return ended ? NOTHING : { reason: "a drain" };
  },
  getStream: async ({ admin }, { runtimeId }) => {
    const { description } = await admin.getStream({ stream: { kind: "runtime", id: runtimeId } });
    return description === undefined ? { reason: "no description" } : NOTHING;
  },
  listCommits: async ({ admin }, { runtimeId }) => {
    const { commits } = await admin.listCommits({ stream: { kind: "runtime", id: runtimeId } });
    return commits.length > 0 ? NOTHING : { reason: "no commit" };
  },
  verifyRuntime: async ({ runtimes }, { runtimeId }) => {
    const { valid } = await runtimes.verifyRuntime({ runtimeId });
    return valid ? NOTHING : { reason: "not valid" };
  },
};
