// How an executor of the fault suite comes and stays: one session at one replica after the other,
// renewals beside it, and a new incarnation whenever the old one is declared dead.
import { randomUUID } from "node:crypto";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { RunAssignment } from "../../../gen/keelson/executor/v1/messages_pb.ts";
import { type Endpoints, isPassing, makeEndpoints, reasonOf } from "./endpoints.ts";
import type { ExecutorOrder } from "./executor-order.ts";
import { type HeldRun, performRun } from "./executor-runs.ts";
import type { HistoryLog } from "./history-log.ts";
import { pauseFor } from "./waiting.ts";

/** An executor of the fault suite. */
export interface ExecutorSession {
  /** Works until the process ends. */
  readonly run: () => Promise<never>;
}

/** One life of the executor, until its incarnation is dead. */
interface Life {
  readonly incarnationId: string;
  readonly held: Map<string, HeldRun>;
  readonly over: AbortController;
  readonly endpoints: Endpoints;
  readonly isWanted: () => boolean;
}

const POLL_MS = 2_000;
const POLL_TIMEOUT_MS = 4_000;
const RECONNECT_PAUSE_MS = 50;
const DEAD: ReadonlySet<string> = new Set(["EXECUTOR_INCARNATION_DEAD", "EXECUTOR_NOT_FOUND"]);

/** Makes the executor of an order. */
export function makeExecutorSession(order: ExecutorOrder, log: HistoryLog): ExecutorSession {
  const { executorId, pool, runtimeIds, slots, leaseTtlMs, capabilities } = order;
  const leaseTtl = durationFromMs(leaseTtlMs);
  const renewEveryMs = Math.floor(leaseTtlMs / 3);

  function take(life: Life, assignment: RunAssignment): void {
    if (life.held.has(assignment.runId)) return;
    const run: HeldRun = { assignment, dropped: new AbortController(), interrupted: false };
    life.held.set(assignment.runId, run);
    if (!order.works) return;
    const work = performRun(run, { order, log, ...life });
    void work.then((next) => {
      life.held.delete(assignment.runId);
      if (next !== undefined) take(life, next);
    });
  }

  function drop(life: Life, runId: string): void {
    life.held.get(runId)?.dropped.abort();
    life.held.delete(runId);
  }

  function interrupt(life: Life, runId: string): void {
    const run = life.held.get(runId);
    if (run !== undefined) run.interrupted = true;
  }

  async function stream(life: Life): Promise<void> {
    const { incarnationId, held, over, endpoints } = life;
    const terms = { slots, leaseTtl, pool, runtimeIds, capabilities };
    const request = { executorId, incarnationId, ...terms };
    const responses = endpoints
      .next()
      .executors.attach({ ...request, heldRunIds: [...held.keys()] }, { signal: over.signal });
    for await (const { message } of responses) {
      if (message.case === "runAssigned") take(life, message.value);
      else if (message.case === "leaseLost") drop(life, message.value.runId);
      else if (message.case === "control" && message.value.control.case === "interrupt") {
        interrupt(life, message.value.runId);
      }
    }
  }

  async function poll(life: Life): Promise<void> {
    const { incarnationId, held, over, endpoints } = life;
    const terms = { slots, leaseTtl, pool, runtimeIds, capabilities };
    const request = { executorId, incarnationId, ...terms };
    const timeout = durationFromMs(POLL_MS);
    const answer = await endpoints
      .next()
      .executors.pollRun(
        { ...request, timeout, heldRunIds: [...held.keys()] },
        { signal: over.signal, timeoutMs: POLL_TIMEOUT_MS },
      );
    for (const lost of answer.lost) drop(life, lost.runId);
    for (const control of answer.controls) {
      if (control.control.case === "interrupt") interrupt(life, control.runId);
    }
    if (answer.assignment !== undefined) take(life, answer.assignment);
  }

  async function keepSession(life: Life): Promise<void> {
    while (!life.over.signal.aborted) {
      try {
        await (order.session === "stream" ? stream(life) : poll(life));
      } catch (error) {
        if (DEAD.has(reasonOf(error))) life.over.abort();
        else if (!isPassing(error)) throw error;
      }
      await pauseFor(order.session === "poll" ? 0 : RECONNECT_PAUSE_MS, life.over.signal);
    }
  }

  async function keepLeases(life: Life): Promise<void> {
    const { incarnationId, held, over, endpoints } = life;
    while (!over.signal.aborted) {
      await pauseFor(renewEveryMs, over.signal);
      const heldRunIds = order.works ? [...held.keys()] : [];
      try {
        const { unknownRunIds } = await endpoints.call(
          ({ executors }, limits) =>
            executors.renewLeases({ executorId, incarnationId, heldRunIds }, limits),
          { timeoutMs: renewEveryMs },
        );
        for (const runId of unknownRunIds) drop(life, runId);
      } catch (error) {
        const reason = reasonOf(error);
        if (reason === "EXECUTOR_INCARNATION_DEAD") over.abort();
        // Before the session is open there is nothing to renew; after the end nothing is wrong.
        else if (reason !== "EXECUTOR_NOT_FOUND" && life.isWanted()) throw error;
      }
    }
  }

  async function live(): Promise<void> {
    const over = new AbortController();
    const life: Life = {
      incarnationId: randomUUID(),
      held: new Map(),
      over,
      isWanted: () => !over.signal.aborted,
      endpoints: makeEndpoints(order.urls, {
        protocol: order.session === "poll" ? "json" : "grpc",
        signal: over.signal,
      }),
    };
    try {
      await Promise.all([keepSession(life), keepLeases(life)]);
    } finally {
      for (const runId of life.held.keys()) drop(life, runId);
    }
  }

  return {
    run: async () => {
      for (;;) await live();
    },
  };
}
