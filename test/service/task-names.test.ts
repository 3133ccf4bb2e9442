// Calls that race for the name of a task in one session, at two servers: both have looked before
// either commits, and one of them gets the name.
import { afterEach, beforeEach, expect, it } from "vitest";
import { ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import { TaskState } from "../../gen/keelson/task/v1/messages_pb.ts";
import type { CaseClients } from "./support/deployment.ts";
import { openSharedDatabase, type SharedDatabase } from "./support/shared-database.ts";
import { listedTasks, managed, openSessions, readTask, taskIn } from "./support/tasks.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const TASK = "the-name";

let database: SharedDatabase;
let one: CaseClients;
let two: CaseClients;

beforeEach(async () => {
  database = openSharedDatabase();
  one = await database.serve();
  two = await database.serve();
  await openSessions(one, "s", "t", "u");
});

afterEach(() => database.close());

/** Lets two calls run to their first commit and no further, then both go on; what each met. */
async function race(
  left: () => Promise<unknown>,
  right: () => Promise<unknown>,
): Promise<readonly [string, string]> {
  const held = database.hold(2);
  const ends = [left(), right()].map(async (call) => {
    return await call.then(
      () => "done",
      async () => (await wireErrorOf(call)).reason ?? "",
    );
  });
  await held;
  database.release();
  const [first = "", second = ""] = await Promise.all(ends);
  return [first, second];
}

const spawn = ({ tasks }: CaseClients, sessionId: string) =>
  tasks.spawnTask(managed(sessionId, TASK));

const transfer = ({ tasks }: CaseClients, fromSessionId: string, toSessionId: string) =>
  tasks.transferHandles({ fromSessionId, toSessionId, taskIds: [TASK] });

/** The processes of the live tasks that sessions are shown under the name. */
async function liveIn(...sessionIds: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const sessionId of sessionIds) {
    for (const taskId of await listedTasks(one, sessionId)) {
      const task = await readTask(one, sessionId, taskId);
      if (task.state === TaskState.PENDING) found.push(`${sessionId}:${task.processId}`);
    }
  }
  return found;
}

it("a task that is begun and one that is handed over never have one name both", async () => {
  const moving = taskIn(await spawn(one, "s")).processId;
  const [spawned, moved] = await race(
    () => spawn(one, "t"),
    () => transfer(two, "s", "t"),
  );
  expect([spawned, moved].toSorted()).toEqual(["TASK_ALREADY_EXISTS", "done"]);
  const live = await liveIn("s", "t");
  expect(live).toHaveLength(moved === "done" ? 1 : 2);
  expect(live[0]).toBe(moved === "done" ? `t:${moving}` : `s:${moving}`);
  const { processes } = await one.processes.listProcesses({});
  const running = processes.filter(({ state }) => state === ProcessState.RUNNING);
  expect(running).toHaveLength(live.length);
});

it("of two tasks that are handed over to one session one arrives, the other stays", async () => {
  await spawn(one, "s");
  await spawn(one, "u");
  const before = await liveIn("s", "u");
  const ends = await race(
    () => transfer(one, "s", "t"),
    () => transfer(two, "u", "t"),
  );
  expect(ends.toSorted()).toEqual(["TASK_ALREADY_EXISTS", "done"]);
  const [left, right] = before;
  const stays = ends[0] === "done" ? right : left;
  const arrives = ends[0] === "done" ? left : right;
  const processId = arrives?.slice(2) ?? "";
  expect(await liveIn("s", "t", "u")).toEqual(
    [stays, `t:${processId}`].toSorted((a = "", b = "") => (a < b ? -1 : 1)),
  );
});
