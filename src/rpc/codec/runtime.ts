/** A runtime on the wire: from its folded state, or from the facts that its view row keeps. */
import { create } from "@bufbuild/protobuf";
import { runnableSince } from "../../core/runtime/batch.ts";
import { nextSequence } from "../../core/runtime/receipt.ts";
import { type Drain, NO_DRAIN, type PeerEndpoint } from "../../core/runtime/drain-state.ts";
import { completeConfig } from "../../core/runtime/registration.ts";
import type {
  InputCounts as CoreInputCounts,
  RuntimeConfig as CoreRuntimeConfig,
  RuntimePhase,
  RuntimeState,
  RuntimeStateName,
  SessionSnapshot,
} from "../../core/runtime/state.ts";
import { stateNameOf } from "../../core/runtime/table.ts";
import type { Revision, TimeMs } from "../../core/shared/ids.ts";
import type { StreamRow } from "../../engine/ports.ts";
import {
  type CurrentRun,
  CurrentRunSchema,
  ExecutorPresence,
  type InputCounts,
  InputCountsSchema,
  type Runtime,
  type RuntimeConfig,
  RuntimeConfigSchema,
  type RuntimeExecutor,
  RuntimeExecutorSchema,
  RuntimeSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { sessionSnapshotToProto } from "./blob.ts";
import { runtimeStates } from "./enums.ts";
import { peerIngressToProto } from "./peer-ingress.ts";
import { durationToProto, timestampToProto } from "./time.ts";

/** What both sources tell about a runtime; the facts of a view row have this shape. */
interface RuntimeFacts {
  readonly runtimeId: string;
  readonly registered: boolean;
  readonly phase: RuntimePhase;
  readonly epochId: string;
  /** Absent in rows of older servers. */
  readonly silentIntents?: readonly string[];
  readonly createdAt: TimeMs;
  readonly updatedAt: TimeMs;
  readonly generation: number;
  readonly wake: boolean;
  readonly queueDepth: number;
  readonly steerDepth: number;
  readonly counts: CoreInputCounts;
  readonly config: CoreRuntimeConfig;
  /** Absent in rows that an older server wrote. */
  readonly peerEndpoint?: PeerEndpoint | null;
  readonly drain?: Drain;
  readonly sessionSnapshot?: SessionSnapshot | null;
  readonly executor: {
    readonly executorId: string;
    readonly incarnationId: string;
    readonly attached: boolean;
  } | null;
}

/** What is told beside the facts. */
interface RuntimeSituation {
  readonly namespace: string;
  readonly revision: Revision;
  readonly stateName: RuntimeStateName;
  readonly runnableSince: TimeMs | undefined;
  /** Database time, for what is runnable by now. */
  readonly now: TimeMs;
}

function configToProto(config: CoreRuntimeConfig): RuntimeConfig {
  return create(RuntimeConfigSchema, {
    labels: { ...config.labels },
    pool: config.pool,
    queueLimit: config.queueLimit,
    attemptLimit: config.attemptLimit,
    retryBackoff: {
      initial: durationToProto(config.retryBackoffInitialMs),
      max: durationToProto(config.retryBackoffMaxMs),
    },
    leaseTtl: durationToProto(config.leaseTtlMs),
    keepAlive: config.keepAlive,
    operationLimit: config.operationLimit,
    completedRetention: config.completedRetention,
  });
}

function countsToProto(counts: CoreInputCounts): InputCounts {
  return create(InputCountsSchema, {
    accepted: BigInt(counts.accepted),
    queued: BigInt(counts.queued),
    staged: BigInt(counts.staged),
    appliedPendingConsumption: BigInt(counts.applied),
    consumed: BigInt(counts.consumed),
    superseded: BigInt(counts.superseded),
    coalesced: BigInt(counts.coalesced),
    abandoned: BigInt(counts.abandoned),
  });
}

function executorToProto(facts: RuntimeFacts): RuntimeExecutor {
  const { executor, generation } = facts;
  return create(RuntimeExecutorSchema, {
    presence: executor?.attached ? ExecutorPresence.ATTACHED : ExecutorPresence.NONE,
    executorId: executor?.executorId ?? "",
    incarnationId: executor?.incarnationId ?? "",
    generation: BigInt(generation),
  });
}

function runToProto(state: RuntimeState): CurrentRun | undefined {
  const { run, lease } = state;
  if (run === null) return undefined;
  return create(CurrentRunSchema, {
    runId: run.runId,
    generation: BigInt(run.generation),
    attempt: run.attempt,
    executorId: lease?.executorId ?? state.lastExecutor?.executorId ?? "",
    startedAt: timestampToProto(run.startedAt),
    acknowledged: run.acknowledged,
    contributingInputIds: [...run.contributors],
    nextReceiptSequence: BigInt(nextSequence(run)),
    interruptRequested: run.interruptedAt !== null,
  });
}

function toProto(
  facts: RuntimeFacts,
  situation: RuntimeSituation,
  currentRun: CurrentRun | undefined,
): Runtime {
  const { namespace, revision, stateName, runnableSince: since, now } = situation;
  const isRunnable = since !== undefined && since <= now;
  return create(RuntimeSchema, {
    namespace,
    runtimeId: facts.runtimeId,
    state: runtimeStates.toProto(stateName),
    registered: facts.registered,
    revision: BigInt(revision),
    epochId: facts.epochId,
    config: configToProto(facts.config),
    queueDepth: facts.queueDepth,
    steerDepth: facts.steerDepth,
    inputCounts: countsToProto(facts.counts),
    ...(currentRun === undefined ? {} : { currentRun }),
    executor: executorToProto(facts),
    intakeOpen: facts.registered && facts.phase === "open",
    wake: facts.wake,
    runnable: isRunnable,
    ...(isRunnable ? { runnableSince: timestampToProto(since) } : {}),
    createdAt: timestampToProto(facts.createdAt),
    updatedAt: timestampToProto(facts.updatedAt),
    silentIntents: [...(facts.silentIntents ?? [])],
    ...(facts.sessionSnapshot
      ? { sessionSnapshot: sessionSnapshotToProto(facts.sessionSnapshot) }
      : {}),
    peerIngress: peerIngressToProto({
      endpoint: facts.peerEndpoint ?? null,
      keepAlive: facts.config.keepAlive,
      drain: facts.drain ?? NO_DRAIN,
    }),
  });
}

function factsOfState(state: RuntimeState): RuntimeFacts {
  const { lastExecutor } = state;
  return {
    runtimeId: state.runtimeId,
    phase: state.phase,
    epochId: state.epochId,
    silentIntents: state.silentIntents,
    createdAt: state.createdAt,
    updatedAt: state.updatedAt,
    generation: state.generation,
    wake: state.wake,
    counts: state.counts,
    config: state.config,
    peerEndpoint: state.peerEndpoint,
    drain: state.drain,
    sessionSnapshot: state.sessionSnapshot,
    registered: state.registration === "registered",
    queueDepth: state.queueLane.size,
    steerDepth: state.steerLane.size,
    executor: lastExecutor === null ? null : { ...lastExecutor, attached: state.lease !== null },
  };
}

/** A runtime as its folded state shows it at a revision. */
export function runtimeToProto(
  namespace: string,
  state: RuntimeState,
  revision: Revision,
  now: TimeMs,
): Runtime {
  const since = runnableSince(state);
  const stateName = stateNameOf(state);
  const situation = { namespace, revision, stateName, runnableSince: since, now };
  return toProto(factsOfState(state), situation, runToProto(state));
}

/** The state that an unregistered runtime keeps shows in its phase alone. */
function stateNameOfFacts(facts: RuntimeFacts): RuntimeStateName {
  if (facts.phase !== "open") return facts.phase;
  return facts.executor?.attached ? "attached" : "idle";
}

/**
 * A runtime as its view row shows it; undefined while a run is in flight, whose inputs a row does
 * not hold.
 */
export function runtimeFromRow(row: StreamRow, now: TimeMs): Runtime | undefined {
  const stored = JSON.parse(row.factsText) as RuntimeFacts & { readonly run: unknown };
  if (stored.run !== null) return undefined;
  // A row may be older than some of the settings.
  const facts = { ...stored, config: completeConfig(stored.config) };
  const { namespace, revision } = row;
  const stateName = stateNameOfFacts(facts);
  const situation = { namespace, revision, stateName, runnableSince: row.runnableSince, now };
  return toProto(facts, situation, undefined);
}
