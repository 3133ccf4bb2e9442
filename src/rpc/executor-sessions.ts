/** Attach, RenewLeases and Detach: how executors come, get work, stay and go. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type AttachRequest,
  type AttachResponse,
  type DetachRequest,
  DetachResponseSchema,
  type ExecutorService,
  type RenewLeasesRequest,
  RenewLeasesResponseSchema,
} from "../../gen/keelson/executor/v1/service_pb.ts";
import { executorIdOf, incarnationIdOf } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { incarnationDead } from "../dispatch/registers.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { holderKey, mailReady, remainingMs, type Session } from "../dispatch/session.ts";
import type { Clock } from "../engine/ports.ts";
import { callerOf } from "./caller.ts";
import {
  executorMessageToProto,
  heartbeatToProto,
  leaseLossToProto,
} from "./codec/executor-message.ts";
import { checkId, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { durationToProto } from "./codec/time.ts";
import { checkRunIds, requestedTermsOf, termsWithTtl } from "./executor-terms.ts";
import type { RpcLimits } from "./runtime-options.ts";

const HEARTBEAT_MS = 10_000;
const DETACHED_MAX = 1000;

/** What the executor service works with. */
export interface ExecutorSessionsOptions {
  readonly dispatcher: Dispatcher;
  readonly streams: RuntimeStreams;
  readonly clock: Clock;
  readonly nowMs: () => number;
  /** Time to live of leases when neither executor nor runtime say. */
  readonly leaseTtlMs: number;
  readonly limits: Pick<RpcLimits, "longPollMaxMs">;
}

type SessionHandlers = Pick<
  ServiceImpl<typeof ExecutorService>,
  "attach" | "renewLeases" | "detach"
>;

/** Makes the handlers that concern the executor as such. */
export function makeExecutorSessions(options: ExecutorSessionsOptions): SessionHandlers {
  const { dispatcher, streams, clock } = options;

  async function* attach(
    request: AttachRequest,
    context: HandlerContext,
  ): AsyncGenerator<AttachResponse> {
    const { namespace } = callerOf(context);
    const check = makeFieldCheck();
    const requested = requestedTermsOf(check, namespace, request, false);
    const { terms, heldRunIds } = requested;
    finish(check);
    const complete = await termsWithTtl(terms, streams, options.leaseTtlMs);
    const session = await dispatcher.attach(complete, heldRunIds);
    dispatcher.reviewDrains(session, requested.heldDrains);
    const restMs = (): number => remainingMs(session, clock.monotonicMs());
    try {
      yield heartbeatToProto(options.nowMs(), restMs());
      for (;;) {
        for (const message of session.mailbox.splice(0)) {
          yield executorMessageToProto(message, restMs());
        }
        if (session.closed && session.mailbox.length === 0) return;
        const sign = await signOf(session, context.signal);
        if (sign === "gone") return;
        if (sign === "silence") yield heartbeatToProto(options.nowMs(), restMs());
      }
    } finally {
      dispatcher.close(session);
    }
  }

  /** What came next: mail, silence for a heartbeat's time, or that the caller is gone. */
  async function signOf(session: Session, signal: AbortSignal) {
    const silence = new AbortController();
    const cancel = clock.after(HEARTBEAT_MS, () => silence.abort());
    await mailReady(session, AbortSignal.any([signal, silence.signal]));
    cancel();
    if (signal.aborted) return "gone";
    return session.mailbox.length === 0 && silence.signal.aborted ? "silence" : "mail";
  }

  async function renewLeases(request: RenewLeasesRequest, context: HandlerContext) {
    const { namespace } = callerOf(context);
    const check = makeFieldCheck();
    const executorId = checkId(check, request.executorId, "executor_id");
    const incarnationId = checkId(check, request.incarnationId, "incarnation_id");
    const heldRunIds = checkRunIds(check, request.heldRunIds);
    finish(check);
    const holder = holderKey({ namespace, executorId, incarnationId });
    const renewed = await dispatcher.renew(holder);
    if (renewed.kind === "dead") throw incarnationDead({ executorId, incarnationId });
    if (renewed.kind === "unknown") {
      const message = "This incarnation never attached, or it was forgotten; attach first";
      const metadata = { executorId, incarnationId };
      throw new RefusedError(refusalOf("EXECUTOR_NOT_FOUND", message, metadata));
    }
    const unknownRunIds = await dispatcher.acknowledge(namespace, holder, heldRunIds);
    const losses = dispatcher.sessionOf(holder)?.losses;
    return create(RenewLeasesResponseSchema, {
      remaining: durationToProto(renewed.ttlMs),
      unknownRunIds: [...unknownRunIds],
      lost: heldRunIds.flatMap((runId) => {
        const loss = losses?.get(runId);
        return loss ? [leaseLossToProto(loss)] : [];
      }),
    });
  }

  async function detach(request: DetachRequest, context: HandlerContext) {
    const { namespace } = callerOf(context);
    const check = makeFieldCheck();
    const executorId = executorIdOf(checkId(check, request.executorId, "executor_id"));
    const incarnationId = incarnationIdOf(checkId(check, request.incarnationId, "incarnation_id"));
    const { runtimeIds } = request;
    if (runtimeIds.length > DETACHED_MAX) {
      const description = `has ${runtimeIds.length}, at most ${DETACHED_MAX} are allowed`;
      violate(check, "runtime_ids", description);
    }
    finish(check);
    const leaver = { namespace, executorId, incarnationId };
    const released = await dispatcher.detach(leaver, new Set(runtimeIds));
    return create(DetachResponseSchema, {
      released: released.map(({ runtimeId, revision }) => {
        return { runtimeId, revision: BigInt(revision) };
      }),
    });
  }

  return { attach, renewLeases, detach };
}
