// Silent intents: what a peer asks is known and wakes nobody, until a run starts anyway.
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ApplyMode,
  type Input,
  InputSchema,
  TopologyChange,
  WakeMode,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { completionOf, identityOf, readRuntime, takeRun } from "./support/runs.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";

function request(inputId: string, intent: string): Input {
  const value = { peerRequestId: `request-${inputId}`, intent };
  const convention = { convention: { case: "request", value } } as const;
  return create(InputSchema, {
    inputId,
    source: { origin: { case: "peer", value: { peerId: "peer" } } },
    kind: { case: "peer", value: { convention, body: inputId } },
  });
}

async function silence({ runtimes }: CaseClients, ...intents: readonly string[]) {
  await runtimes.ensureRuntime({ runtimeId });
  return await runtimes.setSilentIntents({ runtimeId, intents: [...intents] });
}

describe("a runtime with silent intents", () => {
  it("queues the request as context for the next natural run", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await silence(clients, "status");
    const { outcome } = await runtimes.ingest({ runtimeId, input: request("a", "status") });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: { policy: { applyMode: ApplyMode.STAGE_RUN_START, wakeMode: WakeMode.NONE } },
    });
    expect(await readRuntime(clients, runtimeId)).toMatchObject({ wake: false, runnable: false });
    await runtimes.ingest({ runtimeId, input: request("b", "review") });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["a", "b"]);
    await executors.completeRun(completionOf(run));
  });

  it("shows them, tells watchers of a change, and refuses nothing that is not wrong", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const first = await silence(clients, "b", "a", "b");
    expect(first.runtime?.silentIntents).toEqual(["a", "b"]);
    const again = await silence(clients, "a", "b");
    expect(again.revision).toBe(first.revision);
    const { runtimes: listed } = await runtimes.listRuntimes({});
    expect(listed.map((runtime) => runtime.silentIntents)).toEqual([["a", "b"]]);
    const watch = runtimes.watchRuntime({ runtimeId, after: { revision: 1n } });
    for await (const { message } of watch) {
      if (message.case !== "event") continue;
      expect(message.value).toMatchObject({
        eventCode: "topology.silent_intents_set",
        event: { value: { change: TopologyChange.SILENT_INTENTS_SET } },
      });
      break;
    }
  });

  it("recycle keeps them, and so does a restart of the server", async () => {
    const database = openSharedDatabase();
    const clients = await database.serve();
    await silence(clients, "status");
    await clients.runtimes.recycle({ runtimeId });
    const restarted = await database.restart();
    expect((await readRuntime(restarted, runtimeId)).silentIntents).toEqual(["status"]);
    await restarted.runtimes.ingest({ runtimeId, input: request("a", "status") });
    expect((await readRuntime(restarted, runtimeId)).wake).toBe(false);
    await database.close();
  });

  it("is told the fields that are wrong", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const intents = Array.from({ length: 65 }, (_, index) => `intent-${index}`);
    const many = await refusalOf(runtimes.setSilentIntents({ runtimeId, intents }));
    expect([many.reason, many.fields]).toEqual(["INVALID_FIELD", ["intents"]]);
    const blank = await refusalOf(runtimes.setSilentIntents({ runtimeId, intents: ["a", ""] }));
    expect(blank.fields).toEqual(["intents[1]"]);
    const { reason } = await refusalOf(runtimes.setSilentIntents({ runtimeId, intents: ["a"] }));
    expect(reason).toBe("RUNTIME_NOT_REGISTERED");
  });

  it("wakes for a prompt as ever", async () => {
    const clients = clientsOf(deployment.url);
    await silence(clients, "status");
    await clients.runtimes.ingest({ runtimeId, input: prompt("status") });
    expect((await readRuntime(clients, runtimeId)).wake).toBe(true);
  });
});
