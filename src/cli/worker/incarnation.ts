/**
 * One life of an executor: attached under one incarnation id, holding runs and renewing their
 * leases. When the server says that the incarnation is dead, its commands are ended without a
 * report and the next life begins.
 */
import { randomUUID } from "node:crypto";
import {
  type ExecutorControl,
  type LeaseLost,
  LeaseLossReason,
  type RunAssignment,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import type { RenewLeasesResponse } from "../../../gen/keelson/executor/v1/service_pb.ts";
import { durationFromProto, durationToProto } from "../../rpc/codec/time.ts";
import type { Connection } from "../client/connection.ts";
import { type Failure, statusName } from "../client/failure.ts";
import { enumWord } from "../client/format.ts";
import { type AttachmentEnd, type AttachMessage, stayAttached } from "./attachment.ts";
import { type HeldRun, holdRun, type RunTerms } from "./held-run.ts";
import { makeRenewals } from "./renewals.ts";
import type { WorkerLog } from "./worker-log.ts";

/** Who a worker is and what it serves. */
export interface ExecutorTerms {
  readonly executorId: string;
  /** Pool to serve, or empty. */
  readonly pool: string;
  /** Runtimes to serve, or none. */
  readonly runtimeIds: readonly string[];
  /** Most runs at once. */
  readonly slots: number;
  /** How long leases live without renewal; the runtime's configuration decides when absent. */
  readonly leaseTtlMs?: number;
}

/** What an incarnation works with. */
export interface IncarnationOptions {
  readonly connection: Connection;
  readonly executor: ExecutorTerms;
  readonly runs: RunTerms;
  readonly log: WorkerLog;
  /** Told when the command cannot be started, so that attaching makes no sense. */
  readonly onNotStarted: (problem: string) => void;
}

/** One life of an executor. */
export interface Incarnation {
  readonly incarnationId: string;
  readonly heldRuns: () => readonly HeldRun[];
  /** Takes work until `signal` fires or the incarnation is dead; runs held go on. */
  readonly serve: (signal: AbortSignal) => Promise<AttachmentEnd>;
  /** Resolves when no run is held. */
  readonly emptied: () => Promise<void>;
  /** Ends the repetition of reports and renewals. */
  readonly abandon: () => void;
}

/** Makes a new life with a fresh id. */
export function makeIncarnation(options: IncarnationOptions): Incarnation {
  const { connection, executor, runs, log } = options;
  const incarnationId = randomUUID();
  const { executorId } = executor;
  const held = new Map<string, HeldRun>();
  const over = new AbortController();
  const dead = new AbortController();

  function heldRunIds(): string[] {
    return [...held.keys()];
  }

  const renewals = makeRenewals({
    connection,
    executorId,
    incarnationId,
    heldRunIds,
    onRenewed: takeRenewal,
    onDead: () => dead.abort(),
    signal: over.signal,
  });

  function takeRenewal(renewed: RenewLeasesResponse, named: readonly string[]): void {
    for (const loss of renewed.lost) takeLoss(loss);
    for (const runId of renewed.unknownRunIds) {
      held.get(runId)?.lose("not this executor's any more");
    }
    for (const runId of named) held.get(runId)?.begin();
  }

  function takeLoss(loss: LeaseLost): void {
    held.get(loss.runId)?.lose(`lease ${enumWord(LeaseLossReason, loss.reason)}`);
  }

  function takeControl({ runId, control }: ExecutorControl): void {
    const run = held.get(runId);
    switch (control.case) {
      case "interrupt":
        run?.interrupt();
        return;
      case "stop":
      case "destroy":
      case "unregister":
        run?.lose(`runtime: ${control.case}`);
        return;
      case "retire":
      case "closeStream":
      // Never sent: this executor does not say that it can drain.
      case "spawnDrain":
      case "abortDrain":
      // It runs no background tasks; they are whosever began them.
      case "cancelTask":
      case "stopMonitor":
      case "abortTask":
      case undefined:
        return;
    }
  }

  function takeAssignment(assignment: RunAssignment): void {
    // The same run again: its assignment was sent before the server knew that it is held.
    if (!held.has(assignment.runId)) {
      const { onNotStarted } = options;
      const { signal } = over;
      const run = holdRun({ connection, assignment, terms: runs, log, signal, onNotStarted });
      held.set(assignment.runId, run);
      if (renewals.isFresh()) run.begin();
      void run.ended.then(() => held.delete(assignment.runId));
    }
    renewals.renewNow();
  }

  function takeMessage(message: AttachMessage): void {
    switch (message.case) {
      case "runAssigned":
        takeAssignment(message.value);
        return;
      case "control":
        takeControl(message.value);
        return;
      case "leaseLost":
        takeLoss(message.value);
        return;
      case "heartbeat": {
        const { remaining } = message.value;
        const ttlMs = remaining === undefined ? undefined : durationFromProto(remaining);
        if (ttlMs !== undefined) renewals.setTtl(ttlMs);
        return;
      }
      case "leaseGranted":
      case "steerAvailable":
      case undefined:
        return;
    }
  }

  function sayTrouble(failure: Failure): void {
    const reason = failure.reason || statusName(failure.code);
    log.say(`not attached to ${connection.address}, trying again (${reason}: ${failure.message})`);
  }

  async function serve(signal: AbortSignal): Promise<AttachmentEnd> {
    const { pool, runtimeIds, slots, leaseTtlMs } = executor;
    const end = await stayAttached({
      connection,
      request: () => ({
        executorId,
        incarnationId,
        pool,
        slots,
        runtimeIds: [...runtimeIds],
        heldRunIds: heldRunIds(),
        ...(leaseTtlMs === undefined ? {} : { leaseTtl: durationToProto(leaseTtlMs) }),
      }),
      onMessage: takeMessage,
      onOpen: renewals.confirm,
      onTrouble: sayTrouble,
      signal: AbortSignal.any([signal, dead.signal]),
    });
    return dead.signal.aborted ? { type: "incarnation_dead" } : end;
  }

  return {
    incarnationId,
    heldRuns: () => [...held.values()],
    serve,
    emptied: async () => {
      while (held.size > 0) await Promise.all([...held.values()].map(({ ended }) => ended));
    },
    abandon: () => over.abort(),
  };
}
