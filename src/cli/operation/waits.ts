/** `keelson operation wait` and `watch`: until operations have ended. */
import type { Command } from "commander";
import { type Operation, OperationStatus } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import {
  WaitAllResponseSchema,
  WaitAnyResponseSchema,
  WatchOperationEndReason,
  WatchOperationResponseSchema,
} from "../../../gen/keelson/operation/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  type Workplace,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { enumWord, printable } from "../client/format.ts";
import { waitLong } from "../client/long-wait.ts";
import { untilAnswered } from "../client/repeat.ts";
import { OPERATION_COLUMNS } from "./operation-view.ts";

/** What the options of a wait say. */
interface WaitFlags extends ClientFlags {
  readonly any?: boolean;
}

const GOOD_ENDS: readonly OperationStatus[] = [OperationStatus.COMPLETED, OperationStatus.RETIRED];

function exitCodeOf(operations: readonly Operation[], isOver: boolean): ClientExitCode {
  if (!isOver) return CLIENT_EXIT_CODES.notOver;
  const isGood = operations.every(({ status }) => GOOD_ENDS.includes(status));
  return isGood ? CLIENT_EXIT_CODES.ok : CLIENT_EXIT_CODES.failed;
}

async function waitForAny(
  { connection, output }: Workplace,
  request: { readonly runtimeId: string; readonly operationIds: string[] },
  patienceMs: number | undefined,
): Promise<ClientExitCode> {
  const response = await waitLong({
    call: (timeout, options) => connection.operations.waitAny({ ...request, timeout }, options),
    isOver: ({ operations }) => operations.length > 0,
    patienceMs,
  });
  if (output.isJson) output.json(WaitAnyResponseSchema, response);
  else output.table(OPERATION_COLUMNS, response.operations, "none has ended yet");
  return exitCodeOf(response.operations, response.operations.length > 0);
}

async function waitForAll(
  { connection, output }: Workplace,
  request: { readonly runtimeId: string; readonly operationIds: string[] },
  patienceMs: number | undefined,
): Promise<ClientExitCode> {
  const response = await waitLong({
    call: (timeout, options) => connection.operations.waitAll({ ...request, timeout }, options),
    isOver: ({ allEnded }) => allEnded,
    patienceMs,
  });
  if (output.isJson) output.json(WaitAllResponseSchema, response);
  else output.table(OPERATION_COLUMNS, response.operations, "nothing to wait for");
  return exitCodeOf(response.operations, response.allEnded);
}

/** Makes `keelson operation wait`. */
export function makeOperationWaitCommand(): Command {
  return makeClientCommand("wait", "wait until operations have ended")
    .argument("<runtime>", "name of the runtime")
    .argument("<operations...>", "ids of the operations")
    .option("--any", "until the first one has, instead of all")
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when all that it
shows completed or retired, 1 when one ended otherwise, 8 when the time was up.
${examples(
  ["keelson operation wait agent-1 build-7 test-7", "until both have ended"],
  ["keelson operation wait agent-1 build-7 test-7 --any --timeout 5m", "until the first one has"],
)}`,
    )
    .action(async (runtimeId: string, operationIds: string[], flags: WaitFlags) => {
      await runClient(flags, async (workplace) => {
        const request = { runtimeId, operationIds };
        return flags.any === true
          ? await waitForAny(workplace, request, flags.timeout)
          : await waitForAll(workplace, request, flags.timeout);
      });
    });
}

function operationLine(operation: Operation): string {
  const { operationId, status, progressCount, progressPercent } = operation;
  const reports = progressCount === 0n ? "" : `, ${progressCount} reports`;
  const share = progressPercent === undefined ? "" : `, ${progressPercent} %`;
  return `${printable(operationId)}  ${enumWord(OperationStatus, status)}${reports}${share}`;
}

/** Follows one watch to its end; answers why it ended and what it showed last. */
async function watchOnce(
  { connection, output }: Workplace,
  request: { readonly runtimeId: string; readonly operationId: string },
  signal: AbortSignal,
) {
  let operation: Operation | undefined;
  let reason: WatchOperationEndReason | undefined;
  const stream = connection.operations.watchOperation(request, { timeoutMs: 0, signal });
  for await (const response of stream) {
    const { message } = response;
    if (output.isJson) output.jsonLine(WatchOperationResponseSchema, response);
    if (message.case === "end") ({ reason } = message.value);
    if (message.case !== "state") continue;
    ({ operation } = message.value);
    if (operation !== undefined && !output.isJson) output.line(operationLine(operation));
  }
  return { operation, reason };
}

/** Watches until the operation ends or its runtime goes; answers the code to end with. */
async function watch(
  workplace: Workplace,
  request: { readonly runtimeId: string; readonly operationId: string },
  signal: AbortSignal,
): Promise<ClientExitCode> {
  for (;;) {
    const { operation, reason } = await untilAnswered(() => watchOnce(workplace, request, signal), {
      signal,
    });
    // A server that goes down says so; its successor goes on.
    if (reason === WatchOperationEndReason.SERVER_DRAINING) continue;
    const hasEnded = reason === WatchOperationEndReason.OPERATION_ENDED;
    return exitCodeOf(operation === undefined ? [] : [operation], hasEnded);
  }
}

/** Makes `keelson operation watch`. */
export function makeOperationWatchCommand(): Command {
  return makeClientCommand("watch", "watch an operation to its end")
    .argument("<runtime>", "name of the runtime")
    .argument("<operation>", "id of the operation")
    .addHelpText(
      "after",
      examples(
        ["keelson operation watch agent-1 build-7", "a line for every change; 1 when it fails"],
        ["keelson operation watch agent-1 build-7 -o json", "one JSON document per line"],
      ),
    )
    .action(async (runtimeId: string, operationId: string, flags: ClientFlags) => {
      await runClient(flags, async (workplace) => {
        const request = { runtimeId, operationId };
        const { timeout: patienceMs } = flags;
        const signal =
          patienceMs === undefined ? new AbortController().signal : AbortSignal.timeout(patienceMs);
        try {
          return await watch(workplace, request, signal);
        } catch (error) {
          if (signal.aborted) return CLIENT_EXIT_CODES.notOver;
          throw error;
        }
      });
    });
}
