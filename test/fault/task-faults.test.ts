// Background tasks while the servers that look after them are killed: the abort comes after the
// grace whoever is left, whoever runs the task is told, a task that began is known to its session.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  type BackgroundTask,
  TaskKind,
  TaskState,
  TaskVisibility,
} from "../../gen/keelson/task/v1/messages_pb.ts";
import { type Endpoints, reasonOf } from "./support/endpoints.ts";
import { onCluster } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const ONE = { replicas: ["only"] };
const TWO = { replicas: ["first", "second"] };
const SETTLED_MS = 60_000;
const SESSION = "north";

function managed(taskId: string) {
  return {
    sessionId: SESSION,
    task: { taskId, kind: TaskKind.SUBAGENT, producer: "suite" },
    visibility: TaskVisibility.MANAGED,
    runner: { case: "session", value: {} },
    requestId: `spawn-${taskId}`,
  } as const;
}

async function readTask({ call }: Endpoints, taskId: string): Promise<BackgroundTask> {
  const { task } = await call(({ tasks }, limits) => {
    return tasks.getTask({ sessionId: SESSION, taskId }, limits);
  });
  if (task === undefined) throw new Error(`${taskId} was not answered`);
  return task;
}

async function historyOf({ call }: Endpoints, processId: string): Promise<readonly string[]> {
  const { events } = await call(({ processes }, limits) => {
    return processes.listEvents({ processId }, limits);
  });
  return events.map(({ eventType }) => eventType);
}

/** What was said of tasks in the stream of the session's runtime, in order. */
async function toldOf({ call }: Endpoints, processId: string): Promise<readonly string[]> {
  const stream = { kind: "runtime", id: SESSION };
  const { commits } = await call(({ admin }, limits) => {
    return admin.listCommits({ stream, pageSize: 1_000 }, limits);
  });
  return commits.flatMap(({ canonicalJson }) => {
    return ["cancel_task", "abort_task"].filter((control) => {
      return canonicalJson.includes(`"eventId":"${processId}.${control}"`);
    });
  });
}

test("the abort comes though the server was killed between the wish and its time", async () => {
  await onCluster(ONE, async ({ cluster, client, ensure }) => {
    const { endpoints } = client;
    const [only] = cluster.replicas;
    await ensure(SESSION);
    await endpoints.call(({ tasks }, limits) => tasks.spawnTask(managed("m1"), limits));
    const grace = durationFromMs(5_000);
    const { task } = await endpoints.call(({ tasks }, limits) => {
      return tasks.cancelTask({ sessionId: SESSION, taskId: "m1", grace }, limits);
    });
    expect(task?.state).toBe(TaskState.CANCEL_REQUESTED);
    const processId = task?.processId ?? "";
    await eventually("its runner is asked", SETTLED_MS, async () => {
      return (await toldOf(endpoints, processId)).join() === "cancel_task";
    });
    await only?.kill();
    await only?.start();
    await eventually("the task is aborted", SETTLED_MS, async () => {
      return (await readTask(endpoints, "m1")).state === TaskState.CANCELLED;
    });
    expect(await historyOf(endpoints, processId)).toEqual([
      "process.cancel_requested",
      "process.cancelled",
    ]);
    await eventually("its runner is told that it is over", SETTLED_MS, async () => {
      return (await toldOf(endpoints, processId)).join() === "cancel_task,abort_task";
    });
  });
});

test("tasks begun and cancelled while servers are killed are all known, and end once", async () => {
  await onCluster(TWO, async ({ cluster, client, ensure }) => {
    const { endpoints } = client;
    await ensure(SESSION);
    const taskIds = Array.from({ length: 12 }, (_task, index) => `m${index}`);
    const grace = durationFromMs(200);
    async function lead(taskId: string): Promise<void> {
      await endpoints.call(({ tasks }, limits) => tasks.spawnTask(managed(taskId), limits));
      await endpoints.call(({ tasks }, limits) => {
        return tasks.cancelTask({ sessionId: SESSION, taskId, grace }, limits);
      });
    }
    const led = Promise.all(taskIds.map(lead));
    for (const replica of cluster.replicas) {
      await replica.kill();
      await replica.start();
    }
    await led;
    for (const taskId of taskIds) {
      await eventually(`${taskId} is aborted`, SETTLED_MS, async () => {
        return (await readTask(endpoints, taskId)).state === TaskState.CANCELLED;
      });
      const { processId } = await readTask(endpoints, taskId);
      expect(await historyOf(endpoints, processId)).toEqual([
        "process.cancel_requested",
        "process.cancelled",
      ]);
    }
    const again = managed("m0");
    const other = { ...again, requestId: "another" };
    await endpoints.call(({ tasks }, limits) => tasks.spawnTask(other, limits));
    const taken = endpoints.call(({ tasks }, limits) => {
      return tasks.spawnTask({ ...again, requestId: "a third" }, limits);
    });
    expect(await taken.catch(reasonOf)).toBe("TASK_ALREADY_EXISTS");
  });
});
