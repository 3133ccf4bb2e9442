// Work between streams that one replica began and never went on with: another one does.
import { expect, it } from "vitest";
import { formerVerdictOn } from "../../src/core/grants/open-work.ts";
import { completeRegistration } from "../../src/core/process/core-types.ts";
import { processIdOf, runtimeIdOf, sessionIdOf } from "../../src/core/shared/ids.ts";
import { flowEnvelope, grantsStreamOf, processStreamOf } from "../../src/flows/flow-streams.ts";
import { makeWorld, type Replica, type World } from "./support/dispatch-world.ts";
import { ensure } from "./support/replica-calls.ts";

const P = processIdOf("p");
const NAMESPACE = "default";
const PROCESS = processStreamOf(NAMESPACE, P);
const SOURCE = grantsStreamOf(NAMESPACE, "source");
const TARGET = grantsStreamOf(NAMESPACE, "target");

/** Two replicas, the first of which commits and does nothing else; a process with a wake type. */
async function halfDead(): Promise<{ world: World; silent: Replica; other: Replica }> {
  const world = makeWorld();
  const silent = await world.addReplica("a");
  const other = await world.addReplica("b");
  await world.elapse(3000);
  silent.controlPlane.retreat();
  const registration = completeRegistration({
    input: { type: "external", metadata: {} },
    eventTypes: [
      {
        name: "news",
        payloadSchema: true,
        semantics: { wake: { input: { type: "payload" }, dedupe: { type: "event_identity" } } },
      },
    ],
    provenance: { originator: { type: "host" } },
    disposition: "externally_owned",
    labels: {},
  });
  const command = {
    type: "register_process" as const,
    processId: P,
    registration,
    registrationHash: "hash",
  };
  await world.pass(silent.controlPlane.processes.submit(PROCESS, flowEnvelope(command)));
  return { world, silent, other };
}

it("a grant is shown once another replica has told the process", async () => {
  const { world, silent, other } = await halfDead();
  const { grants } = silent.controlPlane;
  const command = { type: "grant_handle" as const, frameId: "", processId: P, descriptor: {} };
  const { state } = await world.pass(grants.submit(SOURCE, flowEnvelope(command)));
  expect(state.openHolds.size).toBe(1);
  await world.elapse(10_000);
  const settled = await world.pass(other.controlPlane.grants.fresh(SOURCE));
  expect([...settled.state.grants.values()].map(({ pending }) => pending)).toEqual([false]);
  const { state: process } = await world.pass(other.controlPlane.processes.fresh(PROCESS));
  expect(process.holderCount).toBe(1);
});

it("a transfer that was begun is finished, and the source holds nothing any more", async () => {
  const { world, silent, other } = await halfDead();
  const { grants } = silent.controlPlane;
  const grant = { type: "grant_handle" as const, frameId: "", processId: P, descriptor: {} };
  await world.pass(grants.submit(SOURCE, flowEnvelope(grant)));
  await world.elapse(10_000);
  const begin = {
    type: "begin_transfer" as const,
    fromFrameId: "",
    toSessionId: sessionIdOf("target"),
    toFrameId: "",
    processIds: [P],
  };
  await world.pass(grants.submit(SOURCE, flowEnvelope(begin)));
  await world.elapse(15_000);
  const source = await world.pass(other.controlPlane.grants.fresh(SOURCE));
  expect([source.state.transfers.size, source.state.holds.size]).toEqual([0, 0]);
  const target = await world.pass(other.controlPlane.grants.fresh(TARGET));
  expect(formerVerdictOn(target.state, sessionIdOf("source"), 1)).toBe("accepted");
  expect(target.state.grants.size).toBe(1);
  const { state: process } = await world.pass(other.controlPlane.processes.fresh(PROCESS));
  expect([...process.holders.entries()].filter(([, { held }]) => held)).toHaveLength(1);
});

/** Has the process log news for a runtime. */
function append(world: World, { controlPlane }: Replica, runtimeId: string) {
  const command = {
    type: "append_event" as const,
    processId: P,
    eventType: "news",
    payload: "news",
    bodyHash: "hash",
    wakeRuntimeId: runtimeIdOf(runtimeId),
    schemaVerdict: { type: "valid" as const },
  };
  return world.pass(controlPlane.processes.submit(PROCESS, flowEnvelope(command)));
}

it("a wake is delivered that stands in the outbox only", async () => {
  const { world, silent, other } = await halfDead();
  await world.pass(ensure(other, "r"));
  await append(world, silent, "r");
  await world.elapse(10_000);
  const { state } = await world.pass(other.controlPlane.processes.fresh(PROCESS));
  expect(state.outbox.size).toBe(0);
  expect(state.events.get(1)?.wake?.settlement).toMatchObject({ type: "delivered" });
  const { runtime } = await world.pass(other.runtimes.getRuntime({ runtimeId: "r" }));
  expect(runtime?.inputCounts?.accepted).toBe(1n);
});

it("a runtime that is not there is asked for less and less often", async () => {
  const { world, silent, other } = await halfDead();
  await append(world, silent, "nobody");
  const read = () => world.pass(other.controlPlane.processes.fresh(PROCESS));
  await world.elapse(100_000);
  const { attempts = 0 } = (await read()).state.outbox.get(1) ?? {};
  expect(attempts).toBeGreaterThanOrEqual(5);
  expect(attempts).toBeLessThanOrEqual(8);
  await world.pass(ensure(other, "nobody"));
  await world.elapse(130_000);
  expect((await read()).state.outbox.size).toBe(0);
});
