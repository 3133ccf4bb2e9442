// The process registry: registrations, their hashes, and the record besides its events.
import { afterAll, beforeAll, expect, it } from "vitest";
import { ProcessDisposition, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import { RegistryDurability } from "../../gen/keelson/process/v1/service_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import {
  engine,
  external,
  failure,
  json,
  ownerWord,
  plainType,
  readProcess,
  register,
  success,
} from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

it("reports_declared_durability: what the server keeps, with its limits", async () => {
  const { processes, admin } = clientsOf(deployment.url);
  const info = await processes.getRegistryInfo({});
  const { database } = await admin.getServerInfo({});
  const isMemory = database?.version === "";
  const { INLINE, DURABLE } = RegistryDurability;
  expect(info.durability).toBe(isMemory ? INLINE : DURABLE);
  expect(info.limits).toMatchObject({ payloadBytesMax: 1024 * 1024, pageSizeMax: 1000 });
});

it("registration_is_idempotent_and_hash_conflicts_fail", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const registration = engine("p", { eventTypes: [plainType("step")], labels: { team: "a" } });
  const first = await processes.registerProcess({ registration });
  expect(first.created).toBe(true);
  expect(first.process).toMatchObject({
    processId: "p",
    state: ProcessState.RUNNING,
    disposition: ProcessDisposition.RERUNNABLE,
    identity: { kind: "indexer", label: "", definition: "" },
    envRef: "sandbox",
    labels: { team: "a" },
    claimable: true,
  });
  expect(first.process?.registrationHash).toMatch(/^[0-9a-f]{64}$/);
  const again = await processes.registerProcess({ registration });
  expect(again).toMatchObject({ created: false, revision: first.revision });
  expect(again.process).toEqual(first.process);
  const other = { ...registration, labels: { team: "b" } };
  const conflict = await wireErrorOf(processes.registerProcess({ registration: other }));
  expect(conflict).toMatchObject({ reason: "REGISTRATION_HASH_CONFLICT" });
  await register(clients, external("x"));
  await processes.completeProcess({ processId: "x", output: success(1), proof: ownerWord() });
  const ended = await processes.registerProcess({ registration: external("x") });
  expect(ended.created).toBe(false);
  expect(ended.process).toEqual(await readProcess(clients, "x"));
});

it("the core types are part of what is hashed, and order of types is not", async () => {
  const clients = clientsOf(deployment.url);
  const types = [plainType("a"), plainType("b")];
  const { registrationHash, eventTypes } = await register(
    clients,
    engine("p", { eventTypes: types }),
  );
  expect(eventTypes.map((type) => type.name)).toEqual([
    "a",
    "b",
    "process.abandoned",
    "process.cancel_requested",
    "process.cancelled",
    "process.completed",
    "process.failed",
  ]);
  const turned = engine("p", { eventTypes: types.toReversed() });
  expect((await register(clients, turned)).registrationHash).toBe(registrationHash);
});

it("a process is named after what it works on unless it is told its name", async () => {
  const clients = clientsOf(deployment.url);
  const tool = { toolName: "search", callId: "c1", arguments: json({ q: "x" }) };
  const turn = { sessionId: "child", purpose: "reviewer" };
  const named = await Promise.all([
    register(clients, engine("e")),
    register(clients, engine("t", { input: { kind: { case: "toolCall", value: tool } } })),
    register(clients, external("s", { input: { kind: { case: "sessionTurn", value: turn } } })),
    register(clients, external("x")),
    register(clients, external("y", { identity: { kind: "build", label: "nightly" } })),
  ]);
  expect(named.map(({ identity }) => [identity?.kind, identity?.label])).toEqual([
    ["indexer", ""],
    ["tool", "search"],
    ["session_turn", "reviewer"],
    ["external", "a thing"],
    ["build", "nightly"],
  ]);
  expect(named[1].input?.kind).toMatchObject({ case: "toolCall", value: tool });
});

it("external_refs: unknown processes fail, written once with its metadata", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const externalRef = { backend: "ci", externalId: "42", metadata: json({ url: "https://ci" }) };
  const unknown = processes.setExternalRef({ processId: "nobody", externalRef });
  expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  await register(clients, external("p"));
  const set = await processes.setExternalRef({ processId: "p", externalRef });
  expect(set.process?.externalRef).toMatchObject(externalRef);
  const same = await processes.setExternalRef({ processId: "p", externalRef });
  expect(same.revision).toBe(set.revision);
  const other = { ...externalRef, metadata: json({ url: "https://elsewhere" }) };
  const changed = processes.setExternalRef({ processId: "p", externalRef: other });
  expect(await wireErrorOf(changed)).toMatchObject({ reason: "EXTERNAL_REF_CONFLICT" });
  expect((await readProcess(clients, "p")).externalRef).toMatchObject(externalRef);
});

it("wait_state_round_trips_filters_and_clears_on_terminal", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await register(clients, external("p", { eventTypes: [plainType("signal.go")] }));
  await register(clients, external("q"));
  const wait = { signalName: "go", eventType: "signal.go", key: "k", ordinal: 1n };
  const set = await processes.setProcessWait({ processId: "p", wait });
  expect(set.process?.wait).toMatchObject(wait);
  const waiting = await processes.listProcesses({ filter: { waiting: true } });
  expect(waiting.processes.map((process) => process.processId)).toEqual(["p"]);
  const sweep = await processes.listNonTerminal({});
  expect(sweep.processes.map((process) => process.processId)).toEqual(["p", "q"]);
  const cleared = await processes.setProcessWait({ processId: "p" });
  expect(cleared.process?.wait).toBeUndefined();
  await processes.setProcessWait({ processId: "p", wait });
  await processes.completeProcess({ processId: "p", output: failure("x"), proof: ownerWord() });
  expect((await readProcess(clients, "p")).wait).toBeUndefined();
  const late = processes.setProcessWait({ processId: "p", wait });
  expect(await wireErrorOf(late)).toMatchObject({ reason: "PROCESS_TERMINAL" });
});

it("an abandon request is kept once, and refused for what is unknown or over", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const wish = (processId: string, requestedBy: string) =>
    processes.requestAbandon({ processId, requestedBy, reason: "stuck" });
  expect(await wireErrorOf(wish("nobody", "a"))).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  await register(clients, external("p"));
  await wish("p", "first");
  const second = await wish("p", "second");
  expect(second.process?.abandonRequest).toMatchObject({ requestedBy: "first", reason: "stuck" });
  await processes.completeProcess({ processId: "p", output: success(null), proof: ownerWord() });
  expect(await wireErrorOf(wish("p", "c"))).toMatchObject({ reason: "PROCESS_TERMINAL" });
});

it("process_registry_survives_reopen: everything that was acknowledged is there", async () => {
  const database = openSharedDatabase();
  try {
    const before = await database.serve();
    const { processes } = before;
    await register(before, external("p", { eventTypes: [plainType("step")] }));
    await processes.setExternalRef({
      processId: "p",
      externalRef: { backend: "ci", externalId: "1" },
    });
    for (const replayKey of ["a", "b"]) {
      await processes.appendEvent({ processId: "p", eventType: "step", replayKey });
    }
    await register(before, external("done"));
    await processes.completeProcess({
      processId: "done",
      output: success({ answer: 42 }),
      proof: ownerWord(),
    });
    const records = [await readProcess(before, "p"), await readProcess(before, "done")];
    const { events } = await processes.listEvents({ processId: "p" });
    const after = await database.restart();
    expect([await readProcess(after, "p"), await readProcess(after, "done")]).toEqual(records);
    expect((await after.processes.listEvents({ processId: "p" })).events).toEqual(events);
    const replayed = await after.processes.appendEvent({
      processId: "p",
      eventType: "step",
      replayKey: "a",
    });
    expect(replayed).toMatchObject({ replayed: true, event: { sequence: 1n } });
    const ended = await after.processes.awaitProcess({ processId: "done" });
    expect(ended.outcome).toMatchObject({ case: "ended", value: records[1]?.end });
  } finally {
    await database.close();
  }
});
