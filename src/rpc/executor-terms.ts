/** Who attaches and how, out of the requests to attach and to poll. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { AttachRequest, PollRunRequest } from "../../gen/keelson/executor/v1/service_pb.ts";
import {
  executorIdOf,
  incarnationIdOf,
  type Namespace,
  type RunId,
  runIdOf,
  runtimeIdOf,
} from "../core/shared/ids.ts";
import type { HeldDrain } from "../dispatch/hosted-drains.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { SessionTerms } from "../dispatch/session.ts";
import { streamName } from "../engine/stream-name.ts";
import { checkCount, checkId, type FieldCheck, violate } from "./codec/field-check.ts";
import { durationFromProto } from "./codec/time.ts";

const RUNTIMES_MAX = 1000;
const SLOTS_MAX = 1000;
const HELD_RUNS_MAX = 10_000;
const HELD_DRAINS_MAX = 1_000;
const CAPABILITIES_MAX = 64;
const LEASE_TTL_MIN_MS = 1000;
const LEASE_TTL_MAX_MS = 600_000;

/** Terms whose time to live may be left to the runtimes or to the server. */
export interface RequestedTerms extends Omit<SessionTerms, "leaseTtlMs"> {
  readonly leaseTtlMs: number | undefined;
}

/** The time to live that a request asks for; undefined when it leaves it to others. */
export function checkLeaseTtl(check: FieldCheck, ttl: Duration | undefined): number | undefined {
  if (ttl === undefined) return undefined;
  const ttlMs = durationFromProto(ttl);
  if (ttlMs !== undefined && ttlMs >= LEASE_TTL_MIN_MS && ttlMs <= LEASE_TTL_MAX_MS) return ttlMs;
  violate(check, "lease_ttl", "must be 1 s to 10 min");
  return undefined;
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

/** Ids of runs that an executor says it holds. */
export function checkRunIds(check: FieldCheck, runIds: readonly string[]): readonly RunId[] {
  if (runIds.length > HELD_RUNS_MAX) {
    violate(check, "held_run_ids", `has ${runIds.length}, at most ${HELD_RUNS_MAX} are allowed`);
    return [];
  }
  return runIds.map((runId, index) => runIdOf(checkId(check, runId, `held_run_ids[${index}]`)));
}

/** Drains that an executor says it runs. */
function checkDrains(
  check: FieldCheck,
  namespace: Namespace,
  drains: AttachRequest["heldDrains"],
): readonly HeldDrain[] {
  if (drains.length > HELD_DRAINS_MAX) {
    violate(check, "held_drains", `has ${drains.length}, at most ${HELD_DRAINS_MAX} are allowed`);
    return [];
  }
  return drains.map(({ runtimeId, drainSequence }, index) => {
    const field = `held_drains[${index}]`;
    const id = runtimeIdOf(checkId(check, runtimeId, `${field}.runtime_id`));
    const sequence = checkCount(check, drainSequence, `${field}.drain_sequence`);
    return { runtimeId: id, stream: streamName("runtime", namespace, id), sequence };
  });
}

/** Who attaches, and what it holds already. */
export interface RequestedAttachment {
  readonly terms: RequestedTerms;
  readonly heldRunIds: readonly RunId[];
  readonly heldDrains: readonly HeldDrain[];
}

/** The terms of a request and what the executor holds. */
export function requestedTermsOf(
  check: FieldCheck,
  namespace: Namespace,
  request: AttachRequest | PollRunRequest,
  polls: boolean,
): RequestedAttachment {
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
    leaseTtlMs: checkLeaseTtl(check, request.leaseTtl),
    polls,
    capabilities: new Set(
      capabilities
        .slice(0, CAPABILITIES_MAX)
        .map((name, index) => checkId(check, name, `capabilities[${index}]`)),
    ),
  };
  return {
    terms,
    heldRunIds: checkRunIds(check, request.heldRunIds),
    heldDrains: checkDrains(check, namespace, request.heldDrains),
  };
}

/**
 * The terms with a time to live: the one asked for, else the shortest that the runtimes named are
 * configured with, else the server's own.
 */
export async function termsWithTtl(
  terms: RequestedTerms,
  streams: RuntimeStreams,
  defaultTtlMs: number,
): Promise<SessionTerms> {
  const { leaseTtlMs, target } = terms;
  if (leaseTtlMs !== undefined) return { ...terms, leaseTtlMs };
  if (target.kind === "pool") return { ...terms, leaseTtlMs: defaultTtlMs };
  const folds = await Promise.all(target.streams.map((stream) => streams.known(stream)));
  const configured = folds.flatMap(({ state }) => {
    return state.registration === "none" ? [] : [state.config.leaseTtlMs];
  });
  const shortestMs = configured.length === 0 ? defaultTtlMs : Math.min(...configured);
  return { ...terms, leaseTtlMs: shortestMs };
}
