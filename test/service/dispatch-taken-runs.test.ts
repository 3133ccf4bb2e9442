// Runs that callers took with their inputs: a caller is an executor like any other, and what it
// does not bring to an end goes to the executors of the pool.
import { describe, expect, it } from "vitest";
import { LeaseLossReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { InputState, RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, identity, keepRenewing, nameOf, renew } from "./support/attached-executor.ts";
import { makeWorld, type Replica } from "./support/dispatch-world.ts";
import { prompt } from "./support/inputs.ts";
import { ensure, inputAt, stateOf } from "./support/replica-calls.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const POOL = { pool: "default" };
const TTL_MS = 30_000;

async function steadyReplica() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  await world.elapse(TTL_MS + 2000);
  await world.pass(ensure(a, "r"));
  return { world, a, executors: a.executors };
}

async function take({ runtimes }: Replica, caller: ReturnType<typeof identity>) {
  const input = prompt("x", { inputId: "i" });
  const { run } = await runtimes.ingestAndRun({ runtimeId: "r", input, ...caller });
  if (!run) throw new Error("an answer without a run");
  return run;
}

describe("a caller", () => {
  it("that vanishes is a lapsed lease: the input goes to the pool, counted", async () => {
    const { world, a, executors } = await steadyReplica();
    const run = await world.pass(take(a, identity("caller")));
    const heir = attach(executors, identity("heir"), POOL);
    keepRenewing(world.clock, TTL_MS / 3, () => renew(executors, heir, heir.runs));
    await world.elapse(TTL_MS - 2000);
    expect([await world.pass(stateOf(a, "r")), heir.runs]).toEqual([RuntimeState.RUNNING, []]);
    await world.until(() => heir.runs.length === 1);
    expect(heir.runs[0]).toMatchObject({ attempt: 2, generation: 2n });
    expect(await world.pass(inputAt(a, "r", "i"))).toEqual({
      state: InputState.STAGED,
      attempts: 1,
    });
    const { runtimeId, runId, generation } = run;
    const late = executors.cancelRun({ runtimeId, runId, generation });
    expect(await world.pass(wireErrorOf(late))).toMatchObject({ reason: "LEASE_LOST" });
  });

  it("that renews keeps its run for as long as it wants", async () => {
    const { world, a, executors } = await steadyReplica();
    const caller = identity("caller");
    const run = await world.pass(take(a, caller));
    const heldRunIds = [run.runId];
    keepRenewing(world.clock, TTL_MS / 3, () => executors.renewLeases({ ...caller, heldRunIds }));
    await world.elapse(TTL_MS * 4);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.RUNNING);
    const { runtimeId, runId, generation } = run;
    await world.pass(executors.cancelRun({ runtimeId, runId, generation }));
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.IDLE);
  });

  it("that is attached too gets the run with the answer alone, and news of it", async () => {
    const { world, a, executors } = await steadyReplica();
    const caller = attach(executors, identity("caller"), POOL);
    await world.elapse(100);
    const run = await world.pass(take(a, caller));
    await world.elapse(2000);
    expect(caller.runs).toEqual([]);
    await world.pass(a.runtimes.interruptRun({ runtimeId: "r" }));
    await world.until(() => caller.controls.length === 1);
    await world.pass(a.runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.until(() => caller.losses.length === 1);
    expect(caller.losses).toMatchObject([{ runId: run.runId, reason: LeaseLossReason.FENCED }]);
  });

  it("whose answer was lost is sent the run when it attaches without naming it", async () => {
    const { world, a, executors } = await steadyReplica();
    const lost = identity("caller");
    const run = await world.pass(take(a, lost));
    const caller = attach(executors, lost, POOL);
    await world.until(() => caller.runs.length === 1);
    expect(caller.runs.map(nameOf)).toEqual([
      { runtimeId: "r", runId: run.runId, generation: run.generation },
    ]);
  });
});
