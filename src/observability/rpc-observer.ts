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

/** Health checks and reflection. */
const STANDARD_SERVICE = /^grpc\./;
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

/** Whether a call is worth a line of its own. */
function isNotable({ service, method, changesState }: CallFacts): boolean {
  return changesState && !STANDARD_SERVICE.test(service) && !FREQUENT_METHODS.has(method);
}

/** The fields of a line; what a call does not have is left out. */
function fieldsOf(call: CallFacts): Readonly<Record<string, string | number>> {
  const { code, reason, namespace, runtimeId, revision, traceParent } = call;
  const fields = Object.entries({ reason, namespace, runtimeId, revision, traceParent });
  return {
    method: `${call.service}/${call.method}`,
    code,
    durationMs: Math.round(call.durationMs * 1000) / 1000,
    ...Object.fromEntries(fields.filter(([, value]) => value !== "")),
  };
}

/** Makes the observer of all calls. */
export function makeCallObserver(metrics: Metrics, logger: Logger): CallObserver {
  function write(call: CallFacts): void {
    if (call.bug !== undefined) {
      logger.error({ ...fieldsOf(call), err: call.bug }, "call failed inside");
    } else if (isNotable(call)) logger.info(fieldsOf(call), "call answered");
    else if (logger.isLevelEnabled("debug")) logger.debug(fieldsOf(call), "call answered");
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
      logger.debug({ method: `${service}/${method}`, code, reason }, "call turned away");
    },
  };
}
