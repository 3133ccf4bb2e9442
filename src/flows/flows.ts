/**
 * Everything that one commit leaves to be done on other streams, composed: holds and transfers of
 * the grants of sessions, wakes and the end of retention of processes. Begun at once by the replica
 * that committed, taken up by any replica when the timer of the stream is due.
 */
import { grantsAggregate } from "../core/grants/aggregate.ts";
import { processAggregate } from "../core/process/aggregate.ts";
import { taskWorkOf } from "../core/process/task-work.ts";
import type { TransferVerdict } from "../core/grants/commands.ts";
import type { TransferDelivery } from "../core/grants/open-work.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { OpenTaskControls } from "../dispatch/dispatcher.ts";
import type { TimedKind } from "../dispatch/due-timers.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { ProcessCommit, ProcessStreams } from "../dispatch/process-streams.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Membership } from "../engine/membership.ts";
import type { Clock, Entropy } from "../engine/ports.ts";
import type { GrantsCommit, GrantsStreams } from "./flow-streams.ts";
import { makeHoldFlow } from "./hold-flow.ts";
import { makeLateFlow } from "./late-flow.ts";
import { makePrunedFlow } from "./pruned-flow.ts";
import { makeOpenTaskControls, makeTaskFlow } from "./task-flow.ts";
import { makeTransferFlow } from "./transfer-flow.ts";
import { makeWakeFlow } from "./wake-flow.ts";
import { makeWorkDriver } from "./work-driver.ts";

/** What the flows work between. */
export interface FlowsOptions {
  readonly grants: Pick<GrantsStreams, "fresh" | "submit">;
  readonly processes: Pick<ProcessStreams, "fresh" | "submit" | "commit">;
  readonly runtimes: Pick<RuntimeStreams, "fresh" | "submit">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly nowMs: () => TimeMs;
  readonly clock: Pick<Clock, "after">;
  readonly membership: Pick<Membership, "presentForMs">;
  readonly observer: EngineObserver;
}

/** The flows of one replica. */
export interface Flows {
  /** To be called for every commit of grants folded here. */
  readonly grantsAdvanced: (stream: StreamName, commit: GrantsCommit) => void;
  /** To be called for every commit of processes folded here. */
  readonly processAdvanced: (stream: StreamName, commit: ProcessCommit) => void;
  /** Has the processes told of all holds of a session that are open; see `WorkDriver.settle`. */
  readonly settleHolds: (grants: StreamName) => Promise<void>;
  /** Has all transfers of a session that are open completed. */
  readonly settleTransfers: (grants: StreamName) => Promise<void>;
  /** Has what is open about a task done: its grant, what is to be told, its abort. */
  readonly settleTasks: (process: StreamName) => Promise<void>;
  /** What an executor that gets hold of a runtime is told of the tasks of its session. */
  readonly openTaskControls: OpenTaskControls;
  /** Has the target of a transfer answer. */
  readonly deliverTransfer: (
    grants: StreamName,
    delivery: TransferDelivery,
  ) => Promise<TransferVerdict>;
  /** What is done to the streams of each kind when they are due. */
  readonly timedKinds: readonly (readonly [kind: string, timed: TimedKind])[];
  /** Begins nothing any more by itself. */
  readonly stop: () => void;
}

/** Makes the flows of a replica. */
export function makeFlows(options: FlowsOptions): Flows {
  const { grants, processes, observer } = options;
  const holds = makeWorkDriver({
    task: "holds of a session",
    observer,
    drive: makeHoldFlow({ grants, processes }),
  });
  const carrier = makeTransferFlow({ grants, processes, holds });
  const transfers = makeWorkDriver({
    task: "transfers of a session",
    observer,
    drive: carrier.drive,
  });
  const wakes = makeWorkDriver({
    task: "wakes of a process",
    observer,
    drive: makeWakeFlow(options),
  });
  const pruned = makeWorkDriver({
    task: "grants of a pruned process",
    observer,
    drive: makePrunedFlow({ grants, processes }),
  });
  const tasks = makeWorkDriver({
    task: "work of a task",
    observer,
    drive: makeTaskFlow({ ...options, holds }),
  });
  const late = makeLateFlow({ ...options, presentForMs: options.membership.presentForMs });
  let stopped = false;

  const tickGrants: TimedKind["tick"] = async (stream) => {
    await Promise.all([holds.settle(stream), transfers.settle(stream)]);
  };
  const tickProcess: TimedKind["tick"] = async (stream) => {
    await Promise.all([wakes.settle(stream), pruned.settle(stream), tasks.settle(stream)]);
  };

  return {
    grantsAdvanced: (stream, commit) => {
      const { openHolds, transfers: open } = commit.after.state;
      if (stopped || !commit.isOwn) return;
      // What was put off waits for its timer.
      if (commit.events.every(({ type }) => type === "work_deferred")) return;
      if (openHolds.size > 0) holds.kick(stream);
      if (open.size > 0) transfers.kick(stream);
    },
    processAdvanced: (stream, commit) => {
      const { outbox, prunedAt, holderCount } = commit.after.state;
      if (stopped || !commit.isOwn) return;
      late.landed(stream, commit.after.at);
      if (outbox.size > 0) wakes.kick(stream);
      if (prunedAt !== null && holderCount > 0) pruned.kick(stream);
      if (taskWorkOf(commit.after.state, options.nowMs()) !== undefined) tasks.kick(stream);
    },
    settleHolds: holds.settle,
    settleTransfers: transfers.settle,
    settleTasks: tasks.settle,
    openTaskControls: makeOpenTaskControls({ grants, processes }),
    deliverTransfer: carrier.deliver,
    timedKinds: [
      [grantsAggregate.kind, { graceMs: 0, tick: tickGrants }],
      [processAggregate.kind, { graceMs: 0, tick: tickProcess }],
    ],
    stop: () => {
      stopped = true;
      late.stop();
    },
  };
}
