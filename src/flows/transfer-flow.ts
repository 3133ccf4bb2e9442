/**
 * Carries grants from one session to another in three steps: the intent stands in the source; the
 * target takes it in, once; the source lets it go. Before the source does, the processes know that
 * the target holds them, so that at no moment nobody does.
 */
import {
  isAcquiringAny,
  type TransferDelivery,
  transferDeliveriesOf,
} from "../core/grants/open-work.ts";
import type { TransferVerdict } from "../core/grants/commands.ts";
import type { StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import {
  addressOf,
  flowEnvelope,
  grantsStreamOf,
  type GrantsStreams,
  isRefusedFor,
  processStreamOf,
  sessionOf,
} from "./flow-streams.ts";
import { keepsNameForGood, type SoleNameStreams, soleNameIn } from "./sole-names.ts";
import { failureOf, type WorkDriver } from "./work-driver.ts";

/** What the flow works between. */
export interface TransferFlowOptions {
  readonly grants: Pick<GrantsStreams, "fresh" | "submit">;
  /** Say which names of tasks are free, and learn which session looks after a task now. */
  readonly processes: SoleNameStreams["processes"] & Pick<ProcessStreams, "submit">;
  /** Tells the processes of the target's holds. */
  readonly holds: Pick<WorkDriver, "settle">;
}

/** Carries transfers. */
export interface TransferFlow {
  /** The second step: has the target answer, as often as it is asked the same. */
  readonly deliver: (source: StreamName, delivery: TransferDelivery) => Promise<TransferVerdict>;
  /** Everything open in the grants of a session. */
  readonly drive: (source: StreamName) => Promise<void>;
}

/** Bytes of one handle of a command, near enough. */
const HANDLE_BYTES = 150;

/** Makes the flow. */
export function makeTransferFlow(options: TransferFlowOptions): TransferFlow {
  const { grants, processes, holds } = options;

  function targetOf(source: StreamName, delivery: TransferDelivery): StreamName {
    return grantsStreamOf(addressOf(source).namespace, delivery.toSessionId);
  }

  async function deliver(source: StreamName, delivery: TransferDelivery): Promise<TransferVerdict> {
    const { serial, settledBelow, toFrameId, begunAt, solePrefixes = [] } = delivery;
    const target = targetOf(source, delivery);
    const soleNames = await Promise.all(
      solePrefixes.map((prefix) => soleNameIn(options, target, prefix, keepsNameForGood)),
    );
    const handles = delivery.handles.map(({ processId, descriptor }) => ({
      processId,
      descriptor,
    }));
    const command = {
      type: "accept_transfer" as const,
      fromSessionId: sessionOf(source),
      serial,
      settledBelow,
      toFrameId,
      handles,
      begunAt,
      soleNames,
    };
    const envelope = flowEnvelope(command, handles.length * HANDLE_BYTES);
    const { reply } = await grants.submit(target, envelope);
    if (reply.type === "verdict") return reply.verdict;
    throw new TypeError(`A transfer was answered with ${reply.type}`);
  }

  /** Resolves once every process knows that the target holds it, if it still does. */
  async function assureTarget(target: StreamName, delivery: TransferDelivery): Promise<void> {
    const processIds = delivery.handles.map(({ processId }) => processId);
    // Perhaps about a process that is none of this transfer's.
    const failure = await failureOf(holds.settle(target));
    const { state } = await grants.fresh(target);
    if (!isAcquiringAny(state, processIds)) return;
    const message = "The target of the transfer does not hold all processes yet";
    const metadata = { sessionId: delivery.toSessionId };
    throw failure ?? new RefusedError(refusalOf("CONFLICT", message, metadata));
  }

  /** Tells tasks that are handed over which session looks after them from now on. */
  async function tellTasks(source: StreamName, delivery: TransferDelivery): Promise<void> {
    const { solePrefixes, handles, toSessionId: sessionId } = delivery;
    if (solePrefixes === undefined) return;
    const { namespace } = addressOf(source);
    const fromSessionId = sessionOf(source);
    const told = handles.map(async ({ processId }) => {
      const command = { type: "transfer_task" as const, processId, fromSessionId, sessionId };
      try {
        await processes.submit(processStreamOf(namespace, processId), flowEnvelope(command));
      } catch (error) {
        if (!isRefusedFor(error, ["NO_LONGER_RETAINED"])) throw error;
      }
    });
    await Promise.all(told);
  }

  async function complete(source: StreamName, delivery: TransferDelivery): Promise<void> {
    const { serial } = delivery;
    const verdict = await deliver(source, delivery);
    if (verdict === "accepted") {
      await assureTarget(targetOf(source, delivery), delivery);
      await tellTasks(source, delivery);
    }
    await grants.submit(
      source,
      flowEnvelope({ type: "settle_transfer" as const, serial, verdict }),
    );
  }

  return {
    deliver,
    drive: async (source) => {
      const { state } = await grants.fresh(source);
      const deliveries = transferDeliveriesOf(state);
      const ends = await Promise.allSettled(deliveries.map((it) => complete(source, it)));
      const failure = ends.find((end) => end.status === "rejected");
      if (failure === undefined) return;
      const attempts = state.deferral?.attempts ?? 0;
      await grants.submit(source, flowEnvelope({ type: "defer_work" as const, attempts }));
      throw failure.reason;
    },
  };
}
