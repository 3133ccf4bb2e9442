// IngestAndRun: the caller is the executor of the input that it brings.
import { create } from "@bufbuild/protobuf";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ExecutorPresence,
  type Input,
  InputSchema,
  InputState,
  RunApplyBoundary,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import type { TakenRun } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { operationNews, prompt } from "./support/inputs.ts";
import { attachIdle, identityOf, readRuntime, takeRun } from "./support/runs.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { refusalOf, verdictOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const NAMESPACE = "keelson-namespace";

function request(input: Input, identity = identityOf("caller")) {
  return { runtimeId, input, ensure: true, ...identity };
}

function existing(run: TakenRun | undefined): TakenRun {
  if (!run) throw new Error("an answer without a run");
  return run;
}

function claimOf({ runId, generation }: TakenRun) {
  return { runtimeId, runId, generation };
}

/** The end of a taken run, with its one boundary. */
function completing(run: TakenRun, text: string) {
  const { boundary, stagedInputIds: contributingInputIds } = run;
  const finalBoundary = { boundary, contributingInputIds, messageCount: 1n };
  const outcome = { case: "result", value: { text } } as const;
  return { ...claimOf(run), outcome, finalBoundary };
}

describe.each(["grpc", "connect", "grpc-web"] as const)("over %s", (protocol) => {
  it("a caller takes an input in, runs it and completes it", async () => {
    const clients = clientsOf(deployment.url, protocol);
    const { runtimes, executors } = clients;
    const blocks = [{ block: { case: "text", value: { text: "look" } } } as const];
    const kind = { case: "prompt", value: { text: "hello", blocks } } as const;
    const input = create(InputSchema, { inputId: "a", kind });
    const answer = await runtimes.ingestAndRun({ ...request(input), leaseTtl: { seconds: 20n } });
    const run = existing(answer.run);
    expect(answer).toMatchObject({ revision: 1n, leaseRemaining: { seconds: 20n } });
    expect(answer.accepted).toMatchObject({ inputId: "a", input: { admittedRevision: 1n } });
    expect(run).toMatchObject({ generation: 1n, attempt: 1, stagedInputIds: ["a"] });
    expect(run.boundary).toBe(RunApplyBoundary.RUN_START);
    expect(run.content).toMatchObject(blocks);
    const during = await readRuntime(clients, runtimeId);
    expect(during).toMatchObject({
      state: RuntimeState.RUNNING,
      currentRun: { runId: run.runId, acknowledged: true },
      executor: { presence: ExecutorPresence.ATTACHED, executorId: "caller" },
    });
    const waiting = runtimes.awaitInput({ runtimeId, target: { case: "inputId", value: "a" } });
    const { receipt } = await executors.completeRun(completing(run, "done"));
    expect(receipt?.contributingInputIds).toEqual(["a"]);
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "done" } },
    });
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.IDLE);
  });
});

it("over JSON it needs nothing but curl", async () => {
  const namespace = `case-${randomUUID()}`;
  const post = async (method: string, body: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${deployment.url}/keelson.${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", [NAMESPACE]: namespace },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  };
  const { run } = await post("runtime.v1.RuntimeControlPlaneService/IngestAndRun", {
    runtimeId,
    ensure: true,
    executorId: "script",
    incarnationId: "script-1",
    input: { prompt: { text: "hello" } },
  });
  const { runId, generation, stagedInputIds, content } = run as Record<string, unknown>;
  expect(content).toEqual([{ text: { text: "hello" } }]);
  const boundary = { boundary: "RUN_APPLY_BOUNDARY_RUN_START", messageCount: "1" };
  const done = await post("executor.v1.ExecutorService/CompleteRun", {
    runtimeId,
    runId,
    generation,
    result: { text: "done" },
    finalBoundary: { ...boundary, contributingInputIds: stagedInputIds },
  });
  expect(done).toMatchObject({ revision: "2" });
});

describe("a call that is repeated", () => {
  it("with its request id gets the same run, also once that is over", async () => {
    const { runtimes, executors } = clientsOf(deployment.url);
    const once = { ...request(prompt("x")), requestId: "once" };
    const first = await runtimes.ingestAndRun(once);
    expect(await runtimes.ingestAndRun(once)).toEqual(first);
    await executors.completeRun(completing(existing(first.run), "done"));
    expect((await runtimes.ingestAndRun(once)).run).toEqual(first.run);
    const other = { ...once, input: prompt("y") };
    expect(await verdictOf(runtimes.ingestAndRun(other))).toBe("REQUEST_ID_REUSED");
  });

  it("without one meets its own input; the run is sent again to who polls for it", async () => {
    const clients = clientsOf(deployment.url);
    const identity = identityOf("caller");
    const keyed = request(prompt("x", { idempotencyKey: "key" }), identity);
    const { run } = await clients.runtimes.ingestAndRun(keyed);
    const { reason, metadata } = await refusalOf(clients.runtimes.ingestAndRun(keyed));
    expect([reason, metadata["existingId"]]).toEqual([
      "INPUT_ALREADY_ADMITTED",
      run?.stagedInputIds[0],
    ]);
    const again = await takeRun(clients, identity, runtimeId);
    expect([again.runId, again.generation]).toEqual([run?.runId, run?.generation]);
  });
});

describe("the reference's cases of accept_input_and_run", () => {
  it("accept_input_and_run_rejects_deduplicated_admission: the original stays queued", async () => {
    const clients = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "original", idempotencyKey: "key" });
    await clients.runtimes.ingest({ runtimeId, ensure: true, input });
    const again = request(prompt("x", { idempotencyKey: "key" }));
    expect(await verdictOf(clients.runtimes.ingestAndRun(again))).toBe("INPUT_ALREADY_ADMITTED");
    expect(await verdictOf(clients.runtimes.ingestAndRun(request(prompt("y"))))).toBe(
      "INPUTS_ACTIVE",
    );
    const target = { case: "inputId", value: "original" } as const;
    const { input: kept } = await clients.runtimes.getInput({ runtimeId, target });
    expect(kept?.state).toBe(InputState.QUEUED);
  });

  it("boundary_commit_failure_unwinds_sync_state: the call can be repeated", async () => {
    const database = openSharedDatabase();
    const clients = await database.serve({ KEELSON_ANSWER_TIMEOUT_MS: "500" });
    const { runtimes, executors } = clients;
    const run = existing((await runtimes.ingestAndRun(request(prompt("x")))).run);
    const { boundary, stagedInputIds: contributingInputIds } = run;
    const report = { ...claimOf(run), boundary, contributingInputIds, messageCount: 1n };
    const arrived = database.hold();
    const failed = verdictOf(executors.commitBoundary(report));
    await arrived;
    expect(await failed).toBe("DATABASE_UNAVAILABLE");
    database.release();
    const { receipt } = await executors.commitBoundary(report);
    expect(receipt?.sequence).toBe(0n);
    await database.close();
  });

  it("terminal_snapshot_failure_unregisters_sync_session: it does not", async () => {
    const database = openSharedDatabase();
    const clients = await database.serve({ KEELSON_ANSWER_TIMEOUT_MS: "500" });
    const { runtimes, executors } = clients;
    const run = existing((await runtimes.ingestAndRun(request(prompt("x")))).run);
    const arrived = database.hold();
    const failed = verdictOf(executors.completeRun(completing(run, "late")));
    await arrived;
    expect(await failed).toBe("DATABASE_UNAVAILABLE");
    expect((await readRuntime(clients, runtimeId)).registered).toBe(true);
    database.release();
    await executors.completeRun(completing(run, "late"));
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.IDLE);
    await database.close();
  });
});

describe("the caller", () => {
  it("is refused while another executor holds the runtime, and not while it does", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const holder = identityOf("holder");
    await attachIdle(clients, holder, runtimeId);
    const { reason, metadata } = await refusalOf(runtimes.ingestAndRun(request(prompt("x"))));
    expect([reason, metadata["executorId"]]).toEqual(["LEASE_HELD", "holder"]);
    const { run } = await runtimes.ingestAndRun(request(prompt("y"), holder));
    await executors.completeRun(completing(existing(run), "done"));
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
    await executors.detach(holder);
  });

  it("keeps its lease by renewing, and gives its run back by detaching", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const identity = identityOf("caller");
    const { run } = await runtimes.ingestAndRun(request(prompt("x"), identity));
    const heldRunIds = [existing(run).runId];
    const renewed = await executors.renewLeases({ ...identity, heldRunIds });
    expect([renewed.unknownRunIds, renewed.lost]).toEqual([[], []]);
    const { released } = await executors.detach(identity);
    expect(released.map((back) => back.runtimeId)).toEqual([runtimeId]);
    const runtime = await readRuntime(clients, runtimeId);
    expect(runtime).toMatchObject({ state: RuntimeState.IDLE, wake: true, queueDepth: 1 });
    const late = verdictOf(runtimes.ingestAndRun(request(prompt("y"), identity)));
    expect(await late).toBe("EXECUTOR_INCARNATION_DEAD");
  });

  it("is told the fields that are wrong, and that an operation is never run", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const bare = await refusalOf(runtimes.ingestAndRun({ runtimeId, leaseTtl: { seconds: 1n } }));
    expect([bare.reason, bare.fields]).toEqual([
      "INVALID_FIELD",
      ["executor_id", "incarnation_id", "input"],
    ]);
    const brief = { ...request(prompt("x")), leaseTtl: { nanos: 1 } };
    expect((await refusalOf(runtimes.ingestAndRun(brief))).fields).toEqual(["lease_ttl"]);
    const news = request(operationNews());
    expect(await verdictOf(runtimes.ingestAndRun(news))).toBe("INPUT_NOT_RUNNABLE");
  });
});
