// What becomes of the live tasks of a session that closes, by their close policy: a session closes
// when its process state is deleted.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  TaskCancelPolicy,
  TaskClosePolicy,
  TaskState,
} from "../../gen/keelson/task/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { external, readProcess, register } from "./support/processes.ts";
import {
  type Description,
  listedTasks,
  managed,
  openSessions,
  readTask,
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
const { KEEP, CANCEL, TRANSFER } = TaskClosePolicy;
const ABORTED = { cancelPolicy: TaskCancelPolicy.ABORT_LOCAL };
const SOON = { timeout: 20_000 };

async function opened(): Promise<CaseClients> {
  const clients = clientsOf(deployment.url);
  await openSessions(clients, S, T);
  return clients;
}

async function spawned(
  { tasks }: CaseClients,
  taskId: string,
  closePolicy: TaskClosePolicy,
  changes: Description = {},
): Promise<string> {
  return taskIn(await tasks.spawnTask(managed(S, taskId, { closePolicy, ...changes }))).processId;
}

async function close({ processes }: CaseClients, successorSessionId = "") {
  const { report } = await processes.deleteSessionProcessState({
    sessionId: S,
    successorSessionId,
  });
  if (report === undefined) throw new Error("answered without a report");
  return report;
}

describe("a session that closes", () => {
  it("cancels its task with that policy, and the server ends it if nobody does", async () => {
    const clients = await opened();
    const asked = await spawned(clients, "asked", CANCEL);
    const aborted = await spawned(clients, "aborted", CANCEL, ABORTED);
    const report = await close(clients);
    expect(report.orphanedProcessIds.toSorted()).toEqual([asked, aborted].toSorted());
    expect(report.cancelledProcessIds.toSorted()).toEqual([asked, aborted].toSorted());
    expect(await readProcess(clients, asked)).toMatchObject({
      state: ProcessState.RUNNING,
      cancelRequest: { reason: "session deleted" },
    });
    const look = async () => (await readProcess(clients, aborted)).state;
    await expect.poll(look, SOON).toBe(ProcessState.CANCELLED);
  });

  it("leaves what is to be kept, and what is no task, as it is", async () => {
    const clients = await opened();
    const kept = await spawned(clients, "kept", KEEP);
    const waiting = await spawned(clients, "waiting", TRANSFER);
    await register(clients, external("plain"));
    await clients.processes.grantHandle({ scope: { sessionId: S }, processId: "plain" });
    const report = await close(clients);
    const all = ["plain", kept, waiting];
    expect(report.orphanedProcessIds.toSorted()).toEqual(all.toSorted());
    expect(report.cancelledProcessIds).toEqual([]);
    for (const processId of all) {
      const process = await readProcess(clients, processId);
      expect([process.state, process.cancelRequest]).toEqual([ProcessState.RUNNING, undefined]);
    }
  });

  it("hands on to its successor what is to go there, live ones only", async () => {
    const clients = await opened();
    const moved = await spawned(clients, "moved", TRANSFER);
    await spawned(clients, "over", TRANSFER);
    await clients.tasks.completeTask({
      sessionId: S,
      taskId: "over",
      output: { output: { case: "success", value: {} } },
    });
    const cancelled = await spawned(clients, "cancelled", CANCEL);
    const report = await close(clients, T);
    expect(report.cancelledProcessIds).toEqual([cancelled]);
    expect(report.orphanedProcessIds).toEqual([cancelled]);
    expect(await listedTasks(clients, T)).toEqual(["moved"]);
    expect(await readTask(clients, T, "moved")).toMatchObject({
      processId: moved,
      sessionId: T,
      state: TaskState.PENDING,
    });
    expect((await close(clients, T)).revokedHandleCount).toBe(0);
  });

  it("does not close while its successor cannot take what is to go there", async () => {
    const clients = await opened();
    await spawned(clients, "name", TRANSFER);
    await clients.tasks.spawnTask(managed(T, "name"));
    expect(await refusalOf(close(clients, T))).toMatchObject({ reason: "TASK_ALREADY_EXISTS" });
    expect(await refusalOf(close(clients, "unknown"))).toMatchObject({
      reason: "RUNTIME_NOT_REGISTERED",
    });
    expect(await refusalOf(close(clients, S))).toMatchObject({ reason: "INVALID_FIELD" });
    expect(await listedTasks(clients, S)).toEqual(["name"]);
  });

  it("cancels its task though others hold it, and no task of theirs", async () => {
    const clients = await opened();
    const shared = await spawned(clients, "shared", CANCEL);
    const scope = { sessionId: T };
    await clients.processes.grantHandle({ scope, processId: shared });
    const theirs = taskIn(await clients.tasks.spawnTask(managed(T, "theirs"))).processId;
    await clients.processes.grantHandle({ scope: { sessionId: S }, processId: theirs });
    const report = await close(clients);
    expect(report).toMatchObject({ orphanedProcessIds: [], cancelledProcessIds: [shared] });
    expect(report.preservedProcessIds.toSorted()).toEqual([shared, theirs].toSorted());
    expect((await readProcess(clients, theirs)).cancelRequest).toBeUndefined();
  });

  it("takes a task along that was handed over to it", async () => {
    const clients = await opened();
    const task = managed(T, "guest", { closePolicy: CANCEL });
    const { processId } = taskIn(await clients.tasks.spawnTask(task));
    const handles = { fromSessionId: T, toSessionId: S, taskIds: ["guest"] };
    await clients.tasks.transferHandles(handles);
    expect((await close(clients)).cancelledProcessIds).toEqual([processId]);
  });
});
