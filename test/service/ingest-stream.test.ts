// IngestStream: many inputs in flight, answers in order per runtime, and its end.
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ErrorReason } from "../../gen/keelson/errors/v1/errors_pb.ts";
import type { IngestStreamResponse } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

// A stream with a deadline goes through the protocol library, one without the short way past it.
it.each([
  ["without a deadline", {}],
  ["with a deadline", { timeoutMs: 60_000 }],
])("answers every request, in order per runtime, %s", async (way, callOptions) => {
  const { runtimes } = clientsOf(deployment.url);
  const count = 3_000;
  async function* requests() {
    for (let sequence = 0; sequence < count; sequence += 1) {
      const runtimeId = `${way}-${sequence % 7}`;
      const input = prompt(`text ${sequence}`, { inputId: `i-${sequence}` });
      yield { clientSequence: BigInt(sequence), runtimeId, ensure: true, input };
    }
  }
  const responses = await collect(runtimes.ingestStream(requests(), callOptions));
  expect(responses).toHaveLength(count);
  const byRuntime = new Map<number, IngestStreamResponse[]>();
  for (const response of responses) {
    expect(response.outcome.case).toBe("accepted");
    const runtime = Number(response.clientSequence) % 7;
    const own = byRuntime.get(runtime) ?? [];
    byRuntime.set(runtime, [...own, response]);
  }
  for (const own of byRuntime.values()) {
    const sequences = own.map((response) => response.clientSequence);
    expect(sequences).toEqual(sequences.toSorted((left, right) => Number(left - right)));
  }
  const { runtime } = await runtimes.getRuntime({ runtimeId: `${way}-0` });
  expect(runtime?.inputCounts?.accepted).toBe(429n);
});

it("goes on behind a request that is refused", async () => {
  const { runtimes } = clientsOf(deployment.url);
  async function* requests() {
    yield { clientSequence: 1n, runtimeId: "nobody", input: prompt("x") };
    yield { clientSequence: 2n, runtimeId: "r", ensure: true, input: prompt("x") };
    yield { clientSequence: 3n, runtimeId: "r", input: {} };
    yield { clientSequence: 4n, runtimeId: "r", input: prompt("y") };
  }
  const responses = await collect(runtimes.ingestStream(requests()));
  const bySequence = new Map(responses.map((response) => [response.clientSequence, response]));
  expect(bySequence.get(1n)?.outcome).toMatchObject({
    case: "error",
    value: { code: Code.NotFound, reason: ErrorReason.RUNTIME_NOT_REGISTERED },
  });
  expect(bySequence.get(2n)?.outcome.case).toBe("accepted");
  expect(bySequence.get(3n)?.outcome).toMatchObject({
    case: "error",
    value: { reason: ErrorReason.INVALID_FIELD, violations: [{ field: "input.kind" }] },
  });
  expect(bySequence.get(4n)?.outcome.case).toBe("accepted");
});

it("answers as it goes, before the client has sent all", async () => {
  const { runtimes } = clientsOf(deployment.url);
  const answered = Promise.withResolvers<void>();
  async function* requests() {
    yield { clientSequence: 1n, runtimeId: "r", ensure: true, input: prompt("x") };
    await answered.promise;
    yield { clientSequence: 2n, runtimeId: "r", input: prompt("y") };
  }
  const sequences: bigint[] = [];
  for await (const response of runtimes.ingestStream(requests())) {
    sequences.push(response.clientSequence);
    answered.resolve();
  }
  expect(sequences).toEqual([1n, 2n]);
});

it("ends when its client gives it up", async () => {
  const { runtimes } = clientsOf(deployment.url);
  const giveUp = new AbortController();
  async function* requests() {
    yield { clientSequence: 1n, runtimeId: "r", ensure: true, input: prompt("x") };
    await new Promise((resolve) => giveUp.signal.addEventListener("abort", resolve));
  }
  const read = async (): Promise<void> => {
    for await (const response of runtimes.ingestStream(requests(), { signal: giveUp.signal })) {
      expect(response.clientSequence).toBe(1n);
      giveUp.abort();
    }
  };
  const error = await read().then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  expect(error?.code).toBe(Code.Canceled);
  const { runtime } = await runtimes.getRuntime({ runtimeId: "r" });
  expect(runtime?.inputCounts?.accepted).toBe(1n);
});
