/** What the calls tell metrics and logs; nobody answers. */

/** One call that is over. */
export interface FinishedCall {
  /** Full name of the service, such as `keelson.runtime.v1.RuntimeControlPlaneService`. */
  readonly service: string;
  readonly method: string;
  /** Lower snake case name of the status, `ok` for success. */
  readonly code: string;
  /** Published reason of a refusal; empty for success and for errors of the transport. */
  readonly reason: string;
  readonly durationMs: number;
  /** False for reads. */
  readonly changesState: boolean;
  readonly namespace: string;
  /** The runtime that the request names; empty when it names none. */
  readonly runtimeId: string;
  /** Revision that the answer rests on; empty when it names none. */
  readonly revision: string;
  /** Trace that the caller named; empty when it named none. */
  readonly traceParent: string;
  /** The cause of an INTERNAL, for the log alone. */
  readonly bug?: unknown;
}

/** Hears of every call once. */
export interface RpcObserver {
  readonly rpcFinished: (call: FinishedCall) => void;
  /** A message of a stream failed inside although the stream goes on; for the log. */
  readonly itemFailed: (method: string, error: unknown) => void;
}
