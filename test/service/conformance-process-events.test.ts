// The process registry: events, their order, their keys and schemas, and the wakes they cause.
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ProcessEventType, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import {
  external,
  failure,
  historyOf,
  json,
  ownerWord,
  plainType,
  readProcess,
  register,
  wakeType,
} from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const processId = "p";

function append(
  { processes }: CaseClients,
  eventType: string,
  payload: JsonValue = null,
  more: { readonly replayKey?: string; readonly wakeRuntimeId?: string } = {},
) {
  return processes.appendEvent({ processId, eventType, payload: json(payload), ...more });
}

/** Registers the process of a case. */
async function withTypes(
  clients: CaseClients,
  eventTypes: Parameters<typeof external>[1] & object,
): Promise<void> {
  await register(clients, external(processId, eventTypes));
}

const wakeRuntimeId = "session-1";

const COUNT_SCHEMA = {
  type: "object",
  required: ["n"],
  properties: { n: { type: "integer" } },
};

it("validates_custom_events_and_materializes_wakes: schema, type, template", async () => {
  const clients = clientsOf(deployment.url);
  const template = {
    template: "{who} says {what}",
    fields: { who: "/who", what: "/what" },
  };
  await withTypes(clients, {
    wakeRuntimeId,
    eventTypes: [
      plainType("count", COUNT_SCHEMA),
      {
        name: "said",
        semantics: { wake: { input: { selector: { case: "template", value: template } } } },
      },
    ],
  });
  const bad = append(clients, "count", { n: "three" });
  expect(await wireErrorOf(bad)).toMatchObject({ reason: "PAYLOAD_SCHEMA_MISMATCH" });
  const undeclared = append(clients, "other");
  expect(await wireErrorOf(undeclared)).toMatchObject({ reason: "EVENT_TYPE_UNDECLARED" });
  expect((await append(clients, "count", { n: 3 })).event?.sequence).toBe(1n);
  const { event } = await append(clients, "said", { who: "she", what: [1, 2] });
  expect(event?.wake).toMatchObject({
    runtimeId: wakeRuntimeId,
    input: "she says [1,2]",
    dedupeKey: `${processId}:2`,
  });
  const unresolved = append(clients, "said", { who: "she" });
  expect(await wireErrorOf(unresolved)).toMatchObject({ reason: "SELECTOR_UNRESOLVED" });
  expect(await historyOf(clients, processId)).toEqual([
    [1, "count"],
    [2, "said"],
  ]);
});

it("custom_wake_events_preserve_typed_provenance_and_replay", async () => {
  const clients = clientsOf(deployment.url);
  await withTypes(clients, { wakeRuntimeId, eventTypes: [wakeType("process.wake")] });
  const value = { runtimeId: "r", runId: "run-7", callId: "call-1" };
  const request = {
    processId,
    eventType: "process.wake",
    payload: json({ text: "look" }),
    replayKey: "k",
    causedBy: { cause: { case: "run", value } as const },
  };
  const first = await clients.processes.appendEvent(request);
  expect(first.event?.causedBy?.cause).toMatchObject({ case: "run", value });
  const again = await clients.processes.appendEvent(request);
  expect(again.replayed).toBe(true);
  expect(again.event).toMatchObject({ sequence: 1n, causedBy: { cause: { value } } });
  expect(again.event?.wake?.wakeId).toBe(first.event?.wake?.wakeId);
});

it("event_streams_filter_order_and_wait_without_leaking_old_events", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await withTypes(clients, { eventTypes: [plainType("a"), plainType("b")] });
  for (const type of ["a", "b", "a"]) await append(clients, type, { type });
  const from = async (afterSequence: bigint, eventTypes: string[] = []) =>
    (await processes.listEvents({ processId, afterSequence, eventTypes })).events.map(
      (event) => event.sequence,
    );
  expect(await from(0n)).toEqual([1n, 2n, 3n]);
  expect(await from(1n)).toEqual([2n, 3n]);
  expect(await from(0n, ["a"])).toEqual([1n, 3n]);
  expect(await from(3n)).toEqual([]);
  const stored = await processes.waitEvent({ processId, eventType: "a", afterSequence: 1n });
  expect(stored.event?.sequence).toBe(3n);
  const look = { processId, eventType: "a", afterSequence: 3n };
  expect((await processes.waitEvent({ ...look, timeout: {} })).event).toBeUndefined();
  const waiting = processes.waitEvent(look);
  await append(clients, "b");
  await append(clients, "a", { late: true });
  expect((await waiting).event).toMatchObject({ sequence: 5n, eventType: "a" });
  const unknown = processes.waitEvent({ processId: "nobody", eventType: "a" });
  expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
});

describe("wake_semantics_matrix_materializes_declared_wakes", () => {
  const pointer = (value: string) => ({ selector: { case: "pointer", value } }) as const;
  const fixed = (value: JsonValue) =>
    ({ selector: { case: "fixed", value: json(value) } }) as const;
  const whole = { selector: { case: "payload", value: {} } } as const;
  const present = { selector: { case: "present", value: "/urgent" } } as const;
  type Wake = NonNullable<NonNullable<ProcessEventType["semantics"]>["wake"]>;

  it.each([
    ["a pointer that is falsy does not wake", { when: pointer("/go") }, { go: "" }, undefined],
    ["a present member wakes", { when: present }, { urgent: null }, '{"urgent":null}'],
    ["an absent member does not wake", { when: present }, {}, undefined],
    ["the whole payload is the input", { input: whole }, { n: 1 }, '{"n":1}'],
    ["a text is the input as it is", { input: pointer("/t") }, { t: "hi" }, "hi"],
    ["a fixed value is the input", { input: fixed("go on") }, {}, "go on"],
  ])("%s", async (_name, wake, payload: JsonValue, input) => {
    const clients = clientsOf(deployment.url);
    const type = { name: "t", semantics: { wake: wake as Partial<Wake> as Wake } };
    await withTypes(clients, { wakeRuntimeId, eventTypes: [type] });
    const { event } = await append(clients, "t", payload);
    expect(event?.wake?.input).toBe(input);
  });

  it("the key decides which wakes are the same one, also across processes", async () => {
    const clients = clientsOf(deployment.url);
    const dedupe = { key: { case: "selector", value: pointer("/topic") } } as const;
    const byTopic = { name: "topic", semantics: { wake: { dedupe } } };
    const always = { key: { case: "fixed", value: "one" } } as const;
    const byName = { name: "named", semantics: { wake: { dedupe: always } } };
    const eventTypes = [byTopic, byName];
    await register(clients, external("p", { wakeRuntimeId, eventTypes }));
    await register(clients, external("q", { wakeRuntimeId, eventTypes }));
    const wakeOf = async (id: string, eventType: string, topic: string) => {
      const payload = json({ topic });
      const { event } = await clients.processes.appendEvent({ processId: id, eventType, payload });
      return event?.wake?.wakeId;
    };
    const [first, same, other] = [
      await wakeOf("p", "topic", "a"),
      await wakeOf("q", "topic", "a"),
      await wakeOf("p", "topic", "b"),
    ];
    expect(first).toMatch(/^wake:[0-9a-f]{64}$/);
    expect(same).toBe(first);
    expect(other).not.toBe(first);
    expect(await wakeOf("q", "named", "x")).toBe(await wakeOf("p", "named", "y"));
  });
});

it("keyed_events_materialize_idempotent_wakes: another payload is refused", async () => {
  const clients = clientsOf(deployment.url);
  await withTypes(clients, { wakeRuntimeId, eventTypes: [wakeType("w")] });
  const first = await append(clients, "w", { text: "a" }, { replayKey: "k" });
  const again = await append(clients, "w", { text: "a" }, { replayKey: "k" });
  expect(again.event?.sequence).toBe(first.event?.sequence);
  expect(again.event?.wake?.wakeId).toBe(first.event?.wake?.wakeId);
  const changed = append(clients, "w", { text: "b" }, { replayKey: "k" });
  expect(await wireErrorOf(changed)).toMatchObject({ reason: "REPLAY_KEY_CONFLICT" });
  expect(await historyOf(clients, processId)).toEqual([[1, "w"]]);
});

it("wake_semantic_events_without_target: the event is stored and nobody is woken", async () => {
  const clients = clientsOf(deployment.url);
  await withTypes(clients, { eventTypes: [wakeType("w")] });
  const { event } = await append(clients, "w", { text: "a" });
  expect(event?.sequence).toBe(1n);
  expect(event?.wake).toBeUndefined();
  const named = await append(clients, "w", { text: "a" }, { wakeRuntimeId: "other" });
  expect(named.event?.wake?.runtimeId).toBe("other");
});

it("terminal_and_cancel_events_require_keys", async () => {
  const clients = clientsOf(deployment.url);
  const semantics = { terminal: { state: ProcessState.COMPLETED } };
  await withTypes(clients, { eventTypes: [{ name: "finished", semantics }] });
  for (const type of ["finished", "process.completed", "process.cancel_requested"]) {
    const payload = type === "process.cancel_requested" ? { reason: null } : { await_output: {} };
    const unkeyed = append(clients, type, payload);
    expect(await wireErrorOf(unkeyed)).toMatchObject({ reason: "REPLAY_KEY_REQUIRED" });
  }
  expect(await historyOf(clients, processId)).toEqual([]);
});

it("await_reads_terminal_materialized_output: what the declared event left", async () => {
  const clients = clientsOf(deployment.url);
  const semantics = {
    terminal: {
      state: ProcessState.COMPLETED,
      output: { selector: { case: "pointer", value: "/result" } as const },
    },
  };
  await withTypes(clients, { eventTypes: [{ name: "finished", semantics }] });
  const waiting = clients.processes.awaitProcess({ processId });
  await append(clients, "finished", { result: { rows: 3 } }, { replayKey: "end" });
  const { outcome } = await waiting;
  const output = outcome.case === "ended" ? outcome.value.output?.output : undefined;
  const value = output?.case === "success" ? output.value.value : undefined;
  expect(value && toJson(ValueSchema, value)).toEqual({ rows: 3 });
  const again = await clients.processes.awaitProcess({ processId });
  expect(again.outcome).toEqual(outcome);
});

it("ack_wake: acknowledged wakes are left out, of what is no wake nothing changes", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await withTypes(clients, { wakeRuntimeId, eventTypes: [wakeType("w"), plainType("a")] });
  for (const type of ["w", "a", "w"]) await append(clients, type, { text: type });
  const sequences = async () =>
    (await processes.listWakeEvents({ processId })).events.map((event) => event.sequence);
  expect(await sequences()).toEqual([1n, 3n]);
  await processes.ackWake({ processId, sequence: 1n });
  const { revision } = await processes.ackWake({ processId, sequence: 1n });
  expect(await processes.ackWake({ processId, sequence: 2n })).toMatchObject({ revision });
  expect(await processes.ackWake({ processId, sequence: 99n })).toMatchObject({ revision });
  expect(await sequences()).toEqual([3n]);
  const { events } = await processes.listEvents({ processId });
  expect(events.map((event) => event.wake?.acknowledged)).toEqual([true, undefined, false]);
  const unknown = processes.ackWake({ processId: "nobody", sequence: 1n });
  expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
});

it("count_and_recent_events_match_the_log: an inclusive bound, and the tail", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await withTypes(clients, { eventTypes: [plainType("a"), plainType("b")] });
  for (const type of ["a", "b", "a", "a", "b"]) await append(clients, type);
  const { eventCounts } = await readProcess(clients, processId);
  expect(eventCounts).toEqual({ a: 3n, b: 2n });
  const through = await processes.listEvents({
    processId,
    throughSequence: 3n,
    eventTypes: ["a"],
  });
  expect(through.events.map((event) => event.sequence)).toEqual([1n, 3n]);
  expect(through).toMatchObject({ isEnd: true, lastSequence: 5n });
  const recent = await processes.listEvents({ processId, latest: true, pageSize: 2 });
  expect(recent.events.map((event) => event.sequence)).toEqual([4n, 5n]);
  const lastOf = async (eventTypes: string[], throughSequence?: bigint) => {
    const some = { processId, eventTypes, latest: true, pageSize: 2 };
    const page = await processes.listEvents({
      ...some,
      ...(throughSequence === undefined ? {} : { throughSequence }),
    });
    return [page.events.map((event) => event.sequence), page.isEnd];
  };
  expect(await lastOf(["a"])).toEqual([[3n, 4n], true]);
  expect(await lastOf(["b"], 3n)).toEqual([[2n], true]);
  expect(await lastOf(["c"])).toEqual([[], true]);
});

it("cancel_requested: a reason is one event, another is another, also when over", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await withTypes(clients, {});
  const first = await processes.cancelProcess({ processId, reason: "enough" });
  expect(first.event).toMatchObject({ sequence: 1n, eventType: "process.cancel_requested" });
  const same = await processes.cancelProcess({ processId, reason: "enough" });
  expect(same.event?.sequence).toBe(1n);
  const other = await processes.cancelProcess({ processId });
  expect(other.event?.sequence).toBe(2n);
  expect(other.process?.cancelRequest).toMatchObject({ reason: "enough", sequence: 1n });
  await processes.completeProcess({ processId, output: failure("x"), proof: ownerWord() });
  const late = await processes.cancelProcess({ processId, reason: "late" });
  expect(late.process?.state).toBe(ProcessState.FAILED);
});

it("events of two replicas stand in one order without gaps", async () => {
  const database = openSharedDatabase();
  try {
    const [one, two] = [await database.serve(), await database.serve()];
    await register(one, external(processId, { eventTypes: [plainType("a")] }));
    const waiting = two.processes.waitEvent({ processId, eventType: "a", afterSequence: 39n });
    const appends = Array.from({ length: 40 }, (_, index) =>
      append(index % 2 === 0 ? one : two, "a", index, { replayKey: `key-${index}` }),
    );
    const sequences = (await Promise.all(appends)).map(({ event }) => Number(event?.sequence));
    expect(sequences.toSorted((left, right) => left - right)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    expect((await waiting).event?.sequence).toBe(40n);
  } finally {
    await database.close();
  }
});
