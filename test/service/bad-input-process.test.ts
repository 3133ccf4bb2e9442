// Calls of the process registry with fields that are missing, malformed or outside of their limits:
// refused with the path of each one, and nothing is changed.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, it } from "vitest";
import type {
  ProcessDisposition,
  ProcessRegistrationSchema,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import {
  engine,
  external,
  historyOf,
  json,
  ownerWord,
  plainType,
  register,
  success,
} from "./support/processes.ts";
import { firstOf, refusalOf } from "./support/verdict.ts";

let deployment: Deployment;
let clients: CaseClients;

beforeAll(async () => {
  deployment = await openDeployment();
  clients = clientsOf(deployment.url);
});

afterAll(() => deployment.close());

type Registration = MessageInitShape<typeof ProcessRegistrationSchema>;
type Case = readonly [what: string, registration: Registration, fields: readonly string[]];

const UNKNOWN_DISPOSITION = 99 as ProcessDisposition;
const long = "x".repeat(257);
const PREFIX = "registration.";

function typeWithTemplate(fields: Readonly<Record<string, string>>): Registration {
  const template = { template: "{a}", fields: { ...fields } };
  const input = { selector: { case: "template", value: template } } as const;
  return external("p", { eventTypes: [{ name: "t", semantics: { wake: { input } } }] });
}

const failedType = { name: "t", semantics: { terminal: { state: 3 } } } as const;
const bareSelector = { name: "t", semantics: { wake: { when: {} } } };
const badPointer = { selector: { case: "pointer", value: "text" } } as const;

const REGISTRATIONS: readonly Case[] = [
  ["nothing at all", {}, ["disposition", "input", "provenance.originator"]],
  ["a name with #", external("a#b"), ["process_id"]],
  ["a name that is too long", external(long), ["process_id"]],
  [
    "a disposition that nobody knows",
    external("p", { disposition: UNKNOWN_DISPOSITION }),
    ["disposition"],
  ],
  [
    "an engine without a kind",
    engine("p", { input: { kind: { case: "engine", value: {} } } }),
    ["input.engine.kind"],
  ],
  ["an engine without an environment", engine("p", { envRef: "" }), ["env_ref"]],
  ["an environment for what is done elsewhere", external("p", { envRef: "e" }), ["env_ref"]],
  [
    "a session without an id",
    external("p", {
      provenance: { originator: { case: "session", value: {} } },
    }),
    ["provenance.session.session_id"],
  ],
  [
    "a cause that says nothing",
    external("p", {
      provenance: { originator: { case: "host", value: {} }, causedBy: {} },
    }),
    ["provenance.caused_by"],
  ],
  ["a type without a name", external("p", { eventTypes: [{}] }), ["event_types[0].name"]],
  [
    "a type of the server's own",
    external("p", { eventTypes: [plainType("process.done")] }),
    ["event_types[0].name"],
  ],
  [
    "a type that is declared twice",
    external("p", {
      eventTypes: [plainType("a"), plainType("a")],
    }),
    ["event_types[1].name"],
  ],
  [
    "a failure without an output",
    external("p", { eventTypes: [failedType] }),
    ["event_types[0].semantics.terminal.output"],
  ],
  [
    "a selector that selects nothing",
    external("p", { eventTypes: [bareSelector] }),
    ["event_types[0].semantics.wake.when"],
  ],
  [
    "a pointer that is none",
    external("p", {
      eventTypes: [{ name: "t", semantics: { wake: { input: badPointer } } }],
    }),
    ["event_types[0].semantics.wake.input"],
  ],
  [
    "a pointer of a template that is none",
    typeWithTemplate({ a: "b" }),
    ["event_types[0].semantics.wake.input.template.fields.a"],
  ],
  [
    "a schema that is a text",
    external("p", { eventTypes: [plainType("t", "object")] }),
    ["event_types[0].payload_schema"],
  ],
  [
    "too many types",
    external("p", {
      eventTypes: Array.from({ length: 65 }, (_, index) => plainType(`t${index}`)),
    }),
    ["event_types"],
  ],
  ["too many attempts", engine("p", { attemptsMax: 1_001 }), ["attempts_max"]],
  ["labels without a name", external("p", { labels: { "": "x" } }), ["labels"]],
  ["an identity without a kind", external("p", { identity: { label: "x" } }), ["identity.kind"]],
];

it.each(REGISTRATIONS)("a registration with %s", async (_what, registration, fields) => {
  const { reason, fields: found } = await refusalOf(
    clients.processes.registerProcess({ registration }),
  );
  const expected = fields.map((field) => PREFIX + field);
  expect([reason, ...found.toSorted()]).toEqual(["INVALID_FIELD", ...expected.toSorted()]);
  expect((await clients.processes.listProcesses({})).processes).toEqual([]);
});

it("a schema that cannot be used names its place", async () => {
  const schema = { type: "object", properties: { a: { type: "number", minimum: "x" } } };
  const registration = external("p", { eventTypes: [plainType("t", schema)] });
  const refusal = await refusalOf(clients.processes.registerProcess({ registration }));
  expect(refusal.reason).toBe("PAYLOAD_SCHEMA_INVALID");
  expect(refusal.fields[0]).toContain("registration.event_types[0].payload_schema");
});

it("a request id without a name, which could not be found again", async () => {
  const request = { registration: external(""), requestId: "r" };
  const { reason, fields } = await refusalOf(clients.processes.registerProcess(request));
  expect([reason, ...fields]).toEqual(["INVALID_FIELD", "registration.process_id"]);
});

const processId = "p";
const signal = AbortSignal.timeout(10_000);
type Call = (clients: CaseClients) => Promise<unknown>;
type CallCase = readonly [what: string, call: Call, fields: readonly string[]];

const CALLS: readonly CallCase[] = [
  [
    "GetProcess",
    ({ processes }) => processes.getProcess({ processId, atRevision: 0n }),
    ["at_revision"],
  ],
  [
    "ListProcesses",
    ({ processes }) =>
      processes.listProcesses({
        pageSize: 1_001,
        filter: { states: [0], dispositions: [UNKNOWN_DISPOSITION], kind: "" },
      }),
    ["filter.dispositions[0]", "filter.kind", "filter.states[0]", "page_size"],
  ],
  [
    "SetExternalRef",
    ({ processes }) => processes.setExternalRef({ processId }),
    ["external_ref", "external_ref.backend", "external_ref.external_id"],
  ],
  [
    "RequestAbandon",
    ({ processes }) =>
      processes.requestAbandon({
        processId,
        reason: "x".repeat(1_025),
      }),
    ["reason", "requested_by"],
  ],
  [
    "SetProcessWait",
    ({ processes }) =>
      processes.setProcessWait({
        processId,
        wait: {},
        lease: {},
      }),
    [
      "lease.generation",
      "lease.lease_token",
      "wait.event_type",
      "wait.ordinal",
      "wait.signal_name",
    ],
  ],
  [
    "RecoverProcesses",
    ({ processes }) => processes.recoverProcesses({ kind: long, pageSize: 2000 }),
    ["kind", "page_size"],
  ],
  [
    "PruneProcesses",
    ({ processes }) => processes.pruneProcesses({ states: [1] }),
    ["states[0]", "updated_before"],
  ],
  [
    "AppendEvent",
    ({ processes }) => processes.appendEvent({ processId, replayKey: long }),
    ["event_type", "replay_key"],
  ],
  [
    "ListEvents",
    ({ processes }) =>
      processes.listEvents({
        processId,
        afterSequence: 2n ** 53n,
        eventTypes: ["a", ""],
      }),
    ["after_sequence", "event_types[1]"],
  ],
  [
    "ListWakeEvents",
    ({ processes }) => processes.listWakeEvents({ processId: "a#b" }),
    ["process_id"],
  ],
  [
    "WaitEvent",
    ({ processes }) =>
      processes.waitEvent({
        processId,
        timeout: { seconds: 61n },
      }),
    ["event_type", "timeout"],
  ],
  [
    "WatchEvents",
    ({ processes }) =>
      firstOf(() => processes.watchEvents({ afterSequence: 2n ** 60n }, { signal })),
    ["after_sequence", "process_id"],
  ],
  [
    "AwaitProcess",
    ({ processes }) =>
      processes.awaitProcess({
        processId,
        timeout: { seconds: -1n },
      }),
    ["timeout"],
  ],
  [
    "CompleteProcess",
    ({ processes }) => processes.completeProcess({ processId }),
    ["output", "proof"],
  ],
  [
    "CompleteProcess with a failure",
    ({ processes }) =>
      processes.completeProcess({
        processId,
        output: { output: { case: "failure", value: {} } },
        proof: { case: "authority", value: {} },
      }),
    ["authority", "output.failure.code", "output.failure.failure_class"],
  ],
  [
    "CancelProcess",
    ({ processes }) => processes.cancelProcess({ reason: "x".repeat(2_000) }),
    ["process_id", "reason"],
  ],
  ["AckWake", ({ processes }) => processes.ackWake({ processId }), ["sequence"]],
  [
    "WatchProcesses",
    ({ processes }) =>
      firstOf(() => processes.watchProcesses({ kind: "", labels: { "": "" } }, { signal })),
    ["kind", "labels"],
  ],
];

it.each(CALLS)("%s names every field that is wrong", async (_what, call, fields) => {
  const { reason, fields: found } = await refusalOf(call(clients));
  expect([reason, ...found.toSorted()]).toEqual(["INVALID_FIELD", ...fields.toSorted()]);
});

it("payloads and outputs over 1 MiB name the limit and both numbers", async () => {
  const fresh = clientsOf(deployment.url);
  const { processes } = fresh;
  const large = "x".repeat(1024 * 1024);
  await register(fresh, external(processId, { eventTypes: [plainType("a")] }));
  const refusals = await Promise.all([
    refusalOf(
      processes.registerProcess({
        registration: external("q", {
          input: { kind: { case: "external", value: { metadata: json(large) } } },
        }),
      }),
    ),
    refusalOf(processes.appendEvent({ processId, eventType: "a", payload: json(large) })),
    refusalOf(
      processes.completeProcess({
        processId,
        output: success(large),
        proof: ownerWord(),
      }),
    ),
  ]);
  for (const { reason, metadata } of refusals) {
    expect(reason).toBe("PAYLOAD_TOO_LARGE");
    expect(metadata["limitBytes"]).toBe("1048576");
    expect(Number(metadata["actualBytes"])).toBeGreaterThan(1_048_576);
  }
  expect(await historyOf(fresh, processId)).toEqual([]);
});

it("a page token of another list is refused", async () => {
  const { processes } = clients;
  const calls = [
    processes.listProcesses({ pageToken: "x" }),
    processes.listNonTerminal({ pageToken: "x" }),
    processes.recoverProcesses({ pageToken: "x" }),
    processes.pruneProcesses({ updatedBefore: { seconds: 1n }, pageToken: "x" }),
  ];
  for (const call of calls) expect((await refusalOf(call)).reason).toBe("PAGE_TOKEN_INVALID");
});
