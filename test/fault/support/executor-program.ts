// An executor as a process of its own, to be killed and paused: attaches, renews, runs, and writes
// down what it was told before it goes on. Started with its order as the one argument.
import { executorOrderSchema } from "./executor-order.ts";
import { makeExecutorSession } from "./executor-session.ts";
import { openHistoryLog } from "./history-log.ts";

const [text] = process.argv.slice(2);
if (text === undefined) throw new Error("usage: executor-program.ts <order as JSON>");
const order = executorOrderSchema.parse(JSON.parse(text));
await makeExecutorSession(order, openHistoryLog(order.historyPath)).run();
