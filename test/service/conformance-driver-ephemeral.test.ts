// The ephemeral driver, where its cases are about more than one part of the runtime; the others
// stand beside the parts. One server in memory is the ephemeral mode (decision 15).
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  HandlingMode,
  type Input,
  InputLane,
  InputSchema,
  InputState,
  type PeerConvention,
  PeerConventionSchema,
  PeerInputSchema,
  PeerResponsePhase,
  PeerResponseStatus,
  RoutingDisposition,
  RunApplyBoundary,
  RuntimeState,
  WakeMode,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import {
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  wholeBoundary,
} from "./support/runs.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const peerRequestId = "request";
const RETRY_AT_ONCE = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };

const MESSAGE = create(PeerConventionSchema, { convention: { case: "message", value: {} } });
const PROGRESS = create(PeerConventionSchema, {
  convention: {
    case: "responseProgress",
    value: { peerRequestId, phase: PeerResponsePhase.PARTIAL_RESULT },
  },
});
const TERMINAL = create(PeerConventionSchema, {
  convention: {
    case: "responseTerminal",
    value: { peerRequestId, status: PeerResponseStatus.COMPLETED },
  },
});

function peer(inputId: string, convention: PeerConvention, handlingMode?: HandlingMode): Input {
  const value = create(PeerInputSchema, { convention, body: inputId });
  if (handlingMode !== undefined) value.handlingMode = handlingMode;
  return create(InputSchema, { inputId, kind: { case: "peer", value } });
}

it("progress_peer_staged_boundary: progress goes first, at a checkpoint", async () => {
  const clients = clientsOf(deployment.url);
  const { runtimes, executors } = clients;
  await runtimes.ingest({ runtimeId, ensure: true, input: peer("a", PROGRESS) });
  expect(await readRuntime(clients, runtimeId)).toMatchObject({ steerDepth: 1, runnable: false });
  await runtimes.ingest({ runtimeId, input: prompt("x", { inputId: "b" }) });
  const executor = identityOf("executor");
  const first = await takeRun(clients, executor, runtimeId);
  expect(first.primitive).toMatchObject({
    boundary: RunApplyBoundary.RUN_CHECKPOINT,
    contributingInputIds: ["a"],
  });
  await executors.completeRun(completionOf(first));
  const second = await takeRun(clients, executor, runtimeId);
  expect(second.primitive).toMatchObject({
    boundary: RunApplyBoundary.RUN_START,
    contributingInputIds: ["b"],
  });
});

it("on_run_failed_requests_wake_for_backlog", async () => {
  const clients = clientsOf(deployment.url);
  const { runtimes, executors } = clients;
  await runtimes.ensureRuntime({ runtimeId, config: { retryBackoff: RETRY_AT_ONCE } });
  for (const inputId of ["a", "b"]) {
    await runtimes.ingest({ runtimeId, input: prompt("x", { inputId }) });
  }
  const executor = identityOf("executor");
  const run = await holdRun(clients, executor, runtimeId);
  expect((await readRuntime(clients, runtimeId)).wake).toBe(false);
  await executors.failRun({ ...claimOf(run), recoverable: true });
  const { wake, queueDepth } = await readRuntime(clients, runtimeId);
  expect({ wake, queueDepth }).toEqual({ wake: true, queueDepth: 2 });
  const next = await takeRun(clients, executor, runtimeId);
  expect(next).toMatchObject({ attempt: 2, primitive: { contributingInputIds: ["a"] } });
});

it("recovery_applied_stays_applied: and is consumed by its receipt (decision 9)", async () => {
  const clients = clientsOf(deployment.url);
  const { runtimes, executors } = clients;
  const input = prompt("x", { inputId: "a" });
  await runtimes.ingest({ runtimeId, ensure: true, input });
  const run = await holdRun(clients, identityOf("executor"), runtimeId);
  await executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
  const { report } = await runtimes.recover({ runtimeId, fenceExecutor: true });
  expect(report).toMatchObject({ inputsAbandoned: 0, inputsRequeued: 0 });
  const target = { case: "inputId", value: "a" } as const;
  const found = await runtimes.getInput({ runtimeId, target });
  expect(found.input).toMatchObject({ state: InputState.CONSUMED, lastBoundarySequence: 0n });
});

it("accept_peer_response_terminal_with_handling_mode is accepted, in both lanes", async () => {
  const { runtimes } = clientsOf(deployment.url);
  const lanes = [
    [HandlingMode.QUEUE, InputLane.QUEUE],
    [HandlingMode.STEER, InputLane.STEER],
  ] as const;
  for (const [mode, lane] of lanes) {
    const input = peer(`in lane ${lane}`, TERMINAL, mode);
    const { outcome } = await runtimes.ingest({ runtimeId, ensure: true, input });
    expect(outcome).toMatchObject({ case: "accepted", value: { input: { lane } } });
  }
});

it("accept_peer_message_with_steer is accepted and routed to steer", async () => {
  const clients = clientsOf(deployment.url);
  const { runtimes } = clients;
  const input = peer("a", MESSAGE, HandlingMode.STEER);
  const { outcome } = await runtimes.ingest({ runtimeId, ensure: true, input });
  expect(outcome).toMatchObject({
    case: "accepted",
    value: {
      policy: {
        routingDisposition: RoutingDisposition.STEER,
        wakeMode: WakeMode.WAKE_IF_IDLE,
      },
      input: { lane: InputLane.STEER },
    },
  });
  expect(await readRuntime(clients, runtimeId)).toMatchObject({
    state: RuntimeState.IDLE,
    steerDepth: 1,
    runnable: true,
  });
});

it("post_admission_signal: what steers wakes also while a run is in flight", async () => {
  const clients = clientsOf(deployment.url);
  const { runtimes } = clients;
  await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
  await holdRun(clients, identityOf("executor"), runtimeId);
  const wakes: boolean[] = [];
  const inputs = [
    peer("passive", MESSAGE),
    peer("progress", PROGRESS),
    peer("steering", MESSAGE, HandlingMode.STEER),
  ];
  for (const input of inputs) {
    await runtimes.ingest({ runtimeId, input });
    wakes.push((await readRuntime(clients, runtimeId)).wake);
  }
  expect(wakes).toEqual([false, false, true]);
});
