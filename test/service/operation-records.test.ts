// Operations that the folded state has forgotten: they are read out of the records, and their ids
// stay taken, at this server and after a restart.
import { afterEach, expect, it } from "vitest";
import type { Completion } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { OperationStatus } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { feed, finish, operate, read, register, runtimeId } from "./support/operations.ts";
import { openSharedDatabase, type SharedDatabase } from "./support/shared-database.ts";
import type { CaseClients } from "./support/deployment.ts";
import { verdictOf } from "./support/verdict.ts";

/** More than are forgotten at once, and more than a page holds. */
const OPERATIONS = 2_300;
const AT_ONCE = 100;
const LATE = "operation-7";

const opened: SharedDatabase[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

/** The whole feed, page by page. */
async function wholeFeed(clients: CaseClients): Promise<readonly Completion[]> {
  const all: Completion[] = [];
  for (;;) {
    const page = await feed(clients, all.at(-1)?.completionSequence ?? 0n);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

/** What a caller learns of the feed and of an operation of long ago. */
async function learned(clients: CaseClients) {
  const all = await wholeFeed(clients);
  const waited = await clients.operations.waitAll({ runtimeId, operationIds: [LATE] });
  const failing = { runtimeId, operationId: LATE, error: "late" };
  return {
    sequences: all.map(({ completionSequence }) => Number(completionSequence)),
    operations: new Set(all.map(({ operationId }) => operationId)).size,
    old: await read(clients, LATE),
    waited: waited.allEnded,
    again: await verdictOf(register(clients, "tool", LATE)),
    late: await verdictOf(clients.operations.failOperation(failing)),
  };
}

const EVERYTHING = {
  sequences: Array.from({ length: OPERATIONS }, (_, index) => index + 1),
  operations: OPERATIONS,
  old: {
    status: OperationStatus.COMPLETED,
    retained: false,
    outcome: { outcome: { value: { result: { content: `result of ${LATE}` } } } },
  },
  waited: true,
  again: "OPERATION_ALREADY_REGISTERED",
  late: "OPERATION_INVALID_TRANSITION",
};

it("thousands of operations that ended are all there, also those long forgotten", async () => {
  const database = openSharedDatabase();
  opened.push(database);
  const first = await database.serve();
  await first.runtimes.ensureRuntime({ runtimeId, config: { completedRetention: 10 } });
  const names = Array.from({ length: OPERATIONS }, (_, index) => `operation-${index}`);
  for (let start = 0; start < OPERATIONS; start += AT_ONCE) {
    const some = names.slice(start, start + AT_ONCE);
    await Promise.all(some.map((name) => operate(first, "child", name)));
    await Promise.all(some.map((name) => finish(first, name)));
  }
  expect(await learned(first)).toMatchObject(EVERYTHING);
  expect(await learned(await database.restart())).toMatchObject(EVERYTHING);
});
