/** Peer ingress and drains: how they are said, ended and waited for. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand, RuntimeReply } from "../core/runtime/commands.ts";
import { isDrainActive } from "../core/runtime/drain.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { RuntimeCommit } from "../dispatch/runtime-streams.ts";
import type { PeerIngress } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  AbortAllDrainsRequestSchema,
  AbortAllDrainsResponseSchema,
  AbortDrainRequestSchema,
  AbortDrainResponseSchema,
  NotifyDrainExitedRequestSchema,
  NotifyDrainExitedResponseSchema,
  type RuntimeControlPlaneService,
  UpdatePeerIngressRequestSchema,
  UpdatePeerIngressResponseSchema,
  WaitDrainResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkEnum } from "./codec/enum-codec.ts";
import {
  checkBoundedText,
  checkCount,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
} from "./codec/field-check.ts";
import { drainExitReasons, endpointFromProto, peerIngressToProto } from "./codec/peer-ingress.ts";
import { callerEnvelope, checkRequestMark } from "./command-envelope.ts";
import { makeAbortAllDrains } from "./drain-aborts.ts";
import { requestHash } from "./codec/request-hash.ts";
import { timestampToProto } from "./codec/time.ts";
import { checkRuntime, freshHistory, runtimeNotRegistered } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { makeStreamWaits, type Telling } from "./stream-waits.ts";
import { waitMs } from "./wait-time.ts";

type DrainService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "updatePeerIngress" | "notifyDrainExited" | "abortDrain" | "abortAllDrains" | "waitDrain"
>;

/** Bytes of a command about a drain, near enough. */
const COMMAND_BYTES = 500;

/** Said again, each of them finds its work done. */
const TERMS = { bytes: COMMAND_BYTES, retrySafe: true };

function ingressOf(state: RuntimeState): PeerIngress {
  const { peerEndpoint: endpoint, config, drain } = state;
  return peerIngressToProto({ endpoint, keepAlive: config.keepAlive, drain });
}

/** Whether the drain of this number is over, replaced or not. */
function isOver({ drain }: RuntimeState, sequence: number): boolean {
  return drain.sequence !== sequence || !isDrainActive(drain);
}

/** Waiters are told by the number of the drain that they wait for. */
function hear(
  _stream: StreamName,
  commit: RuntimeCommit,
  telling: Telling<number, RuntimeState>,
): void {
  const { sequence } = commit.before.state.drain;
  const after = commit.after.state;
  if (isOver(after, sequence)) telling.tell(sequence, after);
}

function isEnded(reply: RuntimeReply): boolean {
  if (reply.type === "drain_ended") return reply.ended;
  throw new TypeError(`The end of a drain was answered with ${reply.type}`);
}

/** Makes the part of the service that is about peer ingress and drains. */
export function makeRuntimeDrains(options: RuntimeServiceOptions): DrainService {
  const { streams, limits, clock, drainSignal } = options;
  const abortAll = makeAbortAllDrains(options);
  const waits = makeStreamWaits({ streams, clock, drainSignal, hear });

  return {
    updatePeerIngress: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const endpoint = endpointFromProto(check, request.endpoint);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(UpdatePeerIngressRequestSchema, request),
      );
      finish(check);
      const { keepAlive } = request;
      const command: RuntimeCommand = { type: "update_peer_ingress", keepAlive, endpoint };
      const committed = await streams.submit(stream, callerEnvelope(caller, command, mark, TERMS));
      const { reply, state, revision } = committed;
      if (reply.type !== "ingress_updated") throw new TypeError(`Answered with ${reply.type}`);
      return create(UpdatePeerIngressResponseSchema, {
        spawned: reply.spawned,
        peerIngress: ingressOf(state),
        revision: BigInt(revision),
      });
    },

    notifyDrainExited: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const reason = checkEnum(check, drainExitReasons, request.reason, "reason");
      const sequence = checkCount(check, request.drainSequence, "drain_sequence");
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(NotifyDrainExitedRequestSchema, request),
      );
      finish(check);
      // `finish` has thrown when there is none.
      const command: RuntimeCommand = {
        type: "notify_drain_exited",
        reason: reason ?? "failed",
        sequence,
      };
      const committed = await streams.submit(stream, callerEnvelope(caller, command, mark, TERMS));
      return create(NotifyDrainExitedResponseSchema, {
        exited: isEnded(committed.reply),
        peerIngress: ingressOf(committed.state),
        revision: BigInt(committed.revision),
      });
    },

    abortDrain: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(AbortDrainRequestSchema, request),
      );
      finish(check);
      const because = reason === undefined ? {} : { reason };
      const command: RuntimeCommand = { type: "abort_drain", ...because };
      const committed = await streams.submit(stream, callerEnvelope(caller, command, mark, TERMS));
      return create(AbortDrainResponseSchema, {
        aborted: isEnded(committed.reply),
        revision: BigInt(committed.revision),
      });
    },

    abortAllDrains: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(AbortAllDrainsRequestSchema, request),
      );
      finish(check);
      const { runtimeIds, asOf } = await abortAll({ caller, reason, mark });
      return create(AbortAllDrainsResponseSchema, {
        runtimeIds: [...runtimeIds],
        asOf: timestampToProto(asOf),
      });
    },

    waitDrain: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      finish(check);
      const { stream } = runtime;
      const { state } = await freshHistory(streams, runtime);
      if (state.registration !== "registered") throw runtimeNotRegistered(runtime.runtimeId);
      const { sequence } = state.drain;
      const present = async (): Promise<RuntimeState | undefined> => {
        const now = (await streams.known(stream)).state;
        return isOver(now, sequence) ? now : undefined;
      };
      const terms = { timeoutMs, signal: context.signal };
      const reached = isOver(state, sequence)
        ? state
        : await waits.wait({ stream, topic: sequence, terms, present });
      return create(WaitDrainResponseSchema, {
        ended: reached !== undefined,
        peerIngress: ingressOf(reached ?? state),
      });
    },
  };
}
