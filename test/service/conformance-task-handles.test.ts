// Background tasks of the reference, rebuilt over the wire: what a session sees, checks and hands
// over. The cases have the names of the reference's operations.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TaskKind, TaskState, TaskVisibility } from "../../gen/keelson/task/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { external, success } from "./support/processes.ts";
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
const T = "session-t";

async function opened(...sessionIds: readonly string[]): Promise<CaseClients> {
  const clients = clientsOf(deployment.url);
  await openSessions(clients, ...(sessionIds.length === 0 ? [S] : sessionIds));
  return clients;
}

describe("many tasks", () => {
  it("list_background_tasks: by their beginning, with pages and filters", async () => {
    const clients = await opened();
    const { tasks } = clients;
    for (const taskId of ["c", "a", "b"]) await tasks.spawnTask(managed(S, taskId));
    await tasks.registerTask(recorded(S, "e"));
    await tasks.completeTask({ sessionId: S, taskId: "a", output: success(1) });
    expect(await listedTasks(clients, S)).toEqual(["c", "a", "b", "e"]);
    const first = await tasks.listTasks({ sessionId: S, pageSize: 3 });
    expect(first.tasks.map(({ taskId }) => taskId)).toEqual(["c", "a", "b"]);
    const pageToken = first.nextPageToken;
    const second = await tasks.listTasks({ sessionId: S, pageSize: 3, pageToken });
    expect([second.tasks.map(({ taskId }) => taskId), second.nextPageToken]).toEqual([["e"], ""]);
    const filter = { states: [TaskState.PENDING], kinds: [TaskKind.SUBAGENT] };
    const pending = await tasks.listTasks({ sessionId: S, filter });
    expect(pending.tasks.map(({ taskId }) => taskId)).toEqual(["c", "b"]);
    const other = tasks.listTasks({ sessionId: S, filter, pageToken });
    expect(await refusalOf(other)).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
  });

  it("cancel_all_background_tasks: live and listed ones only", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    await tasks.spawnTask(managed(S, "done"));
    await tasks.completeTask({ sessionId: S, taskId: "done", output: success(1) });
    await tasks.spawnTask(hidden(S, "h1"));
    await tasks.registerTask(recorded(S, "e1"));
    const { tasks: asked } = await tasks.cancelAllTasks({ sessionId: S, reason: "over" });
    expect(asked.map(({ taskId, state }) => [taskId, state])).toEqual([
      ["m1", TaskState.CANCEL_REQUESTED],
      ["e1", TaskState.CANCEL_REQUESTED],
    ]);
    expect((await readTask(clients, S, "done")).state).toBe(TaskState.COMPLETED);
    expect((await readTask(clients, S, "h1")).state).toBe(TaskState.PENDING);
  });

  it("cancel_all_background_tasks: names the same ones when repeated", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.spawnTask(managed(S, "m1"));
    await tasks.registerTask(recorded(S, "e1"));
    const order = { sessionId: S, reason: "over", requestId: "night" };
    const first = await tasks.cancelAllTasks(order);
    expect(first.tasks.map(({ taskId }) => taskId)).toEqual(["m1", "e1"]);
    await tasks.completeTask({ sessionId: S, taskId: "e1", output: success(1) });
    await tasks.registerTask(recorded(S, "later"));
    const again = await tasks.cancelAllTasks(order);
    expect(again.tasks.map(({ taskId, state }) => [taskId, state])).toEqual([
      ["m1", TaskState.CANCEL_REQUESTED],
      ["e1", TaskState.COMPLETED],
    ]);
    expect((await readTask(clients, S, "later")).state).toBe(TaskState.RUNNING);
    const other = tasks.cancelAllTasks({ ...order, reason: "another" });
    expect(await refusalOf(other)).toMatchObject({ reason: "REQUEST_ID_REUSED" });
  });

  it("cancel_unreferenced_async_handles: everything live that is not kept", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "kept"));
    await tasks.registerTask(recorded(S, "e1"));
    await tasks.spawnTask(managed(S, "monitor:m1", { kind: TaskKind.MONITOR }));
    const keepTaskIds = ["kept", "unknown"];
    const { tasks: asked } = await tasks.cancelUnreferenced({ sessionId: S, keepTaskIds });
    expect(asked.map(({ taskId }) => taskId)).toEqual(["e1", "monitor:m1"]);
    expect((await readTask(clients, S, "kept")).state).toBe(TaskState.RUNNING);
  });

  it("validate_async_handles_visible: names one that is not", async () => {
    const clients = await opened(S, T);
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "e1"));
    await tasks.spawnTask(hidden(S, "h1"));
    await tasks.registerTask(recorded(S, "over"));
    await tasks.completeTask({ sessionId: S, taskId: "over", output: success(1) });
    await tasks.validateHandlesVisible({ sessionId: S, taskIds: [] });
    await tasks.validateHandlesVisible({ sessionId: S, taskIds: ["e1", "e1"] });
    for (const [sessionId, missing] of [
      [S, "h1"],
      [S, "over"],
      [S, "x"],
      [T, "e1"],
    ] as const) {
      const call = tasks.validateHandlesVisible({ sessionId, taskIds: [missing] });
      expect(await refusalOf(call)).toMatchObject({
        reason: "HANDLE_NOT_VISIBLE",
        metadata: { sessionId, taskId: missing },
      });
    }
  });
});

describe("handing over", () => {
  it("transfer_async_handles: all that are known, with their new scope (decision 28)", async () => {
    const clients = await opened(S, T);
    const { tasks, processes } = clients;
    const { processId } = taskIn(await tasks.registerTask(recorded(S, "e1")));
    await tasks.spawnTask(managed(S, "m1"));
    const taskIds = ["e1", "unknown", "m1"];
    const call = { fromSessionId: S, toSessionId: T, taskIds, requestId: "transfer-1" };
    const moved = await tasks.transferHandles(call);
    expect(moved.tasks.map(({ taskId, sessionId }) => [taskId, sessionId])).toEqual([
      ["e1", T],
      ["m1", T],
    ]);
    expect(await listedTasks(clients, S)).toEqual([]);
    expect(await listedTasks(clients, T)).toEqual(["e1", "m1"]);
    expect(await readTask(clients, T, "e1")).toMatchObject({ sessionId: T, processId });
    const scope = { sessionId: T };
    expect(await processes.hasHandleGrant({ scope, processId })).toMatchObject({ granted: true });
    const again = await tasks.transferHandles(call);
    expect(again.tasks.map(({ taskId }) => taskId)).toEqual(["e1", "m1"]);
    const anew = taskIn(await tasks.registerTask(recorded(S, "e1")));
    expect(anew.processId).not.toBe(processId);
  });

  it("transfer_async_handles: nothing moves where a name is taken", async () => {
    const clients = await opened(S, T);
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "e1"));
    await tasks.spawnTask(managed(S, "m1"));
    await tasks.spawnTask(managed(S, "m2"));
    await tasks.registerTask(recorded(T, "e1"));
    await tasks.completeTask({ sessionId: T, taskId: "e1", output: success(1) });
    await tasks.spawnTask(managed(T, "m1"));
    await tasks.spawnTask(managed(T, "m2"));
    await tasks.completeTask({ sessionId: T, taskId: "m2", output: success(1) });
    const sessions = { fromSessionId: S, toSessionId: T };
    for (const taskId of ["e1", "m1"]) {
      const call = tasks.transferHandles({ ...sessions, taskIds: ["m2", taskId] });
      expect(await refusalOf(call)).toMatchObject({
        reason: "TASK_ALREADY_EXISTS",
        metadata: { taskId },
      });
    }
    expect(await listedTasks(clients, S)).toEqual(["e1", "m1", "m2"]);
    await tasks.transferHandles({ ...sessions, taskIds: ["m2"] });
    expect((await listedTasks(clients, T)).toSorted()).toEqual(["e1", "m1", "m2"]);
    expect((await readTask(clients, T, "m2")).state).toBe(TaskState.PENDING);
  });

  it("transfer_async_handles: none is nothing, and the target must be known", async () => {
    const clients = await opened();
    const { tasks } = clients;
    await tasks.registerTask(recorded(S, "e1"));
    const none = await tasks.transferHandles({ fromSessionId: S, toSessionId: T, taskIds: [] });
    expect([none.tasks, none.revision]).toEqual([[], 0n]);
    await tasks.transferHandles({ fromSessionId: S, toSessionId: S, taskIds: ["e1"] });
    const call = tasks.transferHandles({ fromSessionId: S, toSessionId: T, taskIds: ["e1"] });
    expect(await refusalOf(call)).toMatchObject({ reason: "RUNTIME_NOT_REGISTERED" });
    expect(await listedTasks(clients, S)).toEqual(["e1"]);
  });
});

describe("bad input", () => {
  it("is refused with the fields that are wrong, and nothing begins", async () => {
    const clients = await opened();
    const { tasks } = clients;
    const wrong = await refusalOf(
      tasks.spawnTask({
        sessionId: S,
        task: { taskId: "m1", attempt: { attempt: 5, attemptsMax: 2 } },
        visibility: TaskVisibility.EXTERNAL,
      }),
    );
    expect(wrong).toMatchObject({ reason: "INVALID_FIELD" });
    expect(wrong.fields.toSorted()).toEqual([
      "runner",
      "task.attempt.attempts_max",
      "task.kind",
      "task.producer",
      "visibility",
    ]);
    const worker = { case: "worker", value: { registration: external("p") } } as const;
    const outside = await refusalOf(tasks.spawnTask({ ...managed(S, "m1"), runner: worker }));
    expect(outside.fields).toEqual([
      "worker.registration.process_id",
      "worker.registration.provenance",
      "worker.registration.disposition",
    ]);
    const unnamed = { ...managed(S, ""), requestId: "r" };
    expect(await refusalOf(tasks.spawnTask(unnamed))).toMatchObject({ reason: "INVALID_FIELD" });
    const patient = tasks.cancelTask({ sessionId: S, taskId: "m1", grace: { seconds: 3601n } });
    expect(await refusalOf(patient)).toMatchObject({ reason: "INVALID_FIELD" });
    expect(await listedTasks(clients, S)).toEqual([]);
  });
});
