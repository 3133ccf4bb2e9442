/**
 * AbortAllDrains: ends the drains of a namespace, some at a time. With a request id, what a step is
 * to end is recorded before it is ended, so that a repetition ends nothing that was started since.
 */
import { canEndDrain } from "../core/runtime/drain.ts";
import type { RuntimeCommand } from "../core/runtime/commands.ts";
import type { Drain } from "../core/runtime/drain-state.ts";
import type { Namespace, StreamName, TimeMs } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { RecordStore, ViewStore } from "../engine/ports.ts";
import { streamName } from "../engine/stream-name.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { Caller } from "./caller.ts";
import { callerEnvelope, type RequestMark } from "./command-envelope.ts";
import { RUNTIME_KIND } from "./runtime-calls.ts";
import { makeSettleStep } from "./recorded-steps.ts";
import { isUnreadable } from "./unreadable.ts";
import { viewsAsOf, type ViewsAsOfOptions } from "./views-as-of.ts";

/** Drains that are looked up and ended at once. */
const STEP_DRAINS = 500;
/** Bytes of a command, near enough. */
const COMMAND_BYTES = 500;

/** One drain that a call is to end. */
interface DrainTarget {
  readonly runtimeId: string;
  readonly sequence: number;
}

/** What a call is to end next; the last step is one without targets. */
interface AbortStep {
  /** Drains that were started before are among the targets of this step or of an earlier one. */
  readonly asOf: TimeMs;
  readonly targets: readonly DrainTarget[];
}

/** What a call came to. */
export interface AbortedDrains {
  readonly runtimeIds: readonly string[];
  readonly asOf: TimeMs;
}

/** Who asks, and for what. */
export interface AbortOrder {
  readonly caller: Caller;
  readonly reason: string | undefined;
  readonly mark: RequestMark | undefined;
}

/** What ending drains works with. */
export interface DrainAbortsOptions extends ViewsAsOfOptions {
  readonly streams: Pick<RuntimeStreams, "fresh" | "submit">;
  readonly views: Pick<ViewStore, "drains">;
  readonly records: Pick<RecordStore, "insert" | "list">;
}

/** Ends every drain of the caller's namespace. */
export type AbortAllDrains = (order: AbortOrder) => Promise<AbortedDrains>;

function isGone(error: unknown): boolean {
  return error instanceof RefusedError && error.refusal.reason === "RUNTIME_NOT_REGISTERED";
}

/** Makes the call. */
export function makeAbortAllDrains(options: DrainAbortsOptions): AbortAllDrains {
  const { streams, views } = options;
  const settle = makeSettleStep(options.records);

  /** The drain of a runtime; one that cannot be read must not keep the others from being ended. */
  async function drainOf(stream: StreamName): Promise<Drain | undefined> {
    try {
      return (await streams.fresh(stream)).state.drain;
    } catch (error) {
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** Drains that there are now, but none of those that were seen before. */
  async function look(namespace: Namespace, seen: Set<string>): Promise<AbortStep> {
    const asOf = await viewsAsOf(options);
    const query = { kind: RUNTIME_KIND, namespace };
    for (;;) {
      const rows = await views.drains(query, seen.size + STEP_DRAINS);
      const fresh = rows.filter(({ id }) => !seen.has(id));
      if (fresh.length === 0) return { asOf, targets: [] };
      const found = fresh.map(async ({ id: runtimeId, stream }) => {
        seen.add(runtimeId);
        const drain = await drainOf(stream);
        return drain && canEndDrain(drain) ? [{ runtimeId, sequence: drain.sequence }] : [];
      });
      const targets = (await Promise.all(found)).flat();
      // Rows lag behind: a page of them may hold no drain at all.
      if (targets.length > 0) return { asOf, targets };
    }
  }

  /** Whether this call, or the one that it repeats, ended the drain. */
  async function end(order: AbortOrder, target: DrainTarget): Promise<boolean> {
    const { caller, reason, mark } = order;
    const { runtimeId, sequence } = target;
    const stream = streamName(RUNTIME_KIND, caller.namespace, runtimeId);
    const because = reason === undefined ? {} : { reason };
    const command: RuntimeCommand = { type: "abort_drain", sequence, ...because };
    const terms = { bytes: COMMAND_BYTES, retrySafe: true };
    try {
      const { reply } = await streams.submit(stream, callerEnvelope(caller, command, mark, terms));
      return reply.type === "drain_ended" && reply.ended;
    } catch (error) {
      // A runtime that is gone by now has no drain.
      if (isGone(error) || isUnreadable(error)) return false;
      throw error;
    }
  }

  return async (order) => {
    const { caller, mark } = order;
    const { namespace } = caller;
    const seen = new Set<string>();
    const runtimeIds: string[] = [];
    let firstAsOf: TimeMs | undefined;
    for (let ordinal = 1; ; ordinal += 1) {
      const looked = (): Promise<AbortStep> => look(namespace, seen);
      const step = await (mark ? settle(namespace, mark, ordinal, looked) : looked());
      const { asOf, targets } = step;
      firstAsOf ??= asOf;
      if (targets.length === 0) return { runtimeIds: runtimeIds.toSorted(), asOf: firstAsOf };
      for (const { runtimeId } of targets) seen.add(runtimeId);
      const isEnded = await Promise.all(targets.map((target) => end(order, target)));
      runtimeIds.push(...targets.flatMap(({ runtimeId }, at) => (isEnded[at] ? [runtimeId] : [])));
    }
  };
}
