/**
 * The folded state as JSON and back, for checkpoints. Lanes, keys and orders follow from the
 * headers and are rebuilt; a checkpoint of another fold version is never read.
 */
import type { InputId, OperationId } from "../shared/ids.ts";
import type { Json } from "../shared/json.ts";
import { orderedMapOf } from "../shared/ordered-map.ts";
import { headerOf } from "./lanes.ts";
import type { Operation, OperationRegistry } from "./operation-state.ts";
import { hasEnded } from "./operation-table.ts";
import type { InputHeader, Lane, Receipt, RuntimeState } from "./state.ts";
import { supersessionEntry } from "./supersession.ts";

/** Members that are rebuilt from the headers and receipts. */
type Rebuilt =
  | "inputs"
  | "admitted"
  | "queueLane"
  | "steerLane"
  | "keys"
  | "superseding"
  | "receipts"
  | "operations";

/** The registry of operations: the plain members, and the operations themselves. */
interface StoredRegistry extends Omit<OperationRegistry, "operations" | "active" | "ended"> {
  readonly operations: readonly Operation[];
}

/** A checkpoint: the plain members, and headers in admission order. */
interface StoredState extends Omit<RuntimeState, Rebuilt> {
  readonly inputs: readonly InputHeader[];
  readonly receipts: readonly Receipt[];
  readonly operations: StoredRegistry;
}

function registryToStored(registry: OperationRegistry): StoredRegistry {
  return {
    operations: [...registry.operations.values()],
    ordinal: registry.ordinal,
    watermark: registry.watermark,
    backgroundWatermark: registry.backgroundWatermark,
    releasedThrough: registry.releasedThrough,
    cursors: registry.cursors,
    continuationId: registry.continuationId,
  };
}

function registryFromStored(stored: StoredRegistry): OperationRegistry {
  const { operations } = stored;
  const active = operations.filter((operation) => !hasEnded(operation.status));
  return {
    ...stored,
    operations: orderedMapOf(operations.map((it) => [it.operationId, it])),
    active: orderedMapOf(active.map((it) => [it.ordinal, it.operationId])),
    ended: orderedMapOf(
      operations.flatMap(({ end, operationId }): [number, OperationId][] =>
        end === undefined ? [] : [[end.sequence, operationId]],
      ),
    ),
  };
}

/** The state as JSON; headers and receipts are shared with the state, not copied. */
export function stateToJson(state: RuntimeState): Json {
  const stored: StoredState = {
    runtimeId: state.runtimeId,
    registration: state.registration,
    phase: state.phase,
    epochId: state.epochId,
    config: state.config,
    silentIntents: state.silentIntents,
    createdAt: state.createdAt,
    updatedAt: state.updatedAt,
    since: state.since,
    generation: state.generation,
    lease: state.lease,
    lastExecutor: state.lastExecutor,
    run: state.run,
    peerEndpoint: state.peerEndpoint,
    drain: state.drain,
    endedRuns: state.endedRuns,
    wake: state.wake,
    wakeAt: state.wakeAt,
    counts: state.counts,
    ordinal: state.ordinal,
    receiptCount: state.receiptCount,
    sessionSnapshot: state.sessionSnapshot,
    liveBytes: state.liveBytes,
    inputs: [...state.admitted.values()].map((inputId) => headerOf(state, inputId)),
    receipts: [...state.receipts.values()],
    operations: registryToStored(state.operations),
  };
  return stored as unknown as Json;
}

function laneEntries(headers: readonly InputHeader[], lane: Lane): readonly [number, InputId][] {
  return headers
    .filter((header) => header.state === "queued" && header.lane === lane)
    .map((header) => [header.ordinal, header.inputId]);
}

/** The state that a checkpoint holds. */
export function stateFromJson(json: Json): RuntimeState {
  const stored = json as unknown as StoredState;
  const headers = stored.inputs;
  return {
    ...stored,
    inputs: orderedMapOf(headers.map((header) => [header.inputId, header])),
    admitted: orderedMapOf(headers.map((header) => [header.ordinal, header.inputId])),
    queueLane: orderedMapOf(laneEntries(headers, "queue")),
    steerLane: orderedMapOf(laneEntries(headers, "steer")),
    keys: orderedMapOf(
      headers.flatMap(({ idempotencyKey, inputId }): [string, InputId][] =>
        idempotencyKey === undefined ? [] : [[idempotencyKey, inputId]],
      ),
    ),
    superseding: orderedMapOf(
      headers.flatMap((header): [string, InputId][] => {
        const entry = header.state === "queued" ? supersessionEntry(header) : undefined;
        return entry === undefined ? [] : [[entry, header.inputId]];
      }),
    ),
    receipts: orderedMapOf(stored.receipts.map((receipt) => [receipt.ordinal, receipt])),
    operations: registryFromStored(stored.operations),
  };
}
