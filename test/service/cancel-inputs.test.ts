// CancelInputs: what waits is taken back, in one commit, and everything named is told of.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AbandonReason, InputState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import type {
  CancelInputResult,
  CancelInputsResponse,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { operationNews, prompt } from "./support/inputs.ts";
import { completionOf, holdRun, identityOf, readRuntime } from "./support/runs.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const byId = (value: string) => ({ target: { case: "inputId", value } }) as const;
const byKey = (value: string) => ({ target: { case: "idempotencyKey", value } }) as const;

type Target = ReturnType<typeof byId> | ReturnType<typeof byKey>;

function named(...targets: readonly Target[]) {
  const value = { targets: [...targets] };
  return { runtimeId, selection: { case: "targets", value } } as const;
}

function suffixFrom(target: Target) {
  return { runtimeId, selection: { case: "suffixFrom", value: target } } as const;
}

/** A result in a few words. */
function wordsOf({ inputId, outcome }: CancelInputResult): string {
  return `${inputId || "?"} ${outcome.case}`;
}

function countsOf(response: CancelInputsResponse): readonly number[] {
  const { cancelledCount, alreadyClaimedCount, alreadyOverCount, notFoundCount } = response;
  return [cancelledCount, alreadyClaimedCount, alreadyOverCount, notFoundCount];
}

async function ingest({ runtimes }: CaseClients, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const input = prompt(name, { inputId: name, idempotencyKey: `key-${name}` });
    await runtimes.ingest({ runtimeId, ensure: true, input });
  }
}

/** A runtime that has consumed `done`, runs `claimed` and has queued `a`, `b` and `c`. */
async function busyRuntime(clients: CaseClients): Promise<string> {
  const identity = identityOf("executor");
  await ingest(clients, "done");
  const first = await holdRun(clients, identity, runtimeId);
  await clients.executors.completeRun(completionOf(first));
  await ingest(clients, "claimed", "a", "b", "c");
  const { runId } = await holdRun(clients, identity, runtimeId);
  return runId;
}

describe("inputs that are named", () => {
  it("are evaluated in order, by id and by key, and told one by one", async () => {
    const clients = clientsOf(deployment.url);
    const runId = await busyRuntime(clients);
    const before = await readRuntime(clients, runtimeId);
    const response = await clients.runtimes.cancelInputs(
      named(byId("b"), byKey("key-b"), byId("claimed"), byKey("key-done"), byKey("none")),
    );
    expect(response.results.map(wordsOf)).toEqual([
      "b cancelled",
      "b alreadyCancelled",
      "claimed alreadyClaimed",
      "done alreadyCompleted",
      "? notFound",
    ]);
    expect(response.results[2]?.outcome).toMatchObject({ value: { runId } });
    expect(response.results[3]).toMatchObject({
      idempotencyKey: "key-done",
      outcome: { value: { outcome: { case: "consumed" } } },
    });
    expect(countsOf(response)).toEqual([1, 1, 2, 1]);
    expect(response.revision).toBe(before.revision + 1n);
    expect(response.runtime?.queueDepth).toBe(2);
  });

  it("answer their waiters in the same commit", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await ingest(clients, "a", "b");
    const waiting = runtimes.awaitInput({ runtimeId, ...byId("a") });
    await runtimes.cancelInputs({ ...named(byKey("key-a")), reason: "typed by mistake" });
    const { completion } = await waiting;
    expect(completion?.outcome).toMatchObject({
      case: "abandoned",
      value: { reason: AbandonReason.CANCELLED, attempts: 0, detail: "typed by mistake" },
    });
    const { input } = await runtimes.getInput({ runtimeId, ...byId("a") });
    expect(input?.state).toBe(InputState.ABANDONED);
    const { completion: other } = await runtimes.awaitInput({
      runtimeId,
      ...byId("b"),
      timeout: {},
    });
    expect(other?.outcome.case).toBe("pending");
  });

  it("are told the same when the call is repeated, whatever happened since", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await ingest(clients, "a", "b");
    const request = { ...named(byKey("key-a"), byKey("none")), requestId: "once" };
    const first = await runtimes.cancelInputs(request);
    await ingest(clients, "none");
    const again = await runtimes.cancelInputs(request);
    expect(again.results.map(wordsOf)).toEqual(["a cancelled", "? notFound"]);
    expect([again.revision, countsOf(again)]).toEqual([first.revision, countsOf(first)]);
    const later = await runtimes.cancelInputs(named(byKey("key-a")));
    expect(later.results.map(wordsOf)).toEqual(["a alreadyCancelled"]);
  });

  it("are only looked at when the call is validated", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await ingest(clients, "a");
    const response = await runtimes.cancelInputs({ ...named(byId("a")), validateOnly: true });
    expect(response.results.map(wordsOf)).toEqual(["a cancelled"]);
    expect(response.runtime?.queueDepth).toBe(1);
    expect((await readRuntime(clients, runtimeId)).queueDepth).toBe(1);
  });

  it("can be ten thousand, in one commit", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const inputs = Array.from({ length: 10_000 }, (_, index) =>
      prompt("x", { inputId: `i${index}` }),
    );
    for (let start = 0; start < inputs.length; start += 1_000) {
      const items = inputs.slice(start, start + 1_000).map((input) => {
        return { runtimeId, ensure: true, input };
      });
      await runtimes.ingestBatch({ items });
    }
    const before = await readRuntime(clients, runtimeId);
    const response = await runtimes.cancelInputs(
      named(...inputs.map(({ inputId }) => byId(inputId))),
    );
    expect(countsOf(response)).toEqual([10_000, 0, 0, 0]);
    expect(response.revision).toBe(before.revision + 1n);
    expect(response.runtime?.inputCounts?.abandoned).toBe(10_000n);
  });
});

describe("inputs that are over and forgotten", () => {
  it("are found by id, by key and as an anchor, also when the call is only validated", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, admin } = clients;
    const names = Array.from({ length: 1_200 }, (_, index) => `over-${index}`);
    for (let start = 0; start < names.length; start += 600) {
      const items = names.slice(start, start + 600).map((name) => {
        const input = operationNews({ inputId: name, idempotencyKey: `key-${name}` });
        return { runtimeId, ensure: true, input };
      });
      await runtimes.ingestBatch({ items });
    }
    await ingest(clients, "a");
    await expect
      .poll(
        async () => {
          const { description } = await admin.getStream({
            stream: { kind: "runtime", id: runtimeId },
          });
          return description?.checkpointRevision ?? 0n;
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(0n);
    const targets = named(byId("over-0"), byKey("key-over-1"), byId("none"));
    const expected = ["over-0 alreadyCompleted", "over-1 alreadyCompleted", "none notFound"];
    const validated = await runtimes.cancelInputs({ ...targets, validateOnly: true });
    expect(validated.results.map(wordsOf)).toEqual(expected);
    expect((await runtimes.cancelInputs(targets)).results.map(wordsOf)).toEqual(expected);
    const response = await runtimes.cancelInputs(suffixFrom(byKey("key-over-0")));
    expect(response.results.map(wordsOf)).toEqual([
      ...names.map((name) => `${name} alreadyCompleted`),
      "a cancelled",
    ]);
    expect(countsOf(response)).toEqual([1, 0, 1_200, 0]);
  });
});

describe("a suffix", () => {
  it("is everything from its anchor on, in whatever state", async () => {
    const clients = clientsOf(deployment.url);
    await busyRuntime(clients);
    const response = await clients.runtimes.cancelInputs(suffixFrom(byKey("key-done")));
    expect(response.results.map(wordsOf)).toEqual([
      "done alreadyCompleted",
      "claimed alreadyClaimed",
      "a cancelled",
      "b cancelled",
      "c cancelled",
    ]);
    expect(countsOf(response)).toEqual([3, 1, 1, 0]);
    const part = await clients.runtimes.cancelInputs(suffixFrom(byId("b")));
    expect(part.results.map(wordsOf)).toEqual(["b alreadyCancelled", "c alreadyCancelled"]);
  });

  it("is told the same when the call is repeated", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await busyRuntime(clients);
    const request = { ...suffixFrom(byId("a")), requestId: "once" };
    const first = await runtimes.cancelInputs(request);
    await ingest(clients, "d");
    const again = await runtimes.cancelInputs(request);
    expect(again.results.map(wordsOf)).toEqual(first.results.map(wordsOf));
    expect(again.revision).toBe(first.revision);
    expect((await readRuntime(clients, runtimeId)).queueDepth).toBe(1);
  });

  it("without its anchor cancels nothing", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a");
    const response = await clients.runtimes.cancelInputs(suffixFrom(byId("nobody")));
    expect(response.results.map(wordsOf)).toEqual(["nobody anchorNotFound"]);
    expect(countsOf(response)).toEqual([0, 0, 0, 1]);
  });
});

describe("a call that says too little, or too much", () => {
  it("is refused with the fields that are wrong", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const fieldsOf = async (request: Parameters<typeof runtimes.cancelInputs>[0]) => {
      const { reason, fields } = await refusalOf(runtimes.cancelInputs(request));
      return [reason, ...fields];
    };
    const tooMany = Array.from({ length: 10_001 }, () => byId("a"));
    expect(await fieldsOf({ runtimeId })).toEqual(["INVALID_FIELD", "selection"]);
    expect(await fieldsOf(named())).toEqual(["INVALID_FIELD", "targets.targets"]);
    expect(await fieldsOf(named(...tooMany))).toEqual(["INVALID_FIELD", "targets.targets"]);
    expect(await fieldsOf(named(byId("a"), byId("")))).toEqual([
      "INVALID_FIELD",
      "targets.targets[1].input_id",
    ]);
    expect(await fieldsOf({ runtimeId, selection: { case: "suffixFrom", value: {} } })).toEqual([
      "INVALID_FIELD",
      "suffix_from.target",
    ]);
  });

  it("meets its preconditions, or changes nothing", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a");
    const { revision } = await readRuntime(clients, runtimeId);
    const request = { ...named(byId("a")), expectedRevision: revision - 1n };
    const { reason } = await refusalOf(clients.runtimes.cancelInputs(request));
    expect(reason).toBe("REVISION_MISMATCH");
    const kept = { ...named(byId("a")), expectedRevision: revision };
    expect(countsOf(await clients.runtimes.cancelInputs(kept))).toEqual([1, 0, 0, 0]);
  });
});
