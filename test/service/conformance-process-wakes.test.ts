// The process registry: events that wake a runtime, what they say, and how they get there.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ProcessEventTypeSchema,
  WakeDeliveryState,
  WakeDeferralCause,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { external, historyOf, json, register, wakeType } from "./support/processes.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

type EventType = MessageInitShape<typeof ProcessEventTypeSchema>;

const RUNTIME = "session-a";
const WAKES_SOON = { timeout: 10_000 };

/** A process whose wakes go to the runtime. */
async function waking(
  clients: CaseClients,
  processId: string,
  ...eventTypes: readonly EventType[]
): Promise<void> {
  await register(
    clients,
    external(processId, { eventTypes: [...eventTypes], wakeRuntimeId: RUNTIME }),
  );
}

/** The inputs of the runtime that wakes became, by their keys, with their texts. */
async function wakesAt(
  { runtimes }: CaseClients,
  runtimeId = RUNTIME,
): Promise<readonly (readonly [key: string, text: unknown])[]> {
  const { inputs } = await runtimes.listInputs({ runtimeId });
  return await Promise.all(
    inputs.map(async ({ inputId, idempotencyKey }) => {
      const target = { case: "inputId", value: inputId } as const;
      const { input } = await runtimes.getInput({ runtimeId, target, includePayload: true });
      const kind = input?.input?.kind;
      const event = kind?.case === "externalEvent" ? kind.value : undefined;
      return [idempotencyKey, event?.payload] as const;
    }),
  );
}

async function wakeEvents({ processes }: CaseClients, processId: string) {
  const { events } = await processes.listWakeEvents({ processId });
  return events;
}

async function deliveries(clients: CaseClients, processId: string) {
  return (await wakeEvents(clients, processId)).map(({ wake }) => wake?.state);
}

function append(
  { processes }: CaseClients,
  processId: string,
  text: string,
  changes: Readonly<Record<string, string>> = {},
) {
  const payload = json({ text });
  return processes.appendEvent({ processId, eventType: "news", payload, ...changes });
}

describe("wakes", () => {
  it("validates_custom_events_and_materializes_wakes", async () => {
    const clients = clientsOf(deployment.url);
    const { processes, runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId: RUNTIME });
    const schema = { type: "object", required: ["name"], properties: { name: { type: "string" } } };
    const template = {
      template: "{name} is {state}",
      fields: { name: "/name", state: "/state" },
    } as const;
    const input = { selector: { case: "template", value: template } } as const;
    await waking(clients, "p", {
      name: "named",
      payloadSchema: json(schema),
      semantics: { wake: { input } },
    });
    const invalid = processes.appendEvent({
      processId: "p",
      eventType: "named",
      payload: json({}),
    });
    expect(await refusalOf(invalid)).toMatchObject({ reason: "PAYLOAD_SCHEMA_MISMATCH" });
    const undeclared = processes.appendEvent({ processId: "p", eventType: "other" });
    expect(await refusalOf(undeclared)).toMatchObject({ reason: "EVENT_TYPE_UNDECLARED" });
    const payload = json({ name: "build", state: "ready" });
    const { event } = await processes.appendEvent({ processId: "p", eventType: "named", payload });
    expect(event?.wake).toMatchObject({ runtimeId: RUNTIME, input: "build is ready" });
    await expect
      .poll(() => deliveries(clients, "p"), WAKES_SOON)
      .toEqual([WakeDeliveryState.DELIVERED]);
    expect(await wakesAt(clients)).toMatchObject([["process:p:event:1:wake", {}]]);
  });

  it("custom_wake_events_preserve_typed_provenance_and_replay", async () => {
    const clients = clientsOf(deployment.url);
    const { processes, runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId: RUNTIME });
    await waking(clients, "p", wakeType("news"));
    const causedBy = {
      cause: { case: "run", value: { runtimeId: RUNTIME, runId: "run-1", callId: "call-1" } },
    } as const;
    const call = {
      processId: "p",
      eventType: "news",
      payload: json({ text: "done" }),
      replayKey: "key-1",
      causedBy,
    };
    const first = await processes.appendEvent(call);
    expect(first).toMatchObject({ replayed: false, event: { causedBy, replayKey: "key-1" } });
    await expect
      .poll(() => deliveries(clients, "p"), WAKES_SOON)
      .toEqual([WakeDeliveryState.DELIVERED]);
    const again = await processes.appendEvent(call);
    expect(again.replayed).toBe(true);
    expect(again.event?.wake?.wakeId).toBe(first.event?.wake?.wakeId);
    const [event] = await wakeEvents(clients, "p");
    expect(event).toMatchObject({ sequence: 1n, causedBy, wake: { acknowledged: false } });
    const inputs = (await runtimes.listInputs({ runtimeId: RUNTIME })).inputs;
    expect(inputs.map((input) => input.inputId)).toEqual([event?.wake?.inputId]);
    await processes.ackWake({ processId: "p", sequence: 1n });
    expect(await wakeEvents(clients, "p")).toEqual([]);
  });

  it("wake_semantics_matrix_materializes_declared_wakes", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const payloadSelector = { selector: { case: "payload", value: {} } } as const;
    const when = { selector: { case: "pointer", value: "/urgent" } } as const;
    const byTopic = {
      key: { case: "selector", value: { selector: { case: "pointer", value: "/topic" } } },
    } as const;
    const fixedText = { selector: { case: "fixed", value: json("look") } } as const;
    const types: readonly EventType[] = [
      { name: "when", semantics: { wake: { when, input: payloadSelector } } },
      { name: "whole", semantics: { wake: {} } },
      { name: "fixed", semantics: { wake: { input: fixedText } } },
      { name: "topic", semantics: { wake: { dedupe: byTopic } } },
      { name: "once", semantics: { wake: { dedupe: { key: { case: "fixed", value: "only" } } } } },
    ];
    await waking(clients, "p", ...types);
    await waking(clients, "q", ...types);
    async function wakeOf(eventType: string, payload: Parameters<typeof json>[0], processId = "p") {
      const call = { processId, eventType, payload: json(payload) };
      return (await processes.appendEvent(call)).event?.wake;
    }
    expect(await wakeOf("when", { urgent: false })).toBeUndefined();
    expect((await wakeOf("when", { urgent: 0 }))?.input).toBe('{"urgent":0}');
    expect((await wakeOf("whole", "plain"))?.input).toBe("plain");
    expect((await wakeOf("fixed", {}))?.input).toBe("look");
    const identities = [await wakeOf("whole", 1), await wakeOf("whole", 1)];
    expect(new Set(identities.map((wake) => wake?.wakeId)).size).toBe(2);
    const topics = [
      await wakeOf("topic", { topic: "a" }),
      await wakeOf("topic", { topic: "a", more: true }),
      await wakeOf("topic", { topic: "a" }, "q"),
      await wakeOf("topic", { topic: "b" }),
    ];
    expect(new Set(topics.map((wake) => wake?.wakeId)).size).toBe(2);
    const once = [await wakeOf("once", 1), await wakeOf("once", 2, "q")];
    expect(once[0]?.wakeId).toBe(once[1]?.wakeId);
  });

  it("keyed_events_materialize_idempotent_wakes", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId: RUNTIME });
    await waking(clients, "p", wakeType("news"));
    const first = await append(clients, "p", "one", { replayKey: "key-1" });
    const again = await append(clients, "p", "one", { replayKey: "key-1" });
    expect(again.event?.sequence).toBe(first.event?.sequence);
    const changed = await refusalOf(append(clients, "p", "two", { replayKey: "key-1" }));
    expect(changed).toMatchObject({ reason: "REPLAY_KEY_CONFLICT" });
    await expect
      .poll(() => deliveries(clients, "p"), WAKES_SOON)
      .toEqual([WakeDeliveryState.DELIVERED]);
    expect(await wakesAt(clients)).toHaveLength(1);
  });

  it("wake_semantic_events_without_target_are_kept_and_wake_nobody", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, external("p", { eventTypes: [wakeType("news")] }));
    const { event } = await append(clients, "p", "one");
    expect(event?.wake).toBeUndefined();
    expect(await historyOf(clients, "p")).toEqual([[1, "news"]]);
    expect(await wakeEvents(clients, "p")).toEqual([]);
  });

  it("a wake is an input of its runtime, once and in order", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId: RUNTIME });
    await runtimes.ensureRuntime({ runtimeId: "elsewhere" });
    await waking(clients, "p", wakeType("news"));
    for (const text of ["one", "two", "three"]) await append(clients, "p", text);
    await append(clients, "p", "four", { wakeRuntimeId: "elsewhere" });
    await expect
      .poll(() => deliveries(clients, "p"), WAKES_SOON)
      .toEqual(Array.from({ length: 4 }, () => WakeDeliveryState.DELIVERED));
    const keys = (await wakesAt(clients)).map(([key]) => key);
    expect(keys).toEqual([1, 2, 3].map((sequence) => `process:p:event:${sequence}:wake`));
    const [[key, payload] = []] = await wakesAt(clients, "elsewhere");
    expect(key).toBe("process:p:event:4:wake");
    expect(payload).toMatchObject(
      json({ processId: "p", sequence: 4, eventType: "news", dedupeKey: "p:4", text: "four" }),
    );
  });

  it("a missing target is waited for, and the wake says why it waits", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await waking(clients, "p", wakeType("news"));
    await append(clients, "p", "early");
    await expect
      .poll(async () => (await wakeEvents(clients, "p"))[0]?.wake, WAKES_SOON)
      .toMatchObject({
        state: WakeDeliveryState.PENDING,
        deferral: { cause: WakeDeferralCause.NOT_REGISTERED },
      });
    await runtimes.ensureRuntime({ runtimeId: RUNTIME });
    await expect
      .poll(() => deliveries(clients, "p"), { timeout: 20_000 })
      .toEqual([WakeDeliveryState.DELIVERED]);
    const [event] = await wakeEvents(clients, "p");
    expect(event?.wake?.deferral).toBeUndefined();
    expect(await wakesAt(clients)).toHaveLength(1);
  });

  it("a target that is gone is told, and hinders no other", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, processes } = clients;
    for (const runtimeId of [RUNTIME, "destroyed", "deleted"]) {
      await runtimes.ensureRuntime({ runtimeId });
    }
    await runtimes.destroy({ runtimeId: "destroyed" });
    await processes.deleteSessionProcessState({ sessionId: "deleted" });
    await waking(clients, "p", wakeType("news"));
    await append(clients, "p", "one", { wakeRuntimeId: "destroyed" });
    await append(clients, "p", "two", { wakeRuntimeId: "deleted" });
    await append(clients, "p", "three");
    await expect
      .poll(() => deliveries(clients, "p"), WAKES_SOON)
      .toEqual([
        WakeDeliveryState.TARGET_GONE,
        WakeDeliveryState.TARGET_GONE,
        WakeDeliveryState.DELIVERED,
      ]);
    expect(await wakesAt(clients, "deleted")).toEqual([]);
  });
});
