// Ingest, one by one and in batches: outcomes, idempotency, limits and errors, by every protocol.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/keelson/errors/v1/errors_pb.ts";
import {
  HandlingMode,
  InputDurability,
  InputLane,
  InputState,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { clientsOf, type Deployment, openDeployment, type Protocol } from "./support/deployment.ts";
import { operationNews, prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const PROTOCOLS: readonly Protocol[] = ["connect", "grpc", "grpc-web"];

describe.each(PROTOCOLS)("over %s", (protocol) => {
  it("an input is admitted, and its repetition is recognised by its key", async () => {
    const { runtimes } = clientsOf(deployment.url, protocol);
    const input = prompt("hello", { idempotencyKey: "k-1" });
    const first = await runtimes.ingest({ runtimeId: "agent", ensure: true, input });
    expect(first.outcome.case).toBe("accepted");
    expect(first.durable).toBe(true);
    const again = await runtimes.ingest({ runtimeId: "agent", input });
    expect(again.outcome).toMatchObject({ case: "deduplicated", value: { sameContent: true } });
    expect(again.revision).toBe(first.revision);
  });

  it("an error carries its reason", async () => {
    const { runtimes } = clientsOf(deployment.url, protocol);
    const error = await wireErrorOf(runtimes.ingest({ runtimeId: "nobody", input: prompt("x") }));
    expect(error).toMatchObject({ code: Code.NotFound, reason: "RUNTIME_NOT_REGISTERED" });
  });
});

describe("one input", () => {
  it("is told with its policy, its lane and its first step", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const header = { inputId: "i-1", correlationId: "c-1", labels: { a: "b" } };
    const input = prompt("hello", header);
    const { outcome, revision } = await runtimes.ingest({ runtimeId: "r", ensure: true, input });
    if (outcome.case !== "accepted") throw new Error("was not accepted");
    const { inputId, policy, input: status } = outcome.value;
    expect(inputId).toBe("i-1");
    expect(policy?.policyVersion).toBe(1);
    expect(status).toMatchObject({
      inputId: "i-1",
      state: InputState.QUEUED,
      lane: InputLane.QUEUE,
      correlationId: "c-1",
      admittedRevision: revision,
      attemptCount: 0,
    });
    expect(status?.history).toMatchObject([
      {
        fromState: InputState.ACCEPTED,
        toState: InputState.QUEUED,
        reason: "queue_accepted",
        revision,
      },
    ]);
  });

  it("with an id that is known already is a duplicate, also with other content", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const send = (text: string) =>
      runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt(text, { inputId: "i" }) });
    await send("one");
    const { outcome } = await send("two");
    expect(outcome).toMatchObject({
      case: "deduplicated",
      value: { existingId: "i", sameContent: false },
    });
  });

  it("that is consumed on accept has no lane", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = operationNews({ inputId: "i" });
    const { outcome } = await runtimes.ingest({ runtimeId: "r", ensure: true, input });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: { input: { state: InputState.CONSUMED, lane: InputLane.UNSPECIFIED } },
    });
  });

  it("that is ephemeral is answered before its commit, and found after it", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r" });
    const input = prompt("x", { inputId: "i", durability: InputDurability.EPHEMERAL });
    const answer = await runtimes.ingest({ runtimeId: "r", input });
    expect(answer).toMatchObject({ durable: false, revision: 0n });
    expect(answer.outcome).toMatchObject({
      case: "accepted",
      value: { input: { admittedRevision: 0n } },
    });
    await expect
      .poll(async () => {
        const found = await runtimes.listInputs({ runtimeId: "r" });
        return found.inputs.map((status) => status.inputId);
      })
      .toEqual(["i"]);
  });

  it("to a retired runtime is rejected, and its key is not used up", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r" });
    await runtimes.retire({ runtimeId: "r" });
    const input = prompt("x", { idempotencyKey: "k" });
    const { outcome } = await runtimes.ingest({ runtimeId: "r", input });
    expect(outcome).toMatchObject({
      case: "rejected",
      value: { reason: { case: "notReady", value: { state: RuntimeState.RETIRED } } },
    });
    await runtimes.recycle({ runtimeId: "r" });
    const retried = await runtimes.ingest({ runtimeId: "r", input });
    expect(retried.outcome.case).toBe("accepted");
  });

  it("whose durability does not go with its source is rejected", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x", { durability: InputDurability.DERIVED });
    const { outcome } = await runtimes.ingest({ runtimeId: "r", ensure: true, input });
    expect(outcome).toMatchObject({
      case: "rejected",
      value: { reason: { case: "durabilityViolation" } },
    });
  });

  it("repeated with the same request id gets the same answer, with another body none", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const request = { runtimeId: "r", ensure: true, input: prompt("x"), requestId: "q" };
    const first = await runtimes.ingest(request);
    const again = await runtimes.ingest(request);
    expect(again).toEqual(first);
    const other = { ...request, input: prompt("y") };
    const error = await wireErrorOf(runtimes.ingest(other));
    expect(error).toMatchObject({ code: Code.AlreadyExists, reason: "REQUEST_ID_REUSED" });
  });

  it("that is wrong is refused as such, also with a request id", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const value = { kind: { case: "numberValue", value: Number.NaN } } as const;
    const event = { eventType: "e", payload: value };
    const input = { kind: { case: "externalEvent", value: event } } as const;
    const call = runtimes.ingest({ runtimeId: "r", ensure: true, input, requestId: "q" });
    expect(await wireErrorOf(call)).toMatchObject({
      code: Code.InvalidArgument,
      reason: "INVALID_FIELD",
    });
  });

  it("over 1 MiB is refused", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x".repeat(1024 * 1024));
    const error = await wireErrorOf(runtimes.ingest({ runtimeId: "r", ensure: true, input }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "PAYLOAD_TOO_LARGE" });
  });

  it("for a full queue is refused with the advice to come back", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r", config: { queueLimit: 1 } });
    await runtimes.ingest({ runtimeId: "r", input: prompt("one") });
    const error = await wireErrorOf(runtimes.ingest({ runtimeId: "r", input: prompt("two") }));
    expect(error).toEqual({
      code: Code.ResourceExhausted,
      reason: "QUEUE_FULL",
      hasRetryDelay: true,
    });
  });

  it("in one namespace is not seen from another", async () => {
    const here = clientsOf(deployment.url);
    const there = clientsOf(deployment.url);
    await here.runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt("x") });
    const error = await wireErrorOf(there.runtimes.getRuntime({ runtimeId: "r" }));
    expect(error.reason).toBe("RUNTIME_NOT_REGISTERED");
  });
});

describe("a batch", () => {
  it("keeps the order of each runtime and an outcome for each item", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const items = Array.from({ length: 100 }, (_, index) => ({
      runtimeId: `r-${index % 3}`,
      ensure: true,
      input: prompt(`text ${index}`, { inputId: `i-${index}` }),
    }));
    const { results } = await runtimes.ingestBatch({ items });
    expect(results.map((result) => result.outcome.case)).toEqual(items.map(() => "accepted"));
    const { inputs } = await runtimes.listInputs({ runtimeId: "r-1" });
    expect(inputs.map((status) => status.inputId)).toEqual(
      items.filter((item) => item.runtimeId === "r-1").map((item) => item.input.inputId),
    );
  });

  it("goes on behind an item that is wrong", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r" });
    const { results } = await runtimes.ingestBatch({
      items: [
        { runtimeId: "r", input: prompt("good") },
        { runtimeId: "r", input: {} },
        { runtimeId: "nobody", input: prompt("lost") },
        { runtimeId: "r", input: prompt("also good") },
      ],
    });
    const [first, second, third, fourth] = results.map((result) => result.outcome);
    expect([first?.case, fourth?.case]).toEqual(["accepted", "accepted"]);
    expect(second).toMatchObject({
      case: "error",
      value: {
        code: Code.InvalidArgument,
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "input.kind" }],
      },
    });
    expect(third).toMatchObject({
      case: "error",
      value: { code: Code.NotFound, reason: ErrorReason.RUNTIME_NOT_REGISTERED },
    });
  });

  it("repeated with its request id changes nothing", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const items = ["one", "two"].map((text) => ({
      runtimeId: "r",
      ensure: true,
      input: prompt(text),
    }));
    const first = await runtimes.ingestBatch({ items, requestId: "b" });
    const again = await runtimes.ingestBatch({ items, requestId: "b" });
    expect(again).toEqual(first);
    const { runtime } = await runtimes.getRuntime({ runtimeId: "r" });
    expect(runtime?.inputCounts?.accepted).toBe(2n);
  });

  it("of 1,001 items is refused, and so is an empty one", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const item = { runtimeId: "r", ensure: true, input: prompt("x") };
    const items = Array.from({ length: 1_001 }, () => item);
    const large = await wireErrorOf(runtimes.ingestBatch({ items }));
    expect(large).toMatchObject({ code: Code.InvalidArgument, reason: "BATCH_TOO_LARGE" });
    const empty = await wireErrorOf(runtimes.ingestBatch({ items: [] }));
    expect(empty).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_FIELD" });
  });

  it("over 4 MiB is refused as a whole", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const item = { runtimeId: "r", ensure: true, input: prompt("x".repeat(1_000_000)) };
    const error = await wireErrorOf(runtimes.ingestBatch({ items: Array(5).fill(item) as [] }));
    expect(error.reason).toBe("BATCH_TOO_LARGE");
    expect((await wireErrorOf(runtimes.getRuntime({ runtimeId: "r" }))).code).toBe(Code.NotFound);
  });
});

describe("steering", () => {
  it("goes to its own lane", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const handlingMode = HandlingMode.STEER;
    const { outcome } = await runtimes.ingest({
      runtimeId: "r",
      ensure: true,
      input: { kind: { case: "continuation", value: { reason: "go on", handlingMode } } },
    });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: { input: { lane: InputLane.STEER } },
    });
    const { runtime } = await runtimes.getRuntime({ runtimeId: "r" });
    expect([runtime?.queueDepth, runtime?.steerDepth]).toEqual([0, 1]);
  });
});
