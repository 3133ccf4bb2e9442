/** The state of a runtime that nobody ensured yet: nothing but empty maps. */
import { epochIdOf, runtimeIdOf } from "../shared/ids.ts";
import { emptyOrderedMap } from "../shared/ordered-map.ts";
import { NO_DRAIN } from "./drain-state.ts";
import { EMPTY_REGISTRY } from "./operation-state.ts";
import type { RuntimeConfig, RuntimeState } from "./state.ts";

const NO_CONFIG: RuntimeConfig = {
  labels: {},
  pool: "",
  queueLimit: 0,
  attemptLimit: 0,
  retryBackoffInitialMs: 0,
  retryBackoffMaxMs: 0,
  leaseTtlMs: 0,
  keepAlive: false,
  operationLimit: 0,
  completedRetention: 0,
};

/** The folded state of a stream without commits; its configuration comes with the registration. */
export const INITIAL_RUNTIME_STATE: RuntimeState = {
  runtimeId: runtimeIdOf(""),
  registration: "none",
  phase: "open",
  epochId: epochIdOf(""),
  config: NO_CONFIG,
  silentIntents: [],
  createdAt: 0,
  updatedAt: 0,
  since: { registration: 0, phase: 0, empty: 0, unattended: 0, full: 0 },
  generation: 0,
  lease: null,
  lastExecutor: null,
  run: null,
  peerEndpoint: null,
  drain: NO_DRAIN,
  endedRuns: [],
  wake: false,
  wakeAt: 0,
  inputs: emptyOrderedMap(),
  admitted: emptyOrderedMap(),
  queueLane: emptyOrderedMap(),
  steerLane: emptyOrderedMap(),
  keys: emptyOrderedMap(),
  superseding: emptyOrderedMap(),
  counts: {
    accepted: 0,
    queued: 0,
    staged: 0,
    applied: 0,
    consumed: 0,
    superseded: 0,
    coalesced: 0,
    abandoned: 0,
  },
  ordinal: 0,
  receipts: emptyOrderedMap(),
  receiptCount: 0,
  sessionSnapshot: null,
  liveBytes: 0,
  operations: EMPTY_REGISTRY,
};
