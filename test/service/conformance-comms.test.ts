// What a draining executor brings in: it maps the messages of peers to inputs as the reference's
// bridge does, and the runtime makes of each what its row says.
import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ExternalEventInputSchema,
  HandlingMode,
  type Input,
  InputDurability,
  InputKind,
  InputLane,
  InputSchema,
  InputSourceSchema,
  InputState,
  type PeerInputSchema,
  PeerResponsePhase,
  PeerResponseStatus,
  RenderClass,
  RenderSalience,
  WakeMode,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, complete, identity } from "./support/attached-executor.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { readRuntime } from "./support/runs.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const LATE = { timeout: 10_000 };
const MESSAGE = { convention: { case: "message", value: {} } } as const;

function ask(intent: string) {
  const value = { peerRequestId: "interaction", intent };
  return { convention: { case: "request", value } } as const;
}

function answer(status: PeerResponseStatus) {
  const value = { peerRequestId: "interaction", status };
  return { convention: { case: "responseTerminal", value } } as const;
}

/** A peer's message as a drain brings it in: recognised by the interaction that it belongs to. */
function bridged(interactionId: string, value: MessageInitShape<typeof PeerInputSchema>): Input {
  return create(InputSchema, {
    inputId: interactionId,
    idempotencyKey: `peer:${interactionId}`,
    correlationId: interactionId,
    source: { origin: { case: "peer", value: { peerId: "peer-2", runtimeId: "other" } } },
    kind: { case: "peer", value },
  });
}

/** A runtime with an executor that drains what its peers send, and runs what comes of it. */
async function draining(clients: CaseClients) {
  await clients.runtimes.ensureRuntime({ runtimeId, config: { pool: "p" } });
  const terms = { pool: "p", capabilities: ["peer_drain"] };
  const executor = attach(clients.executors, identity("drain"), terms);
  const endpoint = { address: "inproc://agent", peerName: "agent", peerId: "peer-1" };
  await clients.runtimes.updatePeerIngress({ runtimeId, keepAlive: true, endpoint });
  await expect
    .poll(() => executor.controls.map(({ control }) => control.case), LATE)
    .toEqual(["spawnDrain"]);
  return executor;
}

/** The run of this number that an executor was told of, from 0. */
async function runOf(executor: Awaited<ReturnType<typeof draining>>, index: number) {
  await expect.poll(() => executor.runs.length, LATE).toBeGreaterThan(index);
  const run = executor.runs[index];
  if (run === undefined) throw new Error("a run that was told is gone");
  return run;
}

async function inputsOf({ runtimes }: CaseClients) {
  return (await runtimes.listInputs({ runtimeId, includePayload: true })).inputs;
}

describe("the wake rows", () => {
  it("a plain event is an external event, with its handling mode and how it is shown", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    const value = create(ExternalEventInputSchema, {
      eventType: "deploy",
      payload: fromJson(ValueSchema, { body: "all is up" }),
      handlingMode: HandlingMode.STEER,
      renderMetadata: {
        renderClass: RenderClass.SYSTEM_NOTICE,
        salience: RenderSalience.IMPORTANT,
      },
    });
    const kind = { case: "externalEvent", value } as const;
    const source = create(InputSourceSchema, {
      origin: { case: "external", value: { sourceName: "ci" } },
    });
    const input = create(InputSchema, { inputId: "event", source, kind });
    const { outcome } = await clients.runtimes.ingest({ runtimeId, input });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: {
        policy: { wakeMode: WakeMode.WAKE_IF_IDLE },
        input: { lane: InputLane.STEER, durability: InputDurability.DURABLE },
      },
    });
    const [stored] = await inputsOf(clients);
    expect(stored?.kind).toBe(InputKind.EXTERNAL_EVENT);
    expect(stored?.input).toMatchObject({ source, kind });
    expect((await runOf(executor, 0)).primitive?.contributingInputIds).toEqual(["event"]);
    executor.disconnect();
  });

  it("a message of a peer wakes the runtime, and carries its interaction", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    const input = bridged("interaction", { convention: MESSAGE, body: "hello" });
    await clients.runtimes.ingest({ runtimeId, input });
    expect((await runOf(executor, 0)).primitive?.contributingInputIds).toEqual(["interaction"]);
    const [stored] = await inputsOf(clients);
    expect(stored).toMatchObject({
      kind: InputKind.PEER_MESSAGE,
      correlationId: "interaction",
      lane: InputLane.QUEUE,
      input: { source: { origin: { value: { peerId: "peer-2", runtimeId: "other" } } } },
    });
    executor.disconnect();
  });

  it("a response that was accepted is progress: ephemeral, and wakes nobody", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    const value = { peerRequestId: "interaction", phase: PeerResponsePhase.ACCEPTED };
    const convention = { convention: { case: "responseProgress", value } } as const;
    const input = bridged("progress", { convention, body: "" });
    input.durability = InputDurability.EPHEMERAL;
    const { outcome } = await clients.runtimes.ingest({ runtimeId, input });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: { policy: { wakeMode: WakeMode.NONE } },
    });
    expect(await readRuntime(clients, runtimeId)).toMatchObject({ wake: false, runnable: false });
    expect(await inputsOf(clients)).toMatchObject([
      {
        kind: InputKind.PEER_RESPONSE_PROGRESS,
        durability: InputDurability.EPHEMERAL,
        state: InputState.QUEUED,
      },
    ]);
    executor.disconnect();
  });

  it.each([
    ["completed", PeerResponseStatus.COMPLETED],
    ["failed", PeerResponseStatus.FAILED],
  ])(
    "a response that %s is one terminal input, awaited, and nothing is made up after it",
    async (_name, status) => {
      const clients = clientsOf(deployment.url);
      const executor = await draining(clients);
      const input = bridged("response", { convention: answer(status), body: "the answer" });
      const waiting = clients.runtimes.ingestAndAwait({ runtimeId, input });
      await complete(clients.executors, await runOf(executor, 0), "read");
      const { completion } = await waiting;
      expect(completion?.outcome).toMatchObject({
        case: "completed",
        value: { result: { text: "read" } },
      });
      expect(await inputsOf(clients)).toMatchObject([
        { kind: InputKind.PEER_RESPONSE_TERMINAL, state: InputState.CONSUMED },
      ]);
      expect(await readRuntime(clients, runtimeId)).toMatchObject({ wake: false, runnable: false });
      expect(executor.runs).toHaveLength(1);
      executor.disconnect();
    },
  );

  it("a silent request is awaited, and completes with the next natural run", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const executor = await draining(clients);
    await runtimes.setSilentIntents({ runtimeId, intents: ["status"] });
    const input = bridged("silent", { convention: ask("status"), body: "how are you" });
    const admitted = await runtimes.ingest({ runtimeId, input });
    expect(admitted.outcome.case).toBe("accepted");
    const waiting = runtimes.ingestAndAwait({ runtimeId, input });
    expect(await readRuntime(clients, runtimeId)).toMatchObject({ wake: false, runnable: false });
    const natural = bridged("natural", { convention: MESSAGE, body: "hello" });
    await runtimes.ingest({ runtimeId, input: natural });
    const run = await runOf(executor, 0);
    expect(run.primitive?.contributingInputIds).toEqual(["silent", "natural"]);
    await complete(executors, run, "fine");
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "fine" } },
    });
    executor.disconnect();
  });

  it("an interaction that steers goes to the steer lane", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    const lanes = [
      [undefined, InputLane.QUEUE],
      [HandlingMode.STEER, InputLane.STEER],
    ] as const;
    for (const [handlingMode, lane] of lanes) {
      const mode = handlingMode === undefined ? {} : { handlingMode };
      const input = bridged(`to ${lane}`, { convention: ask("review"), body: "look", ...mode });
      const { outcome } = await clients.runtimes.ingest({ runtimeId, input });
      expect(outcome).toMatchObject({ case: "accepted", value: { input: { lane } } });
    }
    executor.disconnect();
  });
});

describe("a drain", () => {
  it("a message that two drains bring is taken in once", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    const input = bridged("interaction", { convention: MESSAGE, body: "hello" });
    const again = create(InputSchema, { ...input, inputId: "from the other drain" });
    const outcomes = await Promise.all(
      [input, again].map((each) => clients.runtimes.ingest({ runtimeId, input: each })),
    );
    const cases = new Set(outcomes.map(({ outcome }) => outcome.case));
    expect(cases).toEqual(new Set(["accepted", "deduplicated"]));
    expect(await inputsOf(clients)).toHaveLength(1);
    executor.disconnect();
  });

  it("what is not taken in is an outcome that the drain can answer its peer with", async () => {
    const clients = clientsOf(deployment.url);
    const executor = await draining(clients);
    await clients.runtimes.retire({ runtimeId });
    await expect
      .poll(() => executor.controls.map(({ control }) => control.case), LATE)
      .toEqual(["spawnDrain", "abortDrain"]);
    const input = bridged("late", { convention: MESSAGE, body: "hello" });
    const { outcome } = await clients.runtimes.ingest({ runtimeId, input });
    expect(outcome).toMatchObject({ case: "rejected", value: { reason: { case: "notReady" } } });
    executor.disconnect();
  });
});
