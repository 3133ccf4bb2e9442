// A replica that stands still for so long that the others count it as gone, and whose commit lands
// when it wakes up: behind what watches were told to be complete. The clock is the case's.
import { expect, test } from "vitest";
import { completeRegistration } from "../../src/core/process/core-types.ts";
import { processIdOf } from "../../src/core/shared/ids.ts";
import type { TimedPoint } from "../../src/engine/ports.ts";
import { flowEnvelope, processStreamOf } from "../../src/flows/flow-streams.ts";
import { makeWorld, type Replica } from "./support/dispatch-world.ts";

const P = processIdOf("p");
const PROCESS = processStreamOf("default", P);

function register(replica: Replica) {
  const registration = completeRegistration({
    input: { type: "external", metadata: {} },
    eventTypes: [],
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
  return replica.controlPlane.processes.submit(PROCESS, flowEnvelope(command));
}

/** What is heard of the process at a replica, and up to when that is said to be everything. */
async function hearing(world: ReturnType<typeof makeWorld>, replica: Replica) {
  const heard: TimedPoint[] = [];
  const told = { until: 0 };
  const { tail } = replica.controlPlane.engine;
  const listening = tail.listen({
    met: (points) => void heard.push(...points.filter(({ stream }) => stream === PROCESS)),
    completed: (until) => {
      told.until = until;
    },
  });
  await world.pass(listening);
  return { heard, told };
}

test("what a replica lands on waking up is told behind every cursor given meanwhile", async () => {
  const world = makeWorld();
  const sleeper = await world.addReplica("a");
  const other = await world.addReplica("b");
  await world.elapse(3000);
  const { heard, told } = await hearing(world, other);
  const asleep = Promise.withResolvers<void>();
  // The commit is decided and on its way when the replica falls asleep.
  world.holds = ({ connection, port, method }) => {
    const isStuck = port === "replicas" || method === "append";
    return connection === "a" && isStuck ? asleep.promise : undefined;
  };
  const decidedAt = world.clock.nowMs();
  register(sleeper).catch(() => undefined);
  await world.until(() => told.until > decidedAt + 60_000);
  expect(heard).toEqual([]);
  const givenUntil = told.until;
  world.holds = () => undefined;
  asleep.resolve();
  await world.until(() => heard.length > 0);
  const [affirmed] = heard;
  expect(affirmed?.revision).toBe(2);
  expect(affirmed?.at).toBeGreaterThan(givenUntil);
  const { journal } = world.database.connect("look");
  const [late] = await world.pass(journal.readAt([{ stream: PROCESS, revision: 1 }]));
  expect(late?.at).toBeLessThan(givenUntil);
});

test("a commit of a replica that was there all the time is affirmed by nobody", async () => {
  const world = makeWorld();
  const replica = await world.addReplica("a");
  await world.pass(register(replica));
  await world.elapse(20_000);
  const gate = Promise.withResolvers<void>();
  world.holds = () => gate.promise;
  await world.elapse(10_000);
  world.holds = () => undefined;
  gate.resolve();
  await world.elapse(10_000);
  expect((await world.pass(replica.controlPlane.processes.fresh(PROCESS))).revision).toBe(1);
});
