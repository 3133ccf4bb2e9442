// The process registry: how processes end, who may end them, and who is told.
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AbandonWriter, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import {
  engine,
  external,
  failure,
  historyOf,
  json,
  ownerWord,
  plainType,
  readProcess,
  register,
  success,
} from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { refusalFactsOf, wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const processId = "p";
const reconciled = {
  case: "authority",
  value: { authority: { case: "reconciledAbandon", value: {} } },
} as const;

function abandoned(writer: AbandonWriter = AbandonWriter.RECONCILED_REQUEST) {
  const owner = { ownerId: "worker", incarnationId: "1" };
  const foundAt = { seconds: 1_700_000_000n };
  return { output: { case: "abandoned", value: { writer, owner, foundAt } } } as const;
}

describe("a completion by the owner outside", () => {
  it("is idempotent, and refuses another output or another end", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId));
    const complete = (output: Parameters<typeof processes.completeProcess>[0]["output"] & object) =>
      processes.completeProcess({ processId, output, proof: ownerWord() });
    const first = await complete(success({ n: 1 }));
    expect(first).toMatchObject({ replayed: false, event: { eventType: "process.completed" } });
    expect(first.process).toMatchObject({ state: ProcessState.COMPLETED, end: { sequence: 1n } });
    const again = await complete(success({ n: 1 }));
    expect(again).toMatchObject({ replayed: true, event: { sequence: 1n } });
    expect(again.process).toEqual(first.process);
    const other = complete(success({ n: 2 }));
    expect(await wireErrorOf(other)).toMatchObject({ reason: "REPLAY_KEY_CONFLICT" });
    const opposite = complete(failure("late"));
    expect(await wireErrorOf(opposite)).toMatchObject({ reason: "PROCESS_TERMINAL" });
    expect(await historyOf(clients, processId)).toEqual([[1, "process.completed"]]);
    const unknown = processes.completeProcess({
      processId: "nobody",
      output: success(1),
      proof: ownerWord(),
    });
    expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  });

  it.each([
    ["a value", success([1, { a: null }]), ProcessState.COMPLETED],
    ["a failure", failure("timeout", "took too long"), ProcessState.FAILED],
    [
      "a cancellation",
      { output: { case: "cancelled", value: { message: "asked to", raw: json({ by: "x" }) } } },
      ProcessState.CANCELLED,
    ],
    ["an abandonment", abandoned(AbandonWriter.OWNER_DRAIN), ProcessState.ABANDONED],
  ] as const)("keeps %s as it was said", async (_name, output, state) => {
    const clients = clientsOf(deployment.url);
    await register(clients, external(processId));
    await clients.processes.completeProcess({ processId, output, proof: ownerWord() });
    const { outcome } = await clients.processes.awaitProcess({ processId });
    expect(outcome).toMatchObject({ case: "ended", value: { state, output, sequence: 1n } });
  });
});

describe("completion_authority_validated_against_disposition", () => {
  it("the owner outside cannot end what workers run", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const call = processes.completeProcess({ processId, output: success(1), proof: ownerWord() });
    expect(await wireErrorOf(call)).toMatchObject({ reason: "AUTHORITY_REFUSED" });
    expect(await historyOf(clients, processId)).toEqual([]);
  });

  it("a reconciled wish can only abandon, and only what somebody wished to abandon", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId));
    const end = (output: Parameters<typeof processes.completeProcess>[0]["output"] & object) =>
      processes.completeProcess({ processId, output, proof: reconciled });
    expect(await wireErrorOf(end(abandoned()))).toMatchObject({ reason: "AUTHORITY_REFUSED" });
    await processes.requestAbandon({ processId, requestedBy: "operator" });
    expect(await wireErrorOf(end(success(1)))).toMatchObject({ reason: "AUTHORITY_REFUSED" });
    const { process, event } = await end(abandoned());
    expect(process?.state).toBe(ProcessState.ABANDONED);
    expect(event?.authority?.authority.case).toBe("reconciledAbandon");
  });

  it("a plain event of a core type ends nothing, with or without a wish to abandon", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId));
    await processes.requestAbandon({ processId, requestedBy: "operator" });
    const outputs = [
      ["process.abandoned", { type: "abandoned", writer: "reconciled_request" }],
      ["process.completed", { type: "success", value: 1 }],
      ["process.failed", { type: "failure", class: "internal", code: "x", message: "" }],
      ["process.cancelled", { type: "cancelled", message: "" }],
    ] as const;
    for (const [eventType, output] of outputs) {
      const payload = json({ await_output: output });
      const append = processes.appendEvent({ processId, eventType, payload, replayKey: "end" });
      expect(await wireErrorOf(append)).toMatchObject({ reason: "AUTHORITY_REFUSED" });
    }
    expect(await historyOf(clients, processId)).toEqual([]);
    expect((await readProcess(clients, processId)).state).toBe(ProcessState.RUNNING);
  });

  it("reads_live_disposition_not_stale: one of two ends at two replicas counts", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      const names = Array.from({ length: 20 }, (_, index) => `p-${index}`);
      for (const name of names) {
        await register(one, external(name));
        await one.processes.requestAbandon({ processId: name, requestedBy: "operator" });
        // Both have it as live now; only one of them may go on believing that.
        expect((await readProcess(two, name)).state).toBe(ProcessState.RUNNING);
        const ends = [
          one.processes.completeProcess({
            processId: name,
            output: failure("x"),
            proof: ownerWord(),
          }),
          two.processes.completeProcess({
            processId: name,
            output: abandoned(),
            proof: reconciled,
          }),
        ];
        const reasons = await Promise.all(
          ends.map((end) =>
            end.then(
              () => "",
              async () => (await wireErrorOf(end)).reason,
            ),
          ),
        );
        expect(new Set(reasons)).toEqual(new Set(["", "PROCESS_TERMINAL"]));
        expect(await historyOf(two, name)).toHaveLength(1);
      }
    } finally {
      await database.close();
    }
  });

  it("a wish waits for the holder, and is told who that is and for how long", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const owner = { ownerId: "worker", incarnationId: "1" };
    await processes.claimLease({ processId, owner });
    await processes.requestAbandon({ processId, requestedBy: "operator" });
    const end = { processId, output: abandoned(), proof: reconciled };
    const { reason, metadata } = await refusalFactsOf(processes.completeProcess(end));
    expect(reason).toBe("LEASE_HELD");
    expect(metadata).toMatchObject({ ...owner, generation: "1" });
    expect(Number(metadata["remainingMs"])).toBeGreaterThan(0);
    expect(Number(metadata["remainingMs"])).toBeLessThanOrEqual(Number(metadata["ttlMs"]));
  });

  it("another owner's word for the same end is a conflict: it is kept with the event", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId));
    const output = success(1);
    await processes.completeProcess({ processId, output, proof: ownerWord("a") });
    const other = processes.completeProcess({ processId, output, proof: ownerWord("b") });
    expect(await wireErrorOf(other)).toMatchObject({ reason: "REPLAY_KEY_CONFLICT" });
  });
});

it("abandoned_terminal_round_trips_and_pins_writer_rules", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await register(clients, external(processId));
  await processes.requestAbandon({ processId, requestedBy: "operator" });
  await processes.completeProcess({ processId, output: abandoned(), proof: reconciled });
  const { end } = await readProcess(clients, processId);
  expect(end?.output?.output).toMatchObject(abandoned().output);
  const success1 = { processId, output: success(1), proof: ownerWord() };
  const late = processes.completeProcess(success1);
  expect(await wireErrorOf(late)).toMatchObject({ reason: "PROCESS_TERMINAL" });
  const wish = processes.requestAbandon({ processId, requestedBy: "x" });
  expect(await wireErrorOf(wish)).toMatchObject({ reason: "PROCESS_TERMINAL" });
  const updatedBefore = timestampFromMs(Date.now() + 60_000);
  const states = [ProcessState.ABANDONED];
  const pruned = await processes.pruneProcesses({ updatedBefore, states });
  expect(pruned.prunedProcessIds).toEqual([processId]);
});

describe("waiting for the end", () => {
  it("awaiter_prompt: all callers are told the same, also after a restart", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      await register(one, external(processId, { eventTypes: [plainType("a")] }));
      const waiting = Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? one : two).processes.awaitProcess({ processId }),
      );
      await one.processes.appendEvent({ processId, eventType: "a" });
      const output = success("done");
      await two.processes.completeProcess({ processId, output, proof: ownerWord() });
      const outcomes = (await Promise.all(waiting)).map(({ outcome }) => outcome);
      expect(outcomes[0]).toMatchObject({ case: "ended", value: { output, sequence: 2n } });
      for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
      const restarted = await database.restart();
      const { outcome } = await restarted.processes.awaitProcess({ processId });
      expect(outcome).toEqual(outcomes[0]);
    } finally {
      await database.close();
    }
  });

  it("awaiter_from_a_cursor: events to come or past, at either replica", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      await register(one, external(processId, { eventTypes: [plainType("a"), plainType("b")] }));
      await one.processes.appendEvent({ processId, eventType: "a" });
      const behind = { processId, eventType: "a", afterSequence: 1n };
      const waiting = Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? one : two).processes.waitEvent(behind),
      );
      await two.processes.appendEvent({ processId, eventType: "b" });
      await two.processes.appendEvent({ processId, eventType: "a", payload: json({ n: 3 }) });
      const told = (await Promise.all(waiting)).map(({ event }) => event);
      expect(told[0]).toMatchObject({ sequence: 3n, eventType: "a" });
      for (const event of told) expect(event).toEqual(told[0]);
      const restarted = await database.restart();
      expect((await restarted.processes.waitEvent(behind)).event).toEqual(told[0]);
      const next = restarted.processes.waitEvent({ ...behind, afterSequence: 3n });
      await restarted.processes.appendEvent({ processId, eventType: "a" });
      expect((await next).event?.sequence).toBe(4n);
    } finally {
      await database.close();
    }
  });

  it("is pending when the time is up, and refused for what nobody knows", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId, { eventTypes: [plainType("a")] }));
    await processes.appendEvent({ processId, eventType: "a" });
    const { outcome } = await processes.awaitProcess({ processId, timeout: {} });
    expect(outcome).toMatchObject({ case: "pending", value: { lastSequence: 1n } });
    const short = await processes.awaitProcess({ processId }, { timeoutMs: 400 });
    expect(short.outcome.case).toBe("pending");
    const unknown = processes.awaitProcess({ processId: "nobody" });
    expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  });
});
