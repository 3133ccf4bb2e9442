/**
 * The one place where a call ends: maps what was thrown to an error on the wire and reports the
 * call once, with its code, its reason and its duration. A call whose deadline passed is answered
 * at once, whatever its handler still waits for.
 */
import {
  Code,
  type ConnectError,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
} from "@connectrpc/connect";
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { NAMESPACE_HEADER, traceParentOf } from "./caller.ts";
import { DEADLINE_HEADERS } from "./deadline.ts";
import {
  abortReasonOf,
  connectErrorOf,
  isTransportError,
  type WireRefusal,
  wireRefusalOf,
} from "./errors.ts";
import type { FinishedCall, RpcObserver } from "./observer.ts";

type AnyRequest = UnaryRequest | StreamRequest;

const UPPER = /(?<=[a-z])[A-Z]/g;

/** The name of a status in lower snake case. */
export function codeName(code: Code): string {
  return Code[code].replace(UPPER, (letter) => `_${letter}`).toLowerCase();
}

function textMember(message: object, member: string): string {
  const value: unknown = (message as Readonly<Record<string, unknown>>)[member];
  return typeof value === "string" || typeof value === "bigint" ? String(value) : "";
}

/** How a call ended. */
export type Ending = Pick<FinishedCall, "code" | "reason" | "bug">;

/** The end of a call that went well. */
export const SUCCESS: Ending = { code: "ok", reason: "" };

/** A stream without a history does not know whose it would be; the call does. */
function named(refusal: WireRefusal, runtimeId: string): WireRefusal {
  const { reason, metadata } = refusal;
  if (reason !== "RUNTIME_NOT_REGISTERED" || metadata["runtimeId"] !== undefined) return refusal;
  return { ...refusal, metadata: { ...metadata, runtimeId } };
}

/** What was thrown, as the error that goes out and as the report says it. */
export function failureOf(
  error: unknown,
  runtimeId = "",
): { readonly error: ConnectError; readonly ending: Ending } {
  if (isTransportError(error)) {
    return { error, ending: { code: codeName(error.code), reason: "" } };
  }
  const refusal = named(wireRefusalOf(error), runtimeId);
  const ending = { code: codeName(refusal.code), reason: refusal.reason };
  const outgoing = connectErrorOf(refusal, refusal.isBug ? error : undefined);
  return { error: outgoing, ending: refusal.isBug ? { ...ending, bug: error } : ending };
}

/** The answer, or an error as soon as the call is cancelled or its deadline passes. */
function inTime<Answer>(request: AnyRequest, answer: Promise<Answer>): Promise<Answer> {
  // Most calls have no deadline, and watching a signal costs more than they do.
  if (!DEADLINE_HEADERS.some((name) => request.header.has(name))) return answer;
  const { signal } = request;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(abortReasonOf(signal));
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort);
  return Promise.race([answer, promise]).finally(() => signal.removeEventListener("abort", abort));
}

/** What a report says of a call besides its method and its headers. */
export interface CallReport {
  /** By the monotonic clock. */
  readonly startedMs: number;
  readonly ending: Ending;
  readonly runtimeId?: string;
  readonly revision?: string;
}

/** Tells the observer of a call that is over. */
export function reportCall(
  observer: RpcObserver,
  method: DescMethod,
  header: Headers,
  { startedMs, ending, runtimeId = "", revision = "" }: CallReport,
): void {
  observer.rpcFinished({
    service: method.parent.typeName,
    method: method.name,
    ...ending,
    durationMs: performance.now() - startedMs,
    changesState: method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
    namespace: header.get(NAMESPACE_HEADER) ?? "",
    runtimeId,
    revision,
    traceParent: traceParentOf(header) ?? "",
  });
}

/** Makes the interceptor of all services; it must be the outermost one. */
export function makeCallInterceptor(observer: RpcObserver): Interceptor {
  const report = ({ method, header }: AnyRequest, facts: CallReport): void => {
    reportCall(observer, method, header, facts);
  };

  /** The messages of a response; reports when they end, however they end. */
  function watched(
    request: StreamRequest,
    response: StreamResponse,
    startedMs: number,
  ): StreamResponse["message"] {
    const source = response.message[Symbol.asyncIterator]();
    let isReported = false;
    const finish = (ending: Ending): void => {
      if (isReported) return;
      isReported = true;
      report(request, { startedMs, ending });
    };
    const fail = (error: unknown): never => {
      const failure = failureOf(error);
      finish(failure.ending);
      throw failure.error;
    };
    type Step = Awaited<ReturnType<typeof source.next>>;
    const passOn = (step: Step): Step => {
      if (step.done) finish(SUCCESS);
      return step;
    };
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => source.next().then(passOn, fail),
        return: async (value: unknown) => {
          finish(failureOf(abortReasonOf(request.signal)).ending);
          await source.return?.(value);
          return { done: true, value: undefined };
        },
      }),
    };
  }

  return (next) => async (request) => {
    const startedMs = performance.now();
    const runtimeId = request.stream ? "" : textMember(request.message, "runtimeId");
    try {
      // Whose time is over before it begins does nothing.
      if (request.signal.aborted) throw abortReasonOf(request.signal);
      const response = await inTime(request, next(request));
      if (request.stream && response.stream) {
        return { ...response, message: watched(request, response, startedMs) };
      }
      const revision = response.stream ? "" : textMember(response.message, "revision");
      report(request, { startedMs, ending: SUCCESS, runtimeId, revision });
      return response;
    } catch (error) {
      const failure = failureOf(error, runtimeId);
      report(request, { startedMs, ending: failure.ending, runtimeId });
      throw failure.error;
    }
  };
}
