// Calls that are well formed and still must not do what they say: repeated with another meaning,
// meant for another state, another list or another name, given up half-way, too many at once.
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputState, RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import {
  attachIdle,
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  wholeBoundary,
} from "./support/runs.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { headOf } from "./support/situations.ts";
import { itemReasonOf, refusalOf, verdictOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";

type Act = (
  clients: CaseClients,
  terms: {
    readonly requestId?: string;
    readonly reason?: string;
    readonly expectedRevision?: bigint;
    readonly expectedEpochId?: string;
    readonly expectedState?: RuntimeState;
  },
) => Promise<{ readonly revision: bigint }>;

/** Lifecycle actions. */
const ACTIONS: Readonly<Record<string, Act>> = {
  unregister: ({ runtimes }, terms) => runtimes.unregisterRuntime({ runtimeId, ...terms }),
  retire: ({ runtimes }, terms) => runtimes.retire({ runtimeId, ...terms }),
  recycle: ({ runtimes }, terms) => runtimes.recycle({ runtimeId, ...terms }),
  reset: ({ runtimes }, terms) => runtimes.reset({ runtimeId, ...terms }),
  recover: ({ runtimes }, terms) => runtimes.recover({ runtimeId, ...terms }),
  stop: ({ runtimes }, terms) => runtimes.stopRuntime({ runtimeId, ...terms }),
  destroy: ({ runtimes }, terms) => runtimes.destroy({ runtimeId, ...terms }),
};

describe("a request id", () => {
  it.each(Object.entries(ACTIONS))("of %s is not taken for another body", async (_name, act) => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const first = await act(clients, { requestId: "q", reason: "one" });
    expect(await act(clients, { requestId: "q", reason: "one" })).toEqual(first);
    const refusal = await refusalOf(act(clients, { requestId: "q", reason: "two" }));
    expect(refusal).toMatchObject({ code: Code.AlreadyExists, reason: "REQUEST_ID_REUSED" });
    expect(await headOf(clients, runtimeId)).toBe(first.revision);
  });

  it("of one action is not taken for another action", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const { runtimes } = clients;
    await runtimes.retire({ runtimeId, requestId: "q" });
    const others = [
      runtimes.reset({ runtimeId, requestId: "q" }),
      runtimes.recycle({ runtimeId, requestId: "q" }),
      runtimes.publishEvent({ runtimeId, eventCode: "a.b", requestId: "q" }),
      runtimes.ensureRuntime({ runtimeId, requestId: "q" }),
    ];
    for (const call of others) expect(await verdictOf(call)).toBe("REQUEST_ID_REUSED");
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.RETIRED);
  });

  it("of an ingest, a batch, an event and a configuration is not taken for another", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const pool = (name: string) => ({ config: { pool: name }, requestId: "ensure" });
    await runtimes.ensureRuntime({ runtimeId, ...pool("one") });
    const ingest = (text: string) => ({ runtimeId, input: prompt(text), requestId: "ingest" });
    await runtimes.ingest(ingest("one"));
    await runtimes.publishEvent({ runtimeId, eventCode: "a.b", requestId: "publish" });
    const batch = (text: string) => ({
      items: [{ runtimeId, input: prompt(text) }],
      requestId: "batch",
    });
    await runtimes.ingestBatch(batch("one"));
    const reused = [
      runtimes.ensureRuntime({ runtimeId, ...pool("two") }),
      runtimes.ingest(ingest("two")),
      runtimes.publishEvent({ runtimeId, eventCode: "a.c", requestId: "publish" }),
    ];
    for (const call of reused) expect(await verdictOf(call)).toBe("REQUEST_ID_REUSED");
    const [result] = (await runtimes.ingestBatch(batch("two"))).results;
    if (result?.outcome.case !== "error") throw new Error("the item was taken");
    expect(itemReasonOf(result.outcome.value)).toBe("REQUEST_ID_REUSED");
  });

  it("of a report about a run is not taken for another report", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const boundary = { ...claimOf(run), ...wholeBoundary(run), requestId: "q" };
    await executors.commitBoundary(boundary);
    const other = executors.commitBoundary({ ...boundary, messageCount: 9n });
    expect(await verdictOf(other)).toBe("REQUEST_ID_REUSED");
    expect((await runtimes.listBoundaryReceipts({ runtimeId })).receipts).toHaveLength(1);
  });
});

describe("a precondition", () => {
  it.each(Object.entries(ACTIONS))("of %s holds it back", async (_name, act) => {
    const clients = clientsOf(deployment.url);
    const { runtime, revision } = await clients.runtimes.ensureRuntime({ runtimeId });
    const epochId = runtime?.epochId ?? "";
    const mismatches = [
      [{ expectedRevision: 7n }, { expectedRevision: "7", revision: "1" }],
      [{ expectedEpochId: "other" }, { expectedEpochId: "other", epochId }],
      [{ expectedState: RuntimeState.RUNNING }, { expectedState: "running", state: "idle" }],
    ] as const;
    const reasons: string[] = [];
    for (const [terms, metadata] of mismatches) {
      const refusal = await refusalOf(act(clients, terms));
      reasons.push(refusal.reason);
      expect(refusal).toMatchObject({ code: Code.Aborted, metadata });
    }
    expect(reasons).toEqual(["REVISION_MISMATCH", "EPOCH_MISMATCH", "STATE_MISMATCH"]);
    expect(await headOf(clients, runtimeId)).toBe(revision);
  });
});

describe("a report about a run", () => {
  it("of a stale generation is refused and names both generations", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const first = identityOf("first");
    const stale = await holdRun(clients, first, runtimeId);
    await executors.detach(first);
    const run = await holdRun(clients, identityOf("second"), runtimeId);
    const refusal = await refusalOf(
      executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run), generation: 1n }),
    );
    expect(refusal).toMatchObject({
      reason: "LEASE_LOST",
      metadata: { generation: "1", currentGeneration: "2" },
    });
    expect(await verdictOf(executors.completeRun(completionOf(stale)))).toMatch(/LEASE_|RUN_ENDED/);
    expect((await readRuntime(clients, runtimeId)).currentRun?.runId).toBe(run.runId);
  });

  it("with contributors that are not the staged ones, or without them, is refused", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const input = prompt("x", { inputId: "a" });
    await runtimes.ingest({ runtimeId, ensure: true, input });
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const before = await headOf(clients, runtimeId);
    const boundary = { ...claimOf(run), ...wholeBoundary(run) };
    for (const contributingInputIds of [[], ["b"], ["a", "b"], ["a", "a"], ["\0"]]) {
      const call = executors.commitBoundary({ ...boundary, contributingInputIds });
      expect(await verdictOf(call)).toBe("CONTRIBUTORS_MISMATCH");
    }
    const bare = executors.completeRun(claimOf(run));
    expect(await verdictOf(bare)).toBe("CONTRIBUTORS_NOT_APPLIED");
    expect(await headOf(clients, runtimeId)).toBe(before);
  });
});

describe("a page token", () => {
  const filter = { active: true };
  const MALFORMED = [
    "x",
    "!!!",
    "W10",
    "x".repeat(3_000),
    Buffer.from("[1,2,3]").toString("base64url"),
  ];

  async function tokens() {
    const clients = clientsOf(deployment.url);
    const { runtimes, admin } = clients;
    const items = ["a", "b", "c"].map((inputId) => {
      return { runtimeId, ensure: true, input: prompt("x", { inputId }) };
    });
    await runtimes.ingestBatch({ items });
    await runtimes.ensureRuntime({ runtimeId: "other" });
    const stream = { kind: "runtime", id: runtimeId };
    await runtimes.retire({ runtimeId });
    const pages = {
      runtimes: await runtimes.listRuntimes({ pageSize: 1 }),
      inputs: await runtimes.listInputs({ runtimeId, pageSize: 1 }),
      active: await runtimes.listInputs({ runtimeId, pageSize: 1, filter }),
      commits: await admin.listCommits({ stream, pageSize: 1 }),
    };
    const own = Object.entries(pages).map(([list, page]) => [list, page.nextPageToken] as const);
    return { clients, tokens: new Map(own) };
  }

  it("of another list, filter, runtime or namespace, or of nobody, is refused", async () => {
    const { clients, tokens: own } = await tokens();
    const { runtimes, admin } = clients;
    const calls = (
      using: CaseClients,
    ): Readonly<Record<string, (token: string) => Promise<unknown>>> => ({
      runtimes: (pageToken) => using.runtimes.listRuntimes({ pageToken }),
      inputs: (pageToken) => using.runtimes.listInputs({ runtimeId, pageToken }),
      active: (pageToken) => using.runtimes.listInputs({ runtimeId, filter, pageToken }),
      commits: (pageToken) =>
        using.admin.listCommits({ stream: { kind: "runtime", id: runtimeId }, pageToken }),
    });
    for (const [list, call] of Object.entries(calls(clients))) {
      for (const [from, token] of own) {
        expect(token).not.toBe("");
        const expected = from === list ? "answered" : "PAGE_TOKEN_INVALID";
        expect([list, from, await verdictOf(call(token))]).toEqual([list, from, expected]);
      }
      for (const token of MALFORMED) {
        expect(await verdictOf(call(token))).toBe("PAGE_TOKEN_INVALID");
      }
    }
    const pageToken = own.get("inputs") ?? "";
    const elsewhere = runtimes.listInputs({ runtimeId: "other", pageToken });
    expect(await verdictOf(elsewhere)).toBe("PAGE_TOKEN_INVALID");
    const there = clientsOf(deployment.url);
    const foreign = there.runtimes.listRuntimes({ pageToken: own.get("runtimes") ?? "" });
    expect(await verdictOf(foreign)).toBe("PAGE_TOKEN_INVALID");
    for (const token of MALFORMED) {
      const receipts = runtimes.listBoundaryReceipts({ runtimeId, pageToken: token });
      expect(await verdictOf(receipts)).toBe("PAGE_TOKEN_INVALID");
      const replicas = admin.listReplicas({ pageToken: token });
      expect(await verdictOf(replicas)).toBe("PAGE_TOKEN_INVALID");
    }
  });
});

describe("names with / : and %", () => {
  it("keep runtimes apart that would meet if they were put together as they are", async () => {
    const tag = crypto.randomUUID();
    const places = [
      ["n", "a/b"],
      ["n", "a%2Fb"],
      ["n", "a%252Fb"],
      ["n/a", "b"],
      ["n%2Fa", "b"],
      ["n", "a"],
      ["n", "a:000000000001"],
      ["n", "a%3A000000000001"],
      ["n:a", "b"],
      ["n", ".."],
      ["n", "runtime/n/a"],
    ] as const;
    const runtimes = places.map(([namespace, id]) => {
      return { id, ...clientsOf(deployment.url, "grpc", `${tag}-${namespace}`) };
    });
    for (const [index, { id, ...clients }] of runtimes.entries()) {
      const input = prompt(id, { inputId: `i-${index}`, idempotencyKey: "same key" });
      const answer = await clients.runtimes.ingest({ runtimeId: id, ensure: true, input });
      expect(answer).toMatchObject({ outcome: { case: "accepted" }, revision: 1n });
    }
    for (const [index, { id, ...clients }] of runtimes.entries()) {
      const { inputs } = await clients.runtimes.listInputs({ runtimeId: id });
      expect(inputs.map(({ inputId }) => inputId)).toEqual([`i-${index}`]);
      expect(await clients.runtimes.verifyRuntime({ runtimeId: id })).toMatchObject({
        valid: true,
        commitCount: 1n,
      });
    }
    const [first] = runtimes;
    const listed = await first?.runtimes.listRuntimes({});
    const inFirst = places.filter(([namespace]) => namespace === "n").map(([, id]) => id);
    expect(listed?.runtimes.map((runtime) => runtime.runtimeId)).toEqual(inFirst.toSorted());
  });

  it("keep executors apart that would meet", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const left = { executorId: "a/b", incarnationId: "c" };
    const right = { executorId: "a", incarnationId: "b/c" };
    await runtimes.ensureRuntime({ runtimeId: "left" });
    await runtimes.ensureRuntime({ runtimeId: "right" });
    await attachIdle(clients, left, "left");
    await attachIdle(clients, right, "right");
    const { released } = await executors.detach(left);
    expect(released.map((lease) => lease.runtimeId)).toEqual(["left"]);
    expect((await readRuntime(clients, "right")).state).toBe(RuntimeState.ATTACHED);
  });
});

describe("calls that are given up", () => {
  it("leave an input whole or not at all, and their key brings either together", async () => {
    const clients = clientsOf(deployment.url, "connect");
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const count = 60;
    const request = (index: number) => ({
      runtimeId,
      input: prompt(`text ${index}`, { idempotencyKey: `k-${index}` }),
    });
    const givenUp = Array.from({ length: count }, async (_, index) => {
      const leaving = new AbortController();
      const call = runtimes.ingest(request(index), { signal: leaving.signal });
      for (let turn = 0; turn < index % 12; turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      leaving.abort();
      return call.then(
        () => "answered",
        (error: unknown) => Code[ConnectError.from(error).code],
      );
    });
    const endings = new Set(await Promise.all(givenUp));
    expect([...endings].every((ending) => ["answered", "Canceled"].includes(ending))).toBe(true);
    expect(endings).toContain("Canceled");
    for (let index = 0; index < count; index += 1) await runtimes.ingest(request(index));
    const { inputs } = await runtimes.listInputs({ runtimeId });
    expect(inputs.map((status) => status.idempotencyKey).toSorted()).toEqual(
      Array.from({ length: count }, (_, index) => `k-${index}`).toSorted(),
    );
    expect(await runtimes.verifyRuntime({ runtimeId })).toMatchObject({ valid: true });
  });

  it("lose no run: who polls again gets it", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const executor = identityOf("executor");
    const leaving = new AbortController();
    const poll = { ...executor, runtimeIds: [runtimeId], timeout: { seconds: 20n } };
    const dropped = executors.pollRun(poll, { signal: leaving.signal });
    await runtimes.ensureRuntime({ runtimeId });
    leaving.abort();
    await expect(dropped).rejects.toBeInstanceOf(ConnectError);
    await runtimes.ingest({ runtimeId, input: prompt("x", { inputId: "a" }) });
    const run = await takeRun(clients, executor, runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["a"]);
    await executors.completeRun(completionOf(run));
    expect((await readRuntime(clients, runtimeId)).inputCounts?.consumed).toBe(1n);
  });
});

describe("many at once", () => {
  it("with one key are one input, at two servers of one database", async () => {
    const database = openSharedDatabase();
    const servers = [await database.serve(), await database.serve()];
    await servers[0]?.runtimes.ensureRuntime({ runtimeId });
    const calls = Array.from({ length: 100 }, (_, index) => {
      const input = prompt("x", { inputId: `i-${index}`, idempotencyKey: "k" });
      const { runtimes } = servers[index % servers.length] ?? clientsOf(deployment.url);
      return runtimes.ingest({ runtimeId, input });
    });
    const outcomes = (await Promise.all(calls)).map(({ outcome }) => outcome);
    const accepted = outcomes.flatMap((outcome) =>
      outcome.case === "accepted" ? [outcome.value.inputId] : [],
    );
    const existing = outcomes.flatMap((outcome) =>
      outcome.case === "deduplicated" ? [outcome.value.existingId] : [],
    );
    expect(accepted).toHaveLength(1);
    expect(new Set(existing)).toEqual(new Set(accepted));
    expect(existing).toHaveLength(99);
    await database.close();
  });

  it("with one key are one input, in one batch", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const items = Array.from({ length: 100 }, (_, index) => {
      const input = prompt("x", { inputId: `i-${index}`, idempotencyKey: "k" });
      return { runtimeId, ensure: true, input };
    });
    const { results } = await runtimes.ingestBatch({ items });
    const [first, ...others] = results.map(({ outcome }) => outcome);
    expect(first?.case).toBe("accepted");
    for (const outcome of others) {
      expect(outcome).toMatchObject({ case: "deduplicated", value: { existingId: "i-0" } });
    }
  });

  it("fill a queue of 100,000 and no more; what needs no room still gets in", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const queueLimit = 100_000;
    await runtimes.ensureRuntime({ runtimeId, config: { queueLimit } });
    const batchSize = 1_000;
    for (let start = 0; start < queueLimit; start += batchSize) {
      const items = Array.from({ length: batchSize }, (_, index) => {
        const name = `i-${start + index}`;
        const header = { inputId: name, supersessionKey: name };
        return { runtimeId, input: prompt("x", header) };
      });
      const { results } = await runtimes.ingestBatch({ items });
      expect(results.every(({ outcome }) => outcome.case === "accepted")).toBe(true);
    }
    const refusal = await refusalOf(runtimes.ingest({ runtimeId, input: prompt("one more") }));
    expect(refusal).toMatchObject({
      code: Code.ResourceExhausted,
      reason: "QUEUE_FULL",
      metadata: { queueLimit: "100000", queued: "100000" },
    });
    expect(refusal.retryDelayMs).toBeGreaterThan(0);
    const again = await runtimes.ingest({ runtimeId, input: prompt("x", { inputId: "i-5" }) });
    expect(again.outcome.case).toBe("deduplicated");
    const newer = prompt("newer", { inputId: "newer", supersessionKey: "i-99999" });
    expect((await runtimes.ingest({ runtimeId, input: newer })).outcome.case).toBe("accepted");
    expect((await readRuntime(clients, runtimeId)).inputCounts).toMatchObject({
      accepted: 100_001n,
      queued: 100_000n,
      superseded: 1n,
    });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["i-0"]);
    const { outcome } = await runtimes.ingest({ runtimeId, input: prompt("room again") });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: { input: { state: InputState.QUEUED } },
    });
  });
});
