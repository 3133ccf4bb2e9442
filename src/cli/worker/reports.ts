/**
 * Says the end of a run to the server. A report is repeated until it is answered; one that the
 * server refuses for what it says falls back to the next weaker one, so that no run is left
 * hanging.
 */
import { Code } from "@connectrpc/connect";
import type { RunAssignment } from "../../../gen/keelson/executor/v1/messages_pb.ts";
import type { Connection } from "../client/connection.ts";
import { type Failure, failureOf, isPassing, statusName } from "../client/failure.ts";
import { untilAnswered } from "../client/repeat.ts";
import { type ReportedOutcome, storable } from "./run-result.ts";

const ERROR_CHARACTERS_MAX = 8_192;

/** What is to be said about the end of a run. */
export type RunVerdict =
  | { readonly type: "complete"; readonly outcome: ReportedOutcome }
  | { readonly type: "fail"; readonly error: string; readonly recoverable: boolean }
  | { readonly type: "cancel" }
  | { readonly type: "release" };

/** What became of the report: what was said in the end, or why nothing could be said. */
export type ReportResult =
  | { readonly type: "reported"; readonly verdict: RunVerdict }
  | { readonly type: "lost"; readonly reason: string }
  | { readonly type: "given_up"; readonly reason: string };

/** After these the run is not this executor's any more. */
const LOST_REASONS: ReadonlySet<string> = new Set([
  "LEASE_LOST",
  "RUN_ENDED",
  "RUN_NOT_FOUND",
  "RUNTIME_NOT_REGISTERED",
  "RUNTIME_DESTROYED",
]);

/** Codes after which the same report may still be taken. */
const REPEATED_CODES: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Internal,
]);

function mayBeRepeated(failure: Failure): boolean {
  return isPassing(failure) || REPEATED_CODES.has(failure.code);
}

async function send(
  { executors }: Connection,
  assignment: RunAssignment,
  verdict: RunVerdict,
): Promise<void> {
  const { runtimeId, runId, generation, primitive, stagedInputIds } = assignment;
  const run = { runtimeId, runId, generation };
  switch (verdict.type) {
    case "complete": {
      const finalBoundary = {
        boundary: primitive?.boundary ?? 0,
        contributingInputIds: stagedInputIds,
        messageCount: BigInt(primitive?.appends.length ?? 0),
      };
      await executors.completeRun({ ...run, outcome: verdict.outcome, finalBoundary });
      return;
    }
    case "fail": {
      const error = storable(verdict.error.slice(0, ERROR_CHARACTERS_MAX));
      await executors.failRun({ ...run, error, recoverable: verdict.recoverable });
      return;
    }
    case "cancel":
      await executors.cancelRun(run);
      return;
    case "release":
      await executors.releaseRun(run);
  }
}

/** What to say instead of a report that was refused for what it says. */
function weaker(verdict: RunVerdict, failure: Failure): RunVerdict | undefined {
  if (verdict.type === "release") return undefined;
  if (verdict.type !== "complete") return { type: "release" };
  const error = `The result was refused: ${failure.message}`;
  return { type: "fail", error, recoverable: true };
}

/** Reports the end of a run; `signal` ends the repetition. */
export async function reportRun(
  connection: Connection,
  assignment: RunAssignment,
  first: RunVerdict,
  signal: AbortSignal,
): Promise<ReportResult> {
  let verdict = first;
  for (;;) {
    const attempt = verdict;
    try {
      await untilAnswered(() => send(connection, assignment, attempt), {
        signal,
        isPassing: mayBeRepeated,
      });
      return { type: "reported", verdict };
    } catch (error) {
      const failure = failureOf(error);
      const reason = failure.reason || statusName(failure.code);
      if (LOST_REASONS.has(failure.reason)) return { type: "lost", reason };
      const next = mayBeRepeated(failure) ? undefined : weaker(verdict, failure);
      if (next === undefined) return { type: "given_up", reason };
      verdict = next;
    }
  }
}
