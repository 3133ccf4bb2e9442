// Background tasks of the reference, rebuilt over the wire: what a session begins, ends, cancels
// and waits for. The cases have the names of the reference's operations.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ProcessDisposition } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  TaskCancelPolicy,
  TaskKind,
  TaskState,
  TaskVisibility,
} from "../../gen/keelson/task/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { engine, failure, historyOf, json, readProcess, success } from "./support/processes.ts";
import {
  hidden,
  listedTasks,
  managed,
  openSessions,
  readTask,
  recorded,
  taskIn,
} from "./support/tasks.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const S = "session-s";
const AT_ONCE = {};
const SOON = { timeout: 20_000 };
const cancelled = { output: { case: "cancelled", value: { message: "stopped" } } } as const;

async function opened(...sessionIds: readonly string[]): Promise<CaseClients> {
  const clients = clientsOf(deployment.url);
  await openSessions(clients, ...(sessionIds.length === 0 ? [S] : sessionIds));
  return clients;
}

async function untilState(clients: CaseClients, taskId: string, state: TaskState): Promise<void> {
  const look = async (): Promise<TaskState> => (await readTask(clients, S, taskId)).state;
  await expect.poll(look, SOON).toBe(state);
}

describe("hidden tasks", () => {
  it("spawn_hidden_task: runs unlisted, and needs a known session", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const task = taskIn(await tasks.spawnTask(hidden(S, "h1")));
    expect(task).toMatchObject({ state: TaskState.PENDING, visibility: TaskVisibility.HIDDEN });
    expect(await listedTasks(clients, S)).toEqual([]);
    expect(await readTask(clients, S, "h1")).toMatchObject({ taskId: "h1", sessionId: S });
    expect(await refusalOf(tasks.spawnTask(hidden("nobody", "h1")))).toMatchObject({
      reason: "RUNTIME_NOT_REGISTERED",
    });
  });

  it("await_hidden_tasks: waits for later ones too, and tells of the first failure", async () => {
    const clients = await opened();
    const { tasks } = clients;
    expect(await tasks.awaitHidden({ sessionId: S, timeout: AT_ONCE })).toMatchObject({
      drained: true,
      liveCount: 0,
    });
    await tasks.spawnTask(hidden(S, "h1"));
    expect(await tasks.awaitHidden({ sessionId: S, timeout: AT_ONCE })).toMatchObject({
      drained: false,
      liveCount: 1,
    });
    const waiting = tasks.awaitHidden({ sessionId: S });
    await tasks.spawnTask(hidden(S, "h2"));
    await tasks.completeTask({ sessionId: S, taskId: "h1", output: failure("broke") });
    await tasks.spawnTask(hidden(S, "h3"));
    await tasks.completeTask({ sessionId: S, taskId: "h3", output: failure("broke-too") });
    await tasks.completeTask({ sessionId: S, taskId: "h2", output: success(1) });
    const { drained, firstFailure, asOf } = await waiting;
    expect([drained, firstFailure?.taskId, firstFailure?.state]).toEqual([
      true,
      "h1",
      TaskState.FAILED,
    ]);
    const again = await tasks.awaitHidden({ sessionId: S, ...(asOf && { endedSince: asOf }) });
    expect([again.drained, again.firstFailure]).toEqual([true, undefined]);
  });
});

describe("managed tasks", () => {
  it("spawn_managed_task: a live id is taken, that of an ended task is used again", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const first = taskIn(await tasks.spawnTask(managed(S, "m1")));
    expect(await refusalOf(tasks.spawnTask(managed(S, "m1")))).toMatchObject({
      reason: "TASK_ALREADY_EXISTS",
      metadata: { taskId: "m1", processId: first.processId },
    });
    await tasks.completeTask({ sessionId: S, taskId: "m1", output: success({ rows: 3 }) });
    const second = taskIn(await tasks.spawnTask(managed(S, "m1", { kind: TaskKind.OBSERVER })));
    expect(second.processId).not.toBe(first.processId);
    expect(await listedTasks(clients, S)).toEqual(["m1"]);
    expect(await readTask(clients, S, "m1")).toMatchObject({ processId: second.processId });
  });

  it("of spawns of one id at the same time one is answered", async () => {
    const clients = await opened();
    const spawns = Array.from({ length: 8 }, (_, index) =>
      clients.tasks.spawnTask(managed(S, "m1", { producer: `producer-${index}` })),
    );
    const ends = await Promise.allSettled(spawns);
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await listedTasks(clients, S)).toEqual(["m1"]);
  });

  it("a spawn with the same request id is answered with the same task", async () => {
    const clients = await opened();
    const call = { ...managed(S, "m1"), requestId: "spawn-1" };
    const first = taskIn(await clients.tasks.spawnTask(call));
    expect(taskIn(await clients.tasks.spawnTask(call)).processId).toBe(first.processId);
    await clients.tasks.completeTask({ sessionId: S, taskId: "m1", output: success(1) });
    expect(taskIn(await clients.tasks.spawnTask(call))).toMatchObject({
      processId: first.processId,
      state: TaskState.COMPLETED,
    });
  });

  it("cancel_managed_task: asked first, then ended after the grace", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    const grace = { nanos: 1_000_000 };
    const asked = taskIn(
      await tasks.cancelTask({ sessionId: S, taskId: "m1", grace, reason: "no" }),
    );
    expect(asked).toMatchObject({
      state: TaskState.CANCEL_REQUESTED,
      cancelRequest: { reason: "no" },
    });
    expect(asked.abortAt).toBeDefined();
    await untilState(clients, "m1", TaskState.CANCELLED);
    const ended = await readTask(clients, S, "m1");
    expect(ended.output?.output.case).toBe("cancelled");
    expect(ended.completedAt).toBeDefined();
  });
});

it("a session whose process state was deleted begins no task", async () => {
  const clients = await opened();
  await clients.tasks.spawnTask(managed(S, "m1"));
  await clients.processes.deleteSessionProcessState({ sessionId: S });
  expect(await refusalOf(clients.tasks.spawnTask(managed(S, "m2")))).toMatchObject({
    reason: "SESSION_DELETED",
  });
  expect(await listedTasks(clients, S)).toEqual([]);
});

describe("tasks run by workers", () => {
  it("a worker ends its task under its lease, and nobody else does", async () => {
    const clients = await opened();
    const { tasks, processes } = clients;
    const registration = { ...engine("") };
    delete registration.provenance;
    const worker = { case: "worker", value: { registration } } as const;
    const task = taskIn(await tasks.spawnTask({ ...managed(S, "w1"), runner: worker }));
    expect(task).toMatchObject({ runByWorker: true, state: TaskState.PENDING });
    expect(await readProcess(clients, task.processId)).toMatchObject({
      claimable: true,
      disposition: ProcessDisposition.RERUNNABLE,
      provenance: { originator: { case: "session", value: { sessionId: S } } },
    });
    const done = { sessionId: S, taskId: "w1", output: success(1) };
    expect(await refusalOf(tasks.completeTask(done))).toMatchObject({
      reason: "AUTHORITY_REFUSED",
    });
    const asked = await tasks.cancelTask({ sessionId: S, taskId: "w1" });
    expect(taskIn(asked).state).toBe(TaskState.CANCEL_REQUESTED);
    expect(await historyOf(clients, task.processId)).toEqual([[1, "process.cancel_requested"]]);
    const stopped = await tasks.cancelTask({ sessionId: S, taskId: "w1", grace: {}, wait: true });
    expect(taskIn(stopped).state).toBe(TaskState.CANCELLED);
    const late = await processes.cancelProcess({ processId: task.processId, reason: "late" });
    expect(late.process?.state).toBeDefined();
    expect((await readTask(clients, S, "w1")).state).toBe(TaskState.CANCELLED);
  });
});

describe("external tasks", () => {
  it("register_background_task: runs from the beginning, as an async handle does", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const metadata = json({ url: "https://ci.example/7" });
    const task = taskIn(
      await tasks.registerTask({
        ...recorded(S, "e1", {
          parentTaskId: "m1",
          childSessionId: "child",
          cancelPolicy: TaskCancelPolicy.EXTERNAL,
          attempt: { attempt: 2, attemptsMax: 3, idempotencyKey: "build-7" },
          labels: { team: "a" },
        }),
        runner: { metadata },
      }),
    );
    expect(task).toMatchObject({
      state: TaskState.RUNNING,
      visibility: TaskVisibility.EXTERNAL,
      parentTaskId: "m1",
      childSessionId: "child",
      cancelPolicy: TaskCancelPolicy.EXTERNAL,
      attempt: { attempt: 2, attemptsMax: 3, idempotencyKey: "build-7" },
      labels: { team: "a" },
      runByWorker: false,
    });
    expect(await listedTasks(clients, S)).toEqual(["e1"]);
    expect(await refusalOf(tasks.registerTask(recorded("nobody", "e1")))).toMatchObject({
      reason: "RUNTIME_NOT_REGISTERED",
    });
  });

  it("unregister_background_task: the row goes, and a live task ends with it", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const { processId } = taskIn(await tasks.registerTask(recorded(S, "e1")));
    const call = { sessionId: S, taskId: "e1", requestId: "unregister-1" };
    const first = await tasks.unregisterTask(call);
    expect(first.unregistered).toBe(true);
    expect(await tasks.unregisterTask(call)).toEqual(first);
    expect(await listedTasks(clients, S)).toEqual([]);
    expect((await readProcess(clients, processId)).end?.output?.output.case).toBe("cancelled");
    expect(await tasks.unregisterTask({ sessionId: S, taskId: "e1" })).toMatchObject({
      unregistered: false,
      revision: 0n,
    });
    expect(taskIn(await tasks.registerTask(recorded(S, "e1"))).processId).not.toBe(processId);
    await tasks.spawnTask(managed(S, "m1"));
    expect(await refusalOf(tasks.unregisterTask({ sessionId: S, taskId: "m1" }))).toMatchObject({
      reason: "TASK_LIVE",
    });
  });

  it("cancel of an external policy is asked and never ended by the server", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "e1", { cancelPolicy: TaskCancelPolicy.EXTERNAL }));
    const asked = taskIn(await tasks.cancelTask({ sessionId: S, taskId: "e1", grace: {} }));
    expect([asked.state, asked.abortAt]).toEqual([TaskState.CANCEL_REQUESTED, undefined]);
    const waited = await tasks.cancelTask({ sessionId: S, taskId: "e1", wait: true, timeout: {} });
    expect(taskIn(waited).state).toBe(TaskState.CANCEL_REQUESTED);
    await tasks.completeTask({ sessionId: S, taskId: "e1", output: cancelled });
    expect((await readTask(clients, S, "e1")).state).toBe(TaskState.CANCELLED);
  });
});

describe("states", () => {
  it("complete_background_task: an ended task stays as it is (decision 28)", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "e1"));
    const named = { sessionId: S, taskId: "e1" };
    const first = await tasks.completeTask({ ...named, output: success({ rows: 3 }) });
    expect([first.changed, taskIn(first).state]).toEqual([true, TaskState.COMPLETED]);
    expect(taskIn(first).output).toMatchObject({ output: { case: "success" } });
    const second = await tasks.completeTask({ ...named, output: failure("late") });
    expect([second.changed, taskIn(second).state]).toEqual([false, TaskState.COMPLETED]);
    const unknown = await tasks.completeTask({ ...named, taskId: "x", output: success(1) });
    expect([unknown.changed, unknown.task, unknown.revision]).toEqual([false, undefined, 0n]);
    const abandoned = { output: { case: "abandoned", value: { writer: 1 } } } as const;
    expect(await refusalOf(tasks.completeTask({ ...named, output: abandoned }))).toMatchObject({
      reason: "INVALID_FIELD",
    });
  });

  it("transition_background_task_live_state: running and waiting, while it lives", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    const named = { sessionId: S, taskId: "m1" };
    const running = await tasks.transitionTask({ ...named, state: TaskState.RUNNING });
    expect([running.changed, taskIn(running).state]).toEqual([true, TaskState.RUNNING]);
    const waiting = await tasks.transitionTask({ ...named, state: TaskState.WAITING });
    expect(taskIn(waiting).state).toBe(TaskState.WAITING);
    const again = await tasks.transitionTask({ ...named, state: TaskState.WAITING });
    expect([again.changed, again.revision]).toEqual([false, waiting.revision]);
    for (const state of [TaskState.PENDING, TaskState.CANCELLED, TaskState.UNSPECIFIED]) {
      expect(await refusalOf(tasks.transitionTask({ ...named, state }))).toMatchObject({
        reason: "INVALID_FIELD",
      });
    }
    await tasks.completeTask({ ...named, output: success(1) });
    const late = await tasks.transitionTask({ ...named, state: TaskState.RUNNING });
    expect([late.changed, taskIn(late).state]).toEqual([false, TaskState.COMPLETED]);
    const unknown = await tasks.transitionTask({ ...named, taskId: "x", state: TaskState.RUNNING });
    expect([unknown.changed, unknown.task]).toEqual([false, undefined]);
  });

  it("cancel_background_task: an ended task is never flipped (decision 28)", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    await tasks.completeTask({ sessionId: S, taskId: "m1", output: success(1) });
    const late = taskIn(await tasks.cancelTask({ sessionId: S, taskId: "m1", grace: {} }));
    expect([late.state, late.cancelRequest]).toEqual([TaskState.COMPLETED, undefined]);
    expect(await refusalOf(tasks.cancelTask({ sessionId: S, taskId: "x" }))).toMatchObject({
      reason: "TASK_NOT_FOUND",
      metadata: { sessionId: S, taskId: "x" },
    });
  });

  it("cancel_background_task: told once, an earlier end of the grace counts", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const { processId } = taskIn(await tasks.spawnTask(managed(S, "m1")));
    const named = { sessionId: S, taskId: "m1" };
    const first = taskIn(await tasks.cancelTask({ ...named, reason: "first" }));
    const second = taskIn(
      await tasks.cancelTask({ ...named, reason: "second", grace: { seconds: 3600n } }),
    );
    expect(second.cancelRequest).toEqual(first.cancelRequest);
    expect(second.abortAt).toEqual(first.abortAt);
    expect(await historyOf(clients, processId)).toEqual([[1, "process.cancel_requested"]]);
    const last = taskIn(await tasks.cancelTask({ ...named, grace: {}, wait: true }));
    expect(last.state).toBe(TaskState.CANCELLED);
    expect(await historyOf(clients, processId)).toEqual([
      [1, "process.cancel_requested"],
      [2, "process.cancelled"],
    ]);
  });

  it("a task that its runner ends within the grace ends as the runner says", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    const waiting = tasks.cancelTask({ sessionId: S, taskId: "m1", wait: true });
    await untilState(clients, "m1", TaskState.CANCEL_REQUESTED);
    await tasks.completeTask({ sessionId: S, taskId: "m1", output: success("in time") });
    expect(taskIn(await waiting).state).toBe(TaskState.COMPLETED);
  });
});
