// Calls about operations with fields that are missing, malformed or outside of their limits: each
// is named, whatever the state of the runtime, and nothing is changed.
import { afterAll, beforeAll, expect, it } from "vitest";
import { OperationKind } from "../../gen/keelson/operation/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { operate, read, runtimeId } from "./support/operations.ts";
import { firstOf, refusalOf } from "./support/verdict.ts";

let deployment: Deployment;
let clients: CaseClients;

beforeAll(async () => {
  deployment = await openDeployment();
  clients = clientsOf(deployment.url);
});

afterAll(() => deployment.close());

type Operations = CaseClients["operations"];
type Case = readonly [
  what: string,
  call: (operations: Operations) => Promise<unknown>,
  fields: readonly string[],
];

const LONG = "x".repeat(257);
const name = { runtimeId, operationId: "a" };
const NAME = ["runtime_id", "operation_id"];
const tool = { kind: OperationKind.BACKGROUND_TOOL_OP, displayName: "tool" };
const result = { content: "x" };
const PEER = ["peer_name", "trusted_peer.name", "trusted_peer.peer_id", "trusted_peer.address"];

function register(what: string, spec: object, ...fields: readonly string[]): Case {
  return [
    `RegisterOperation: ${what}`,
    (operations) => operations.registerOperation({ runtimeId, spec: { ...tool, ...spec } }),
    fields.map((field) => `spec.${field}`),
  ];
}

const CASES: readonly Case[] = [
  ["RegisterOperation", (calls) => calls.registerOperation({}), ["runtime_id", "spec"]],
  ["MarkProvisioned", (calls) => calls.markProvisioned({}), NAME],
  ["FailProvisioning", (calls) => calls.failProvisioning({}), [...NAME, "error"]],
  ["AbortProvisioning", (calls) => calls.abortProvisioning({}), NAME],
  [
    "ReportPeerReady",
    (calls) => calls.reportPeerReady({}),
    [...NAME, ...PEER.map((field) => `peer_handle.${field}`)],
  ],
  ["ReportProgress", (calls) => calls.reportProgress({}), NAME],
  ["CompleteOperation", (calls) => calls.completeOperation({}), [...NAME, "result"]],
  ["FailOperation", (calls) => calls.failOperation({}), [...NAME, "error"]],
  ["CancelOperation", (calls) => calls.cancelOperation({}), NAME],
  ["RequestRetireOperation", (calls) => calls.requestRetireOperation({}), NAME],
  ["MarkRetired", (calls) => calls.markRetired({}), NAME],
  ["TerminateOwner", (calls) => calls.terminateOwner({}), ["runtime_id", "reason"]],
  ["GetOperation", (calls) => calls.getOperation({}), NAME],
  ["ListOperations", (calls) => calls.listOperations({}), ["runtime_id"]],
  ["WatchOperation", (calls) => firstOf((signal) => calls.watchOperation({}, { signal })), NAME],
  ["WaitAll", (calls) => calls.waitAll({}), ["runtime_id"]],
  ["WaitAny", (calls) => calls.waitAny({}), ["runtime_id", "operation_ids"]],
  ["CollectCompleted", (calls) => calls.collectCompleted({}), ["runtime_id"]],
  ["ListCompletions", (calls) => calls.listCompletions({}), ["runtime_id"]],
  ["WaitCompletions", (calls) => calls.waitCompletions({}), ["runtime_id"]],
  register("a kind that was not given", { kind: OperationKind.UNSPECIFIED }, "kind"),
  register("no name for people", { displayName: "" }, "display_name"),
  register(
    "names that are too long",
    { operationId: LONG, sourceLabel: LONG },
    "operation_id",
    "source_label",
  ),
  register("a peer of a tool", { expectPeerChannel: true }, "expect_peer_channel"),
  [
    "ReportProgress: more than all",
    (calls) => calls.reportProgress({ ...name, percent: 101 }),
    ["percent"],
  ],
  [
    "FailOperation: a long error",
    (calls) => calls.failOperation({ ...name, error: "x".repeat(4_097) }),
    ["error"],
  ],
  [
    "CompleteOperation: a time before the beginning",
    (calls) => calls.completeOperation({ ...name, result: { duration: { seconds: -1n } } }),
    ["result.duration"],
  ],
  [
    "CompleteOperation: text that is none, tokens beyond counting",
    (calls) =>
      calls.completeOperation({ ...name, result: { content: "\0", tokensUsed: 2n ** 53n } }),
    ["result.content", "result.tokens_used"],
  ],
  [
    "WaitAll: more than a page, longer than a poll",
    (calls) => {
      const operationIds = Array.from({ length: 1_001 }, (_, index) => `o-${index}`);
      return calls.waitAll({ runtimeId, operationIds, timeout: { seconds: 3_600n } });
    },
    ["operation_ids", "timeout"],
  ],
  [
    "WaitAll: an empty id",
    (calls) => calls.waitAll({ runtimeId, operationIds: [""] }),
    ["operation_ids[0]"],
  ],
  [
    "CollectCompleted: too many",
    (calls) => calls.collectCompleted({ runtimeId, limit: 1_001 }),
    ["limit"],
  ],
  [
    "ListOperations: a filter of nothing",
    (calls) => calls.listOperations({ runtimeId, filter: { kinds: [0], statuses: [0] } }),
    ["filter.kinds[0]", "filter.statuses[0]"],
  ],
];

it.each(CASES)("%s", async (_what, call, fields) => {
  const refusal = await refusalOf(call(clients.operations));
  expect([refusal.reason, ...refusal.fields]).toEqual(["INVALID_FIELD", ...fields]);
});

it("a result that is too large names both sizes and leaves the operation at work", async () => {
  const fresh = clientsOf(deployment.url);
  await fresh.runtimes.ensureRuntime({ runtimeId });
  await operate(fresh, "tool", "a");
  const content = "x".repeat(1_048_577);
  const refusal = await refusalOf(
    fresh.operations.completeOperation({ ...name, result: { content } }),
  );
  expect(refusal).toMatchObject({
    reason: "RESULT_TOO_LARGE",
    metadata: { limitBytes: "1048576" },
  });
  expect((await read(fresh, "a")).outcome).toBeUndefined();
  await fresh.operations.completeOperation({ ...name, result });
});

it("a page token of another filter is refused", async () => {
  const fresh = clientsOf(deployment.url);
  await fresh.runtimes.ensureRuntime({ runtimeId });
  await operate(fresh, "tool", "a", "b");
  const { nextPageToken: pageToken } = await fresh.operations.listOperations({
    runtimeId,
    pageSize: 1,
  });
  const other = fresh.operations.listOperations({ runtimeId, pageToken, filter: { active: true } });
  expect((await refusalOf(other)).reason).toBe("PAGE_TOKEN_INVALID");
});
