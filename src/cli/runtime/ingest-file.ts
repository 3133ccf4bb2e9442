/**
 * Sends a file of inputs in batches, one after the other, so that the inputs of a runtime keep
 * their order. What passes - a server away, a full queue - is waited for and sent again with the
 * same keys.
 */
import { toJson } from "@bufbuild/protobuf";
import { randomUUID } from "node:crypto";
import {
  type IngestBatchResult,
  IngestBatchResultSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import type { Workplace } from "../client/client-command.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { failureOfItem, isPassing, statusName, type Failure } from "../client/failure.ts";
import { formatSpan, printable } from "../client/format.ts";
import { makeBackoff, pause, untilAnswered } from "../client/repeat.ts";
import type { IngestFlags } from "./ingest-options.ts";
import { outcomeText } from "./ingest-view.ts";
import { type InputLine, keyPrefixOf, readInputLines } from "./input-lines.ts";

const BATCH_INPUTS_MAX = 500;
const BATCH_BYTES_MAX = 2 * 1024 * 1024;
const PROBLEMS_SHOWN_MAX = 10;

/** How many lines ended how. */
interface Tally {
  accepted: number;
  deduplicated: number;
  rejected: number;
  failed: number;
}

/** Groups lines into batches within the limits of one call. */
async function* batchesOf(lines: AsyncIterable<InputLine>): AsyncGenerator<readonly InputLine[]> {
  let batch: InputLine[] = [];
  let bytes = 0;
  for await (const line of lines) {
    const isFull = batch.length === BATCH_INPUTS_MAX || bytes + line.bytes > BATCH_BYTES_MAX;
    if (isFull && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(line);
    bytes += line.bytes;
  }
  if (batch.length > 0) yield batch;
}

/** Sends a file and answers the code to end with. */
export async function ingestFile(
  { connection, output }: Workplace,
  path: string,
  runtimeId: string | undefined,
  flags: IngestFlags,
): Promise<ClientExitCode | undefined> {
  const tally: Tally = { accepted: 0, deduplicated: 0, rejected: 0, failed: 0 };
  const startedMs = performance.now();
  const keyPrefix = flags.keyPrefix ?? (await keyPrefixOf(path));
  const never = new AbortController().signal;
  let problems = 0;

  function showProgress(note: string): void {
    const done = tally.accepted + tally.deduplicated + tally.rejected + tally.failed;
    const seconds = Math.max(0.001, (performance.now() - startedMs) / 1_000);
    output.progress(`${done} inputs, ${Math.round(done / seconds)} per second${note}`);
  }

  function waitFor({ reason, code }: Failure): void {
    showProgress(`, waiting (${reason || statusName(code)})`);
  }

  function sayProblem({ line }: InputLine, text: string): void {
    problems += 1;
    if (output.isJson || problems > PROBLEMS_SHOWN_MAX) return;
    output.note(`line ${line}: ${text}`);
    if (problems === PROBLEMS_SHOWN_MAX) output.note("further problems are counted only");
  }

  /** Counts the result of a line; answers why it must be sent again, if it must. */
  function settle(line: InputLine, result: IngestBatchResult): Failure | undefined {
    const { outcome } = result;
    if (outcome.case === undefined) throw new TypeError("the server answered without an outcome");
    if (outcome.case === "error") {
      const failure = failureOfItem(outcome.value);
      if (isPassing(failure)) return failure;
      tally.failed += 1;
      sayProblem(line, `${failure.reason}: ${printable(failure.message)}`);
    } else {
      tally[outcome.case] += 1;
      if (outcome.case === "rejected") sayProblem(line, outcomeText(outcome));
    }
    if (output.isJson) {
      const json = toJson(IngestBatchResultSchema, result, { alwaysEmitImplicit: true });
      output.line(JSON.stringify({ line: line.line, result: json }));
    }
    return undefined;
  }

  async function send(batch: readonly InputLine[]): Promise<void> {
    const backoff = makeBackoff();
    let rest = batch;
    while (rest.length > 0) {
      const request = { items: rest.map(({ item }) => item), requestId: randomUUID() };
      const { results } = await untilAnswered(() => connection.runtimes.ingestBatch(request), {
        signal: never,
        onRepeat: waitFor,
      });
      const again: InputLine[] = [];
      let waitMs = 0;
      for (const [index, line] of rest.entries()) {
        const result = results[index];
        if (result === undefined) throw new TypeError("the server answered too few results");
        const failure = settle(line, result);
        if (failure === undefined) continue;
        again.push(line);
        waitMs = Math.max(waitMs, failure.retryAfterMs ?? 0);
        waitFor(failure);
      }
      rest = again;
      if (rest.length > 0) await pause(Math.max(waitMs, backoff.nextMs()), never);
    }
  }

  const defaults = {
    runtimeId,
    keyPrefix,
    ensure: flags.ensure ?? false,
    withoutWake: !flags.wake,
  };
  for await (const batch of batchesOf(readInputLines(path, defaults))) {
    await send(batch);
    showProgress("");
  }
  const { accepted, deduplicated, rejected, failed } = tally;
  const summary =
    `${accepted} accepted, ${deduplicated} known already, ${rejected} rejected, ` +
    `${failed} failed in ${formatSpan(performance.now() - startedMs)}`;
  if (output.isJson) output.note(summary);
  else output.line(summary);
  return rejected + failed > 0 ? CLIENT_EXIT_CODES.failed : undefined;
}
