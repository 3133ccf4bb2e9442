// Executors are told of the background tasks of the sessions whose runtimes they hold: over their
// stream or their polls, at whatever replica they are attached, again after they attached anew.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExecutorControl } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { TaskCancelPolicy, TaskKind, TaskState } from "../../gen/keelson/task/v1/messages_pb.ts";
import { attach, type AttachedExecutor, identity } from "./support/attached-executor.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { success } from "./support/processes.ts";
import { managed, openSessions, readTask, recorded, taskIn } from "./support/tasks.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const S = "session-s";
const SOON = { timeout: 20_000 };

/** What an executor was told about tasks, in order: `cancel m1`, `stop m1` or `abort m1`. */
function tasksTold(controls: readonly ExecutorControl[]): readonly string[] {
  return controls.flatMap(({ control }) => {
    switch (control.case) {
      case "cancelTask":
        return [`cancel ${control.value.taskId}`];
      case "stopMonitor":
        return [`stop ${control.value.taskId}`];
      case "abortTask":
        return [`abort ${control.value.taskId}`];
      default:
        return [];
    }
  });
}

async function attached(
  clients: CaseClients,
  who = identity("executor"),
): Promise<AttachedExecutor> {
  const executor = attach(clients.executors, who, { runtimeIds: [S] });
  await expect.poll(() => executor.grants.length, SOON).toBeGreaterThan(0);
  return executor;
}

describe("an executor that holds the runtime of a session", () => {
  it("is told to cancel, and after the grace to drop the task, once each", async () => {
    const clients = clientsOf(deployment.url);
    await openSessions(clients, S);
    const executor = await attached(clients);
    const { processId } = taskIn(await clients.tasks.spawnTask(managed(S, "m1")));
    const grace = { nanos: 500_000_000 };
    const named = { sessionId: S, taskId: "m1", reason: "enough", grace };
    await clients.tasks.cancelTask(named);
    await clients.tasks.cancelTask(named);
    await expect.poll(() => tasksTold(executor.controls), SOON).toEqual(["cancel m1", "abort m1"]);
    expect(executor.controls[0]).toMatchObject({
      runtimeId: S,
      reason: "enough",
      control: { value: { taskId: "m1", processId } },
    });
    expect((await readTask(clients, S, "m1")).state).toBe(TaskState.CANCELLED);
    executor.disconnect();
  });

  it("is told to stop a monitor", async () => {
    const clients = clientsOf(deployment.url);
    await openSessions(clients, S);
    const executor = await attached(clients);
    const monitor = { kind: TaskKind.MONITOR };
    await clients.tasks.spawnTask(managed(S, "monitor:m1", monitor));
    const waiting = clients.tasks.cancelTask({ sessionId: S, taskId: "monitor:m1", wait: true });
    await expect.poll(() => tasksTold(executor.controls), SOON).toEqual(["stop monitor:m1"]);
    const output = { output: { case: "cancelled", value: { message: "stopped" } } } as const;
    await clients.tasks.completeTask({ sessionId: S, taskId: "monitor:m1", output });
    expect(taskIn(await waiting).state).toBe(TaskState.CANCELLED);
    executor.disconnect();
  });

  it("is only told to drop a task that is aborted at once", async () => {
    const clients = clientsOf(deployment.url);
    await openSessions(clients, S);
    const executor = await attached(clients);
    const cancelPolicy = TaskCancelPolicy.ABORT_LOCAL;
    await clients.tasks.spawnTask(managed(S, "m1", { cancelPolicy }));
    await clients.tasks.cancelTask({ sessionId: S, taskId: "m1", wait: true });
    await expect.poll(() => tasksTold(executor.controls), SOON).toEqual(["abort m1"]);
    executor.disconnect();
  });

  it("learns when it attaches of what was to be cancelled before, until it is over", async () => {
    const clients = clientsOf(deployment.url);
    await openSessions(clients, S);
    const cancelPolicy = TaskCancelPolicy.EXTERNAL;
    await clients.tasks.registerTask(recorded(S, "e1", { cancelPolicy }));
    await clients.tasks.registerTask(recorded(S, "e2", { cancelPolicy }));
    await clients.tasks.cancelTask({ sessionId: S, taskId: "e1" });
    const who = identity("executor");
    const first = await attached(clients, who);
    await expect.poll(() => tasksTold(first.controls), SOON).toEqual(["cancel e1"]);
    first.disconnect();
    const second = await attached(clients, who);
    await expect.poll(() => tasksTold(second.controls), SOON).toEqual(["cancel e1"]);
    second.disconnect();
    await clients.tasks.completeTask({ sessionId: S, taskId: "e1", output: success(1) });
    await clients.tasks.cancelTask({ sessionId: S, taskId: "e2" });
    const third = await attached(clients, who);
    await expect.poll(() => tasksTold(third.controls), SOON).toEqual(["cancel e2"]);
    third.disconnect();
  });

  it("of another session is told of a task from its transfer on", async () => {
    const clients = clientsOf(deployment.url);
    const T = "session-t";
    await openSessions(clients, S, T);
    const former = await attached(clients);
    const present = attach(clients.executors, identity("present"), { runtimeIds: [T] });
    await expect.poll(() => present.grants.length, SOON).toBeGreaterThan(0);
    await clients.tasks.spawnTask(managed(S, "m1"));
    await clients.tasks.transferHandles({
      fromSessionId: S,
      toSessionId: T,
      taskIds: ["m1"],
    });
    await clients.tasks.cancelTask({ sessionId: T, taskId: "m1" });
    await expect.poll(() => tasksTold(present.controls), SOON).toEqual(["cancel m1"]);
    expect(tasksTold(former.controls)).toEqual([]);
    former.disconnect();
    present.disconnect();
  });

  it("learns by its polls, too", async () => {
    const clients = clientsOf(deployment.url);
    await openSessions(clients, S);
    const poller = { ...identity("poller"), runtimeIds: [S] };
    await clients.executors.pollRun({ ...poller, timeout: {} });
    await clients.tasks.spawnTask(managed(S, "m1"));
    const holds = async (): Promise<string> => {
      await clients.executors.pollRun({ ...poller, timeout: {} });
      const { runtime } = await clients.runtimes.getRuntime({ runtimeId: S });
      return runtime?.executor?.executorId ?? "";
    };
    await expect.poll(holds, SOON).toBe(poller.executorId);
    await clients.tasks.cancelTask({ sessionId: S, taskId: "m1" });
    const told = async (): Promise<readonly string[]> => {
      return tasksTold((await clients.executors.pollRun({ ...poller, timeout: {} })).controls);
    };
    await expect.poll(told, SOON).toEqual(["cancel m1"]);
  });
});

it("clients cannot publish what is said of tasks", async () => {
  const clients = clientsOf(deployment.url);
  await openSessions(clients, S);
  const call = clients.runtimes.publishEvent({ runtimeId: S, eventCode: "task.cancel_task" });
  expect(await refusalOf(call)).toMatchObject({ reason: "EVENT_CODE_RESERVED" });
});
