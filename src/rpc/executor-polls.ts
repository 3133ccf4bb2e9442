/** PollRun: what Attach would send, by unary calls. Between them the session keeps its mail. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type ExecutorService,
  type PollRunRequest,
  type PollRunResponse,
  PollRunResponseSchema,
} from "../../gen/keelson/executor/v1/service_pb.ts";
import type { RunId } from "../core/shared/ids.ts";
import { holderKey, isBusy, nextSign, remainingMs, type Session } from "../dispatch/session.ts";
import { callerOf } from "./caller.ts";
import {
  controlToProto,
  drainControlToProto,
  leaseLossToProto,
  steerNoticeToProto,
  taskControlToProto,
} from "./codec/executor-message.ts";
import { finish, makeFieldCheck } from "./codec/field-check.ts";
import { runAssignmentToProto } from "./codec/run-assignment.ts";
import { durationToProto } from "./codec/time.ts";
import type { ExecutorSessionsOptions } from "./executor-sessions.ts";
import { requestedTermsOf, type RequestedTerms, termsWithTtl } from "./executor-terms.ts";
import { waitMs } from "./wait-time.ts";

const RENEWALS_PER_TTL = 3;

function sameTarget(left: RequestedTerms, right: RequestedTerms): boolean {
  return JSON.stringify(left.target) === JSON.stringify(right.target) && left.slots === right.slots;
}

/** Empties the mailbox into an answer; of several runs one is taken, the others go out later. */
function takeMail(session: Session, runIds: readonly RunId[], nowMs: number): PollRunResponse {
  const response = create(PollRunResponseSchema, {
    remaining: durationToProto(remainingMs(session, nowMs)),
  });
  const rest = [];
  for (const message of session.mailbox) {
    if (message.type === "control") response.controls.push(controlToProto(message));
    else if (message.type === "drain_control") {
      response.controls.push(drainControlToProto(message));
    } else if (message.type === "task_control") {
      response.controls.push(taskControlToProto(message));
    } else if (message.type === "lease_lost") response.lost.push(leaseLossToProto(message));
    else if (message.type === "steer_available") {
      response.steerAvailable.push(steerNoticeToProto(message));
    } else if (message.type === "run_assigned") {
      if (response.assignment) rest.push(message);
      else response.assignment = runAssignmentToProto(message.assignment);
    }
  }
  // Losses of runs that the executor still names: the answer that told of them did not arrive.
  for (const runId of runIds) {
    const loss = session.losses.get(runId);
    const isTold = response.lost.some((lost) => lost.runId === runId);
    if (loss && !isTold) response.lost.push(leaseLossToProto(loss));
  }
  session.mailbox = rest;
  return response;
}

/** Makes the handler of polls. */
export function makeExecutorPolls(
  options: ExecutorSessionsOptions,
): Pick<ServiceImpl<typeof ExecutorService>, "pollRun"> {
  const { dispatcher, streams, clock } = options;
  /** The call that a session's mail goes to: the newest one; an older one answers nothing. */
  const turns = new WeakMap<Session, HandlerContext>();

  /** The session of a poller: kept between its polls, so that nothing told meanwhile is lost. */
  async function pollSession(terms: RequestedTerms, heldRunIds: readonly RunId[]) {
    const known = dispatcher.sessionOf(holderKey(terms));
    if (!known || known.closed || !known.terms.polls || !sameTarget(known.terms, terms)) {
      const complete = await termsWithTtl(terms, streams, options.leaseTtlMs);
      return await dispatcher.attach(complete, heldRunIds);
    }
    known.mailbox = known.mailbox.filter((message) => message.type !== "run_assigned");
    known.fenced.clear();
    dispatcher.resend(known, heldRunIds);
    return known;
  }

  /** A call that waits is a sign of life: it may wait for longer than leases live. */
  function keepAlive(session: Session, isPassedOver: () => boolean): () => void {
    let cancel = (): void => undefined;
    const renew = (): void => {
      if (session.closed || isPassedOver()) return;
      dispatcher.renewLater(session);
      cancel = clock.after(session.terms.leaseTtlMs / RENEWALS_PER_TTL, renew);
    };
    renew();
    return () => cancel();
  }

  /** Waits until there is mail, or nothing more to wait for. */
  async function waitForMail(session: Session, isOver: () => boolean, signal: AbortSignal) {
    const isDone = (): boolean => session.closed || isOver();
    while (session.mailbox.length === 0 && !signal.aborted && !isDone()) {
      await nextSign(session, signal);
    }
  }

  async function pollRun(
    request: PollRunRequest,
    context: HandlerContext,
  ): Promise<PollRunResponse> {
    const { namespace } = callerOf(context);
    const check = makeFieldCheck();
    const requested = requestedTermsOf(check, namespace, request, true);
    const { terms, heldRunIds, heldDrains } = requested;
    const { longPollMaxMs } = options.limits;
    const timeoutMs = waitMs(check, request.timeout, 0, longPollMaxMs, context);
    finish(check);
    const endMs = clock.monotonicMs() + timeoutMs;
    const session = await pollSession(terms, heldRunIds);
    dispatcher.reviewDrains(session, heldDrains);
    turns.set(session, context);
    const isPassedOver = (): boolean => turns.get(session) !== context;
    await dispatcher.acknowledge(namespace, session.holder, heldRunIds);
    const stopRenewing = keepAlive(session, isPassedOver);
    if (heldRunIds.length < terms.slots && !isPassedOver()) await dispatcher.awaitRun(session);
    const timeUp = new AbortController();
    const cancel = clock.after(Math.max(0, endMs - clock.monotonicMs()), () => timeUp.abort());
    const signal = AbortSignal.any([context.signal, timeUp.signal]);
    await waitForMail(session, isPassedOver, signal);
    cancel();
    stopRenewing();
    if (!isPassedOver()) session.pollWaits = false;
    // A run that was asked for on behalf of this call goes out with it.
    const isIdle = (): boolean => isPassedOver() || !isBusy(session);
    await waitForMail(session, isIdle, context.signal);
    session.seenMs = clock.monotonicMs();
    if (isPassedOver() || context.signal.aborted) {
      return create(PollRunResponseSchema, {
        remaining: durationToProto(remainingMs(session, clock.monotonicMs())),
      });
    }
    return takeMail(session, heldRunIds, clock.monotonicMs());
  }

  return { pollRun };
}
