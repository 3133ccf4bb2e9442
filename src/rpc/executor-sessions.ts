/** Attach, PollRun, RenewLeases and Detach: how executors come, get work, stay and go. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type AttachRequest,
  type AttachResponse,
  DetachResponseSchema,
  type ExecutorService,
  type PollRunRequest,
  type PollRunResponse,
  PollRunResponseSchema,
  RenewLeasesResponseSchema,
} from "../../gen/keelson/executor/v1/service_pb.ts";
import {
  executorIdOf,
  incarnationIdOf,
  type Namespace,
  type RunId,
  runIdOf,
} from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { holderKey, mailReady, type Session, type SessionTerms } from "../dispatch/session.ts";
import type { Clock } from "../engine/ports.ts";
import { parseStreamName, streamName } from "../engine/stream-name.ts";
import { callerOf } from "./caller.ts";
import {
  controlToProto,
  executorMessageToProto,
  heartbeatToProto,
  leaseLossToProto,
  steerNoticeToProto,
} from "./codec/executor-message.ts";
import { checkId, type FieldCheck, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { runAssignmentToProto } from "./codec/run-assignment.ts";
import { durationFromProto, durationToProto } from "./codec/time.ts";

const RUNTIMES_MAX = 1000;
const SLOTS_MAX = 1000;
const HELD_RUNS_MAX = 10_000;
const CAPABILITIES_MAX = 64;
const LEASE_TTL_MIN_MS = 1000;
const LEASE_TTL_MAX_MS = 600_000;
const POLL_MAX_MS = 60_000;
const HEARTBEAT_MS = 10_000;

/** What the executor service works with. */
export interface ExecutorSessionsOptions {
  readonly dispatcher: Dispatcher;
  readonly streams: RuntimeStreams;
  readonly clock: Clock;
  readonly nowMs: () => number;
  /** Time to live of leases when the executor asks for none. */
  readonly leaseTtlMs: number;
}

type SessionHandlers = Pick<
  ServiceImpl<typeof ExecutorService>,
  "attach" | "pollRun" | "renewLeases" | "detach"
>;

function checkTtl(check: FieldCheck, ttl: Duration | undefined, defaultMs: number): number {
  const ttlMs = ttl === undefined ? defaultMs : durationFromProto(ttl);
  if (ttlMs !== undefined && ttlMs >= LEASE_TTL_MIN_MS && ttlMs <= LEASE_TTL_MAX_MS) return ttlMs;
  violate(check, "lease_ttl", "must be 1 s to 10 min");
  return defaultMs;
}

function checkTarget(
  check: FieldCheck,
  namespace: Namespace,
  request: AttachRequest | PollRunRequest,
): SessionTerms["target"] {
  const { pool, runtimeIds } = request;
  if ((pool === "") === (runtimeIds.length === 0)) {
    violate(check, "pool", "either a pool or runtime ids must be given, not both");
  }
  if (runtimeIds.length > RUNTIMES_MAX) {
    violate(check, "runtime_ids", `has ${runtimeIds.length}, at most ${RUNTIMES_MAX} are allowed`);
  }
  if (pool !== "") return { kind: "pool", pool: checkId(check, pool, "pool") };
  const unique = [...new Set(runtimeIds)].slice(0, RUNTIMES_MAX);
  return {
    kind: "runtimes",
    streams: unique.map((runtimeId, index) => {
      return streamName("runtime", namespace, checkId(check, runtimeId, `runtime_ids[${index}]`));
    }),
  };
}

function checkRunIds(check: FieldCheck, runIds: readonly string[]): readonly RunId[] {
  if (runIds.length > HELD_RUNS_MAX) {
    violate(check, "held_run_ids", `has ${runIds.length}, at most ${HELD_RUNS_MAX} are allowed`);
    return [];
  }
  return runIds.map((runId, index) => runIdOf(checkId(check, runId, `held_run_ids[${index}]`)));
}

function termsOf(
  namespace: Namespace,
  request: AttachRequest | PollRunRequest,
  polls: boolean,
  defaultTtlMs: number,
): { readonly terms: SessionTerms; readonly heldRunIds: readonly RunId[] } {
  const check = makeFieldCheck();
  const { slots, capabilities } = request;
  if (slots > SLOTS_MAX) violate(check, "slots", `must be 1 to ${SLOTS_MAX}, or 0 for 1`);
  if (capabilities.length > CAPABILITIES_MAX) {
    violate(check, "capabilities", `at most ${CAPABILITIES_MAX} are allowed`);
  }
  const terms = {
    namespace,
    executorId: executorIdOf(checkId(check, request.executorId, "executor_id")),
    incarnationId: incarnationIdOf(checkId(check, request.incarnationId, "incarnation_id")),
    target: checkTarget(check, namespace, request),
    slots: Math.max(1, slots),
    leaseTtlMs: checkTtl(check, request.leaseTtl, defaultTtlMs),
    polls,
  };
  const heldRunIds = checkRunIds(check, request.heldRunIds);
  finish(check);
  return { terms, heldRunIds };
}

function sameTarget(left: SessionTerms, right: SessionTerms): boolean {
  return JSON.stringify(left.target) === JSON.stringify(right.target) && left.slots === right.slots;
}

/** Makes the handlers that concern the executor as such. */
export function makeExecutorSessions(options: ExecutorSessionsOptions): SessionHandlers {
  const { dispatcher, streams, clock } = options;

  async function* attach(
    request: AttachRequest,
    context: HandlerContext,
  ): AsyncGenerator<AttachResponse> {
    const { namespace } = callerOf(context);
    const { terms, heldRunIds } = termsOf(namespace, request, false, options.leaseTtlMs);
    const session = await dispatcher.attach(terms, heldRunIds);
    try {
      yield heartbeatToProto(options.nowMs(), terms.leaseTtlMs);
      while (!context.signal.aborted) {
        for (const message of session.mailbox.splice(0)) {
          yield executorMessageToProto(message, terms.leaseTtlMs);
        }
        if (session.closed) return;
        if (await mailOrSilence(session, context.signal)) continue;
        yield heartbeatToProto(options.nowMs(), terms.leaseTtlMs);
      }
    } finally {
      dispatcher.close(session);
    }
  }

  /** True when there is mail, false when it stayed silent for a heartbeat's time. */
  async function mailOrSilence(session: Session, signal: AbortSignal): Promise<boolean> {
    const silence = new AbortController();
    const cancel = clock.after(HEARTBEAT_MS, () => silence.abort());
    await mailReady(session, AbortSignal.any([signal, silence.signal]));
    cancel();
    return session.mailbox.length > 0 || session.closed;
  }

  /** The session of a poller: kept between its polls, so that nothing told meanwhile is lost. */
  async function pollSession(terms: SessionTerms, heldRunIds: readonly RunId[]): Promise<Session> {
    const known = dispatcher.sessionOf(holderKey(terms));
    if (!known || known.closed || !known.terms.polls || !sameTarget(known.terms, terms)) {
      return await dispatcher.attach(terms, heldRunIds);
    }
    known.mailbox = known.mailbox.filter((message) => message.type !== "run_assigned");
    if (known.held.size > 0) await dispatcher.resend(known, heldRunIds);
    return known;
  }

  function takePolled(session: Session): PollRunResponse {
    const response = create(PollRunResponseSchema, {
      remaining: durationToProto(session.terms.leaseTtlMs),
    });
    const rest = [];
    for (const message of session.mailbox) {
      if (message.type === "control") response.controls.push(controlToProto(message));
      else if (message.type === "lease_lost") response.lost.push(leaseLossToProto(message));
      else if (message.type === "steer_available") {
        response.steerAvailable.push(steerNoticeToProto(message));
      } else if (message.type === "run_assigned") {
        if (response.assignment) rest.push(message);
        else response.assignment = runAssignmentToProto(message.assignment);
      }
    }
    session.mailbox = rest;
    return response;
  }

  async function pollRun(
    request: PollRunRequest,
    context: HandlerContext,
  ): Promise<PollRunResponse> {
    const { namespace } = callerOf(context);
    const { terms, heldRunIds } = termsOf(namespace, request, true, options.leaseTtlMs);
    const askedMs = request.timeout ? durationFromProto(request.timeout) : POLL_MAX_MS;
    const deadlineMs = clock.monotonicMs() + Math.min(askedMs ?? POLL_MAX_MS, POLL_MAX_MS);
    const session = await pollSession(terms, heldRunIds);
    if (heldRunIds.length > 0) {
      await dispatcher.acknowledge(namespace, session.holder, heldRunIds);
    }
    dispatcher.renewLater(session);
    const timeUp = new AbortController();
    const cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => timeUp.abort());
    dispatcher.awaitRun(session);
    await mailReady(session, AbortSignal.any([context.signal, timeUp.signal]));
    cancel();
    session.pollWaits = false;
    session.seenMs = clock.monotonicMs();
    return takePolled(session);
  }

  return {
    attach,
    pollRun,
    renewLeases: async (request, context) => {
      const { namespace } = callerOf(context);
      const check = makeFieldCheck();
      const executorId = checkId(check, request.executorId, "executor_id");
      const incarnationId = checkId(check, request.incarnationId, "incarnation_id");
      const heldRunIds = checkRunIds(check, request.heldRunIds);
      finish(check);
      const holder = holderKey({ namespace, executorId, incarnationId });
      const ttlMs = await dispatcher.renew(holder);
      if (ttlMs === undefined) {
        const message =
          "The lease of this incarnation is over, or it never attached; " +
          "stop its runs and attach with a new incarnation id";
        const metadata = { executorId, incarnationId };
        throw new RefusedError(refusalOf("EXECUTOR_INCARNATION_DEAD", message, metadata));
      }
      const unknownRunIds = await dispatcher.acknowledge(namespace, holder, heldRunIds);
      return create(RenewLeasesResponseSchema, {
        remaining: durationToProto(ttlMs),
        unknownRunIds: [...unknownRunIds],
      });
    },
    detach: async (request, context) => {
      const { namespace } = callerOf(context);
      const check = makeFieldCheck();
      const executorId = executorIdOf(checkId(check, request.executorId, "executor_id"));
      const incarnationId = incarnationIdOf(
        checkId(check, request.incarnationId, "incarnation_id"),
      );
      finish(check);
      const holder = holderKey({ namespace, executorId, incarnationId });
      const wanted = new Set(request.runtimeIds);
      const held = await dispatcher.heldStreams(namespace, holder);
      const released = [];
      for (const stream of held) {
        const runtimeId = parseStreamName(stream)?.id ?? "";
        if (wanted.size > 0 && !wanted.has(runtimeId)) continue;
        const command = { type: "release_lease" as const, executorId, incarnationId };
        const envelope = { name: command.type, bytes: 150, retrySafe: true, command };
        const { reply, revision } = await streams.submit(stream, envelope);
        if (reply.type !== "released" || !reply.released) continue;
        released.push({ runtimeId, revision: BigInt(revision) });
      }
      if (wanted.size === 0) await dispatcher.detach(holder);
      return create(DetachResponseSchema, { released });
    },
  };
}
