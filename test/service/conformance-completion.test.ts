// Completion: every way in which an input ends, as all of its waiters are told, once and for ever.
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbandonReason,
  type Input,
  InputSchema,
  InputState,
  PeerResponsePhase,
  RuntimeTerminationReason,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { claimOf, completionOf, holdRun, identityOf, takeRun } from "./support/runs.ts";
import { verdictOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const byId = (value: string) => ({ case: "inputId" as const, value });

/** An input that shares its run with others like it. */
function event(inputId: string): Input {
  const kind = { case: "externalEvent", value: { eventType: "news" } } as const;
  return create(InputSchema, { inputId, kind });
}

function progress(inputId: string, supersessionKey: string): Input {
  const value = { peerRequestId: "request", phase: PeerResponsePhase.ACCEPTED };
  const convention = { convention: { case: "responseProgress", value } } as const;
  const kind = { case: "peer", value: { convention, body: inputId } } as const;
  return create(InputSchema, { inputId, supersessionKey, kind });
}

async function ingest({ runtimes }: CaseClients, ...inputs: readonly Input[]): Promise<void> {
  for (const input of inputs) await runtimes.ingest({ runtimeId, ensure: true, input });
}

function waitFor({ runtimes }: CaseClients, inputId: string) {
  return runtimes.awaitInput({ runtimeId, target: byId(inputId) });
}

/** What waiters of an input are told now, without waiting. */
async function outcomeNow({ runtimes }: CaseClients, inputId: string) {
  const request = { runtimeId, target: byId(inputId), timeout: {} };
  return (await runtimes.awaitInput(request)).completion?.outcome;
}

describe("a run that ends", () => {
  it("multi_waiter: tells all waiters of all of its inputs the same", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, event("a"), event("b"));
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const waiting = ["a", "b", "a", "b", "a"].map((name) => waitFor(clients, name));
    const structured = { kind: { case: "numberValue", value: 42 } } as const;
    const usage = { input_tokens: 3, output_tokens: 4 };
    const result = { text: "done", structured, usage };
    await clients.executors.completeRun(completionOf(run, result));
    for (const { completion } of await Promise.all(waiting)) {
      expect(completion?.outcome).toMatchObject({ case: "completed", value: { result } });
    }
  });

  it("callback_pending: names the tool that has to answer first", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, prompt("x", { inputId: "a" }));
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const waiting = waitFor(clients, "a");
    const args = { kind: { case: "stringValue", value: "42" } } as const;
    const value = { toolName: "ask", args };
    const outcome = { case: "callbackPending", value } as const;
    await clients.executors.completeRun({ ...completionOf(run), outcome });
    expect((await waiting).completion?.outcome).toMatchObject(outcome);
    expect(await outcomeNow(clients, "a")).toMatchObject(outcome);
  });

  it("not_pending_keep: leaves the waiters of other inputs where they are", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, prompt("x", { inputId: "a" }), prompt("y", { inputId: "b" }));
    const executor = identityOf("executor");
    const first = await holdRun(clients, executor, runtimeId);
    let isOver = false;
    const other = waitFor(clients, "b").finally(() => {
      isOver = true;
    });
    await clients.executors.completeRun(completionOf(first));
    expect((await outcomeNow(clients, "a"))?.case).toBe("completed");
    expect(isOver).toBe(false);
    await clients.executors.completeRun(completionOf(await takeRun(clients, executor, runtimeId)));
    expect((await other).completion?.outcome.case).toBe("completed");
  });

  it("abandoned: an input that is queued again keeps its waiters (decision 10)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId, config: { attemptLimit: 2 } });
    await ingest(clients, prompt("x", { inputId: "a" }));
    const waiting = waitFor(clients, "a");
    const executor = identityOf("executor");
    const first = await holdRun(clients, executor, runtimeId);
    await executors.failRun({ ...claimOf(first), error: "one", recoverable: true });
    expect(await outcomeNow(clients, "a")).toMatchObject({
      case: "pending",
      value: { state: InputState.QUEUED },
    });
    const second = await holdRun(clients, executor, runtimeId);
    await executors.failRun({ ...claimOf(second), error: "two", recoverable: true });
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "abandoned",
      value: { reason: AbandonReason.MAX_ATTEMPTS_EXHAUSTED, attempts: 2, detail: "two" },
    });
  });

  it("cancelled: what was interrupted is abandoned", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, prompt("x", { inputId: "a" }));
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const waiting = waitFor(clients, "a");
    await clients.runtimes.interruptRun({ runtimeId });
    await clients.executors.cancelRun(claimOf(run));
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "abandoned",
      value: { reason: AbandonReason.CANCELLED },
    });
  });
});

describe("a runtime that ends or changes", () => {
  const endings = [
    ["retired", RuntimeTerminationReason.RETIRED],
    ["reset", RuntimeTerminationReason.RESET],
    ["stopped", RuntimeTerminationReason.STOPPED],
    ["destroyed", RuntimeTerminationReason.DESTROYED],
  ] as const;

  it.each(endings)("runtime_terminated: %s, now and later", async (ending, reason) => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await ingest(clients, event("a"), event("b"));
    const waiting = ["a", "b", "a"].map((name) => waitFor(clients, name));
    if (ending === "retired") await runtimes.retire({ runtimeId, abandonIfUnattached: true });
    else if (ending === "reset") await runtimes.reset({ runtimeId });
    else if (ending === "stopped") await runtimes.stopRuntime({ runtimeId });
    else await runtimes.destroy({ runtimeId });
    const told = { case: "runtimeTerminated", value: { reason } } as const;
    for (const { completion } of await Promise.all(waiting)) {
      expect(completion?.outcome).toMatchObject(told);
    }
    expect(await outcomeNow(clients, "b")).toMatchObject(told);
  });

  it("coalesced and superseded: the waiters of the earlier input learn of the later", async () => {
    const clients = clientsOf(deployment.url);
    const draft = { supersessionKey: "draft" };
    await ingest(clients, progress("a", "p"), prompt("x", { ...draft, inputId: "b" }));
    const waiting = [waitFor(clients, "a"), waitFor(clients, "b")];
    await ingest(clients, progress("c", "p"), prompt("y", { ...draft, inputId: "d" }));
    const outcomes = (await Promise.all(waiting)).map(({ completion }) => completion?.outcome);
    expect(outcomes).toMatchObject([
      { case: "coalesced", value: { aggregateId: "c" } },
      { case: "superseded", value: { byInputId: "d" } },
    ]);
  });
});

describe("a wait", () => {
  it("no_op: for what was never admitted is refused, and registers nothing", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    expect(await verdictOf(waitFor(clients, "nothing"))).toBe("INPUT_NOT_FOUND");
    await ingest(clients, prompt("x", { inputId: "nothing" }));
    expect((await outcomeNow(clients, "nothing"))?.case).toBe("pending");
  });

  it("dropped: that is given up leaves the others waiting", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, prompt("x", { inputId: "a" }));
    const leaving = new AbortController();
    const request = { runtimeId, target: byId("a") };
    const dropped = clients.runtimes.awaitInput(request, { signal: leaving.signal });
    const staying = waitFor(clients, "a");
    // Answered on the same connection, so both waits have arrived.
    await clients.admin.getServerInfo({});
    leaving.abort();
    await expect(dropped).rejects.toSatisfy(
      (error) => ConnectError.from(error).code === Code.Canceled,
    );
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.completeRun(completionOf(run, { text: "for those who stay" }));
    expect((await staying).completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "for those who stay" } },
    });
  });
});
