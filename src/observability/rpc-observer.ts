/**
 * Turns finished calls into metrics and log lines. Calls that change state get a line at `info`,
 * except those that are the daily bread (thousands a second) and get theirs at `debug`, like reads.
 */
import type { Logger } from "pino";
import type { Metrics } from "./metrics.ts";

/** A call that is over, as the protocol's side describes it. */
export interface CallFacts {
  readonly service: string;
  readonly method: string;
  readonly code: string;
  readonly reason: string;
  readonly durationMs: number;
  readonly changesState: boolean;
  readonly namespace: string;
  readonly runtimeId: string;
  readonly revision: string;
  readonly traceParent: string;
  readonly bug?: unknown;
}

/** Hears of calls. */
export interface CallObserver {
  readonly rpcFinished: (call: CallFacts) => void;
  readonly itemFailed: (method: string, error: unknown) => void;
  /** A call was refused before its message was read. */
  readonly turnedAway: (service: string, method: string, code: string, reason: string) => void;
}

const MS_PER_SECOND = 1000;

/** Calls made for every input or every few seconds by every executor. */
const FREQUENT_METHODS: ReadonlySet<string> = new Set([
  "Ingest",
  "IngestBatch",
  "IngestStream",
  "IngestAndAwait",
  "PublishEvent",
  "PollRun",
  "RenewLeases",
  "CommitBoundary",
  "CompleteRun",
]);

/** Makes the observer of all calls. */
export function makeCallObserver(metrics: Metrics, logger: Logger): CallObserver {
  function write(call: CallFacts): void {
    const { bug, changesState, durationMs, ...facts } = call;
    const rounded = { ...facts, durationMs: Math.round(durationMs * 1000) / 1000 };
    if (bug !== undefined) logger.error({ ...rounded, err: bug }, "call failed inside");
    else if (changesState && !FREQUENT_METHODS.has(call.method)) {
      logger.info(rounded, "call answered");
    } else logger.debug(rounded, "call answered");
  }

  return {
    rpcFinished: (call) => {
      const method = `${call.service}/${call.method}`;
      metrics.rpcs.inc({ method, code: call.code, reason: call.reason });
      metrics.rpcSeconds.observe({ method }, call.durationMs / MS_PER_SECOND);
      write(call);
    },
    itemFailed: (method, error) => {
      logger.error({ method, err: error }, "one message of a stream failed inside");
    },
    turnedAway: (service, method, code, reason) => {
      metrics.rpcs.inc({ method: `${service}/${method}`, code, reason });
      logger.debug({ service, method, code, reason }, "call turned away");
    },
  };
}
