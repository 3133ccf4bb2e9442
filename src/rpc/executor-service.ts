/** The executor service: sessions, polls and reports composed. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { ExecutorService } from "../../gen/keelson/executor/v1/service_pb.ts";
import { makeExecutorPolls } from "./executor-polls.ts";
import { type ExecutorSessionsOptions, makeExecutorSessions } from "./executor-sessions.ts";
import { type ExecutorWritesOptions, makeExecutorWrites } from "./executor-writes.ts";

/** What the executor service works with. */
export type ExecutorServiceOptions = ExecutorSessionsOptions & ExecutorWritesOptions;

/** Makes the executor service. */
export function makeExecutorService(
  options: ExecutorServiceOptions,
): ServiceImpl<typeof ExecutorService> {
  return {
    ...makeExecutorSessions(options),
    ...makeExecutorPolls(options),
    ...makeExecutorWrites(options),
  };
}
