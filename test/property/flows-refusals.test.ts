// Processes that cannot be told of a hold: for good, and for a while.
import { expect, test } from "vitest";
import { processAggregate } from "../../src/core/process/aggregate.ts";
import { namespaceOf, processIdOf, sessionIdOf } from "../../src/core/shared/ids.ts";
import { type RefusalReason, refusalOf, RefusedError } from "../../src/core/shared/refusal.ts";
import { flowEnvelope } from "../../src/flows/flow-streams.ts";
import { settleWorld } from "./support/flow-clients.ts";
import { nameOf } from "./support/flow-codec.ts";
import { judgeFlowWorld } from "./support/flow-judge.ts";
import { type FlowWorld, makeFlowWorld, SOUND_AGGREGATES } from "./support/flow-world.ts";
import { makeTape } from "./support/tape.ts";
import { settle } from "./support/wait.ts";

/** A world in which process `p` refuses every hold for as long as there is a reason. */
function refusingWorld(refusal: { reason?: RefusalReason }): FlowWorld {
  const world = makeFlowWorld({
    tape: makeTape([]),
    replicas: 1,
    aggregates: {
      ...SOUND_AGGREGATES,
      processes: {
        ...processAggregate,
        decide: (state, command, context) =>
          refusal.reason !== undefined && command.type === "hold" && command.processId === "p"
            ? { kind: "refuse", refusal: refusalOf(refusal.reason, "not now") }
            : processAggregate.decide(state, command, context),
      },
    },
  });
  settleWorld(world);
  return world;
}

/** Lets the world go on until a call is answered; what it is refused with, or nothing. */
async function reasonOf(world: FlowWorld, call: Promise<unknown>): Promise<string> {
  const seen = { reason: "" };
  call.then(
    () => {
      seen.reason = "answered";
    },
    (error: unknown) => {
      seen.reason = error instanceof RefusedError ? error.refusal.reason : String(error);
    },
  );
  for (let steps = 0; steps < 1000 && seen.reason === ""; steps += 1) {
    if (world.isBusy()) world.step();
    await settle(1);
  }
  return seen.reason;
}

async function rest(world: FlowWorld): Promise<void> {
  for (let rounds = 0; rounds < 20; rounds += 1) {
    while (world.isBusy()) {
      world.step();
      await settle(1);
    }
    world.elapse(120_000);
    await settle(2);
  }
}

function grant(world: FlowWorld, processId: string): Promise<unknown> {
  const [replica] = world.replicas();
  if (replica === undefined) throw new Error("nobody lives");
  return replica.calls.grant({
    namespace: namespaceOf("default"),
    sessionId: sessionIdOf("one"),
    envelope: flowEnvelope({
      type: "grant_handle" as const,
      frameId: "",
      processId: processIdOf(processId),
      descriptor: {},
    }),
  });
}

function stateOf(world: FlowWorld) {
  return world.database.fold(world.aggregates.grants, nameOf("grants", "one")).state;
}

test("a process that can take no further session gets no grant", async () => {
  const world = refusingWorld({ reason: "LIMIT_EXCEEDED" });
  expect(await reasonOf(world, grant(world, "p"))).toBe("LIMIT_EXCEEDED");
  await rest(world);
  expect(stateOf(world).grants.size).toBe(0);
  expect(judgeFlowWorld(world)).toEqual([]);
});

test("a process that cannot be told keeps no other grant from being given", async () => {
  const refusal: { reason?: RefusalReason } = { reason: "STREAM_QUARANTINED" };
  const world = refusingWorld(refusal);
  expect(await reasonOf(world, grant(world, "p"))).toBe("STREAM_QUARANTINED");
  expect(await reasonOf(world, grant(world, "q"))).toBe("answered");
  await rest(world);
  expect([...stateOf(world).grants.values()].map(({ pending }) => pending)).toEqual([true, false]);
  expect(stateOf(world).deferral?.attempts).toBeGreaterThan(3);
  delete refusal.reason;
  await rest(world);
  expect(stateOf(world).deferral).toBeNull();
  expect(judgeFlowWorld(world)).toEqual([]);
});
