// Waiting for the end of inputs: results, other ends, time, duplicates, many waiters at once.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbandonReason,
  InputState,
  RuntimeTerminationReason,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { executorOf, operationNews, prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const byId = (value: string) => ({ case: "inputId" as const, value });
const NOW = { seconds: 0n };

describe("an input that is waited for", () => {
  it("ends with the result of its run", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const executor = executorOf(clients, "r");
    const waiting = runtimes.ingestAndAwait({ runtimeId: "r", ensure: true, input: prompt("x") });
    await expect
      .poll(async () => (await runtimes.listRuntimes({})).runtimes.length, { timeout: 10_000 })
      .toBe(1);
    await executor.complete(await executor.takeRun(), "done");
    const { admission, completion, revision } = await waiting;
    expect(admission?.outcome.case).toBe("accepted");
    expect(revision).toBe(1n);
    expect(completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "done" } },
    });
  });

  it("is told to any number of waiters, and to those who come late", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const input = prompt("x", { inputId: "i", idempotencyKey: "k" });
    await runtimes.ingest({ runtimeId: "r", ensure: true, input });
    const early = Array.from({ length: 50 }, (_, index) =>
      runtimes.awaitInput({
        runtimeId: "r",
        target: index % 2 === 0 ? byId("i") : { case: "idempotencyKey", value: "k" },
      }),
    );
    const executor = executorOf(clients, "r");
    await executor.complete(await executor.takeRun(), "done");
    const late = await runtimes.awaitInput({ runtimeId: "r", target: byId("i") });
    const duplicate = await runtimes.ingestAndAwait({ runtimeId: "r", input });
    const answers = [...(await Promise.all(early)), late, duplicate];
    for (const { completion } of answers) {
      expect(completion?.outcome).toMatchObject({
        case: "completed",
        value: { result: { text: "done" } },
      });
    }
    expect(duplicate.admission?.outcome.case).toBe("deduplicated");
  });

  it("is pending when the time is up", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "i" });
    const timeout = { nanos: 50_000_000 };
    const first = await runtimes.ingestAndAwait({ runtimeId: "r", ensure: true, input, timeout });
    expect(first.completion?.outcome).toMatchObject({
      case: "pending",
      value: { state: InputState.QUEUED },
    });
    const target = byId("i");
    const asked = await runtimes.awaitInput({ runtimeId: "r", target, timeout: NOW });
    expect(asked.completion?.outcome.case).toBe("pending");
  });

  it("is pending shortly before the deadline of the call", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x");
    const request = { runtimeId: "r", ensure: true, input };
    const { completion } = await runtimes.ingestAndAwait(request, { timeoutMs: 1_500 });
    expect(completion?.outcome.case).toBe("pending");
  });

  it("is over without a result when it is consumed on accept", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const { completion } = await runtimes.ingestAndAwait({
      runtimeId: "r",
      ensure: true,
      input: operationNews(),
    });
    expect(completion?.outcome.case).toBe("completedWithoutResult");
  });

  it("is over when a later one takes its place", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("old", { inputId: "old", supersessionKey: "s" });
    const request = { runtimeId: "r", ensure: true, input };
    const waiting = runtimes.ingestAndAwait(request);
    await expect
      .poll(async () => (await runtimes.listRuntimes({})).runtimes.length, { timeout: 10_000 })
      .toBe(1);
    const newer = prompt("new", { inputId: "new", supersessionKey: "s" });
    await runtimes.ingest({ runtimeId: "r", input: newer });
    const { completion } = await waiting;
    expect(completion?.outcome).toMatchObject({
      case: "superseded",
      value: { byInputId: "new" },
    });
  });

  it("is told when its runtime is taken away", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt("x", { inputId: "i" }) });
    const waiting = runtimes.awaitInput({ runtimeId: "r", target: byId("i") });
    await runtimes.destroy({ runtimeId: "r" });
    const { completion } = await waiting;
    expect(completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.DESTROYED },
    });
  });

  it("waits on when its runtime was unregistered and comes back", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt("x", { inputId: "i" }) });
    const waiting = runtimes.awaitInput({ runtimeId: "r", target: byId("i") });
    await runtimes.unregisterRuntime({ runtimeId: "r" });
    const { completion } = await waiting;
    expect(completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.UNREGISTERED },
    });
    const again = runtimes.awaitInput({ runtimeId: "r", target: byId("i"), timeout: NOW });
    expect((await wireErrorOf(again)).reason).toBe("RUNTIME_NOT_REGISTERED");
    await runtimes.ensureRuntime({ runtimeId: "r" });
    const asked = await runtimes.awaitInput({ runtimeId: "r", target: byId("i"), timeout: NOW });
    expect(asked.completion?.outcome.case).toBe("pending");
  });

  it("is told why it was given up", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt("x", { inputId: "i" }) });
    const waiting = runtimes.awaitInput({ runtimeId: "r", target: byId("i") });
    const { runId, generation } = await executorOf(clients, "r").takeRun();
    const failure = { runtimeId: "r", runId, generation, error: "no luck", recoverable: false };
    await executors.failRun(failure);
    const { completion } = await waiting;
    expect(completion?.outcome).toMatchObject({
      case: "abandoned",
      value: { reason: AbandonReason.RUN_FAILED, detail: "no luck" },
    });
  });
});

describe("a wait that cannot be", () => {
  it("for an unknown input is refused", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r" });
    const error = await wireErrorOf(runtimes.awaitInput({ runtimeId: "r", target: byId("i") }));
    expect(error).toMatchObject({ code: Code.NotFound, reason: "INPUT_NOT_FOUND" });
  });

  it("for a rejected input is an error", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r" });
    await runtimes.stopRuntime({ runtimeId: "r" });
    const error = await wireErrorOf(
      runtimes.ingestAndAwait({ runtimeId: "r", input: prompt("x") }),
    );
    expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "INPUT_REJECTED" });
  });

  it("longer than the limit is refused", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const timeout = { seconds: 100_000n };
    const call = runtimes.awaitInput({ runtimeId: "r", target: byId("i"), timeout });
    expect((await wireErrorOf(call)).reason).toBe("INVALID_FIELD");
  });
});
