// What an executor of the fault suite does with a run: what the text of its inputs says. Every
// write is repeated until it is answered or refused for good, and every accepted one is written
// down with the receipt that it brought.
import { createHash } from "node:crypto";
import type { RunAssignment } from "../../../gen/keelson/executor/v1/messages_pb.ts";
import type { RunBoundaryReceipt } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { type Endpoints, reasonOf } from "./endpoints.ts";
import type { ExecutorOrder } from "./executor-order.ts";
import type { HistoryLog } from "./history-log.ts";
import { directiveIn } from "./made-inputs.ts";
import { pauseFor } from "./waiting.ts";

/** A run that the executor holds. */
export interface HeldRun {
  readonly assignment: RunAssignment;
  /** Aborted when the executor learns that the run is not its own any more. */
  readonly dropped: AbortController;
  interrupted: boolean;
}

/** What the performance of a run works with. */
export interface RunSurroundings {
  readonly order: ExecutorOrder;
  readonly log: HistoryLog;
  readonly incarnationId: string;
  readonly endpoints: Endpoints;
  /** Aborted when the incarnation is over. */
  readonly over: AbortController;
}

/** The run that the end of another one brought, if it did. */
export type NextRun = RunAssignment | undefined;

const INTERRUPT_POLL_MS = 20;
/** Refusals that say that the run went to somebody else. */
const GONE: ReadonlySet<string> = new Set(["LEASE_LOST", "RUN_ENDED"]);

function textsOf(assignment: RunAssignment): readonly string[] {
  const appends = assignment.primitive?.appends ?? [];
  return appends.map(({ content }) => {
    return content?.content.case === "text" ? content.content.value : "";
  });
}

function digestOf(texts: readonly string[]): string {
  return createHash("sha256").update(texts.join("\n")).digest("hex");
}

function makePerformance(run: HeldRun, { order, log, incarnationId, endpoints }: RunSurroundings) {
  const { runtimeId, runId, generation, attempt, primitive } = run.assignment;
  const reference = { runtimeId, runId, generation };
  const names = {
    executorId: order.executorId,
    incarnationId,
    runtimeId,
    runId,
    generation: Number(generation),
  };
  const texts = textsOf(run.assignment);
  const messageCount = BigInt(texts.length);
  const boundary = primitive?.boundary ?? 0;
  let staged = run.assignment.stagedInputIds;

  async function work(durationMs: number): Promise<void> {
    const endMs = performance.now() + durationMs;
    const { signal } = run.dropped;
    while (!run.interrupted && !signal.aborted && performance.now() < endMs) {
      await pauseFor(Math.min(INTERRUPT_POLL_MS, durationMs), signal);
    }
  }

  function noteReceipt(receipt: RunBoundaryReceipt | undefined): void {
    if (receipt === undefined) return;
    const { commitHash, contributingInputIds: inputIds } = receipt;
    const [sequence, revision] = [Number(receipt.sequence), Number(receipt.revision)];
    log.append({ type: "boundary", ...names, sequence, inputIds, commitHash, revision });
  }

  /** Commits what is staged; what joins the run with it is staged then. */
  async function commitBoundary(): Promise<void> {
    const request = {
      ...reference,
      boundary,
      contributingInputIds: staged,
      messageCount,
      conversationDigest: digestOf(texts),
      acceptSteer: true,
    };
    const response = await endpoints.call(({ executors }, limits) => {
      return executors.commitBoundary(request, limits);
    });
    noteReceipt(response.receipt);
    staged = response.steerInputs.map((input) => input.inputId);
  }

  async function complete(): Promise<NextRun> {
    const text = `${runId}:${digestOf(texts)}`;
    const request = {
      ...reference,
      outcome: { case: "result" as const, value: { text } },
      finalBoundary: { boundary, contributingInputIds: staged, messageCount },
      takeNext: generation % 2n === 0n,
    };
    const response = await endpoints.call(({ executors }, limits) => {
      return executors.completeRun(request, limits);
    });
    noteReceipt(response.receipt);
    log.append({ type: "ended", ...names, how: "completed", text });
    return response.next;
  }

  async function fail(recoverable: boolean): Promise<NextRun> {
    const request = { ...reference, error: "told to fail", recoverable };
    await endpoints.call(({ executors }, limits) => executors.failRun(request, limits));
    log.append({ type: "ended", ...names, how: "failed", text: "" });
    return undefined;
  }

  async function cancel(): Promise<NextRun> {
    const request = { ...reference, requeue: generation % 2n === 0n };
    await endpoints.call(({ executors }, limits) => executors.cancelRun(request, limits));
    log.append({ type: "ended", ...names, how: "cancelled", text: "" });
    return undefined;
  }

  return {
    perform: async (): Promise<NextRun> => {
      log.append({ type: "assigned", ...names, attempt, inputIds: staged });
      const directive = directiveIn(texts);
      await work(directive === "wait" ? order.waitMs : order.workMs);
      if (run.dropped.signal.aborted) return undefined;
      if (run.interrupted) return await cancel();
      if (directive === "poison") return await fail(true);
      if (directive === "fail_once" && attempt === 1) return await fail(true);
      if (directive === "fatal") return await fail(false);
      if (directive === "steps") {
        await commitBoundary();
        await work(order.workMs);
      }
      return await complete();
    },
    noteRefusal: (reason: string): void => {
      log.append({ type: "refused", ...names, reason });
    },
  };
}

/**
 * Performs a run to its end. That the run went to somebody else ends it, too; any other refusal is
 * thrown, because nothing that this executor asks for should be refused.
 */
export async function performRun(run: HeldRun, around: RunSurroundings): Promise<NextRun> {
  const performed = makePerformance(run, around);
  try {
    return await performed.perform();
  } catch (error) {
    const reason = reasonOf(error);
    if (GONE.has(reason)) performed.noteRefusal(reason);
    else if (!around.over.signal.aborted) throw error;
    return undefined;
  }
}
