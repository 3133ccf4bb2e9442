/** The state of a process that nobody registered yet. */
import { processIdOf } from "../shared/ids.ts";
import { emptyOrderedMap } from "../shared/ordered-map.ts";
import type { ProcessState } from "./state.ts";

/** The folded state of a stream without commits. */
export const INITIAL_PROCESS_STATE: ProcessState = {
  processId: processIdOf(""),
  registration: null,
  registrationHash: "",
  registrationBytes: 0,
  registeredRevision: 0,
  createdAt: 0,
  updatedAt: 0,
  end: null,
  prunedAt: null,
  wakeRuntimeId: null,
  externalRef: null,
  wait: null,
  cancelRequest: null,
  abandonRequest: null,
  generation: 0,
  lease: null,
  firstStart: null,
  holders: emptyOrderedMap(),
  holderCount: 0,
  lastSequence: 0,
  typeCounts: emptyOrderedMap(),
  events: emptyOrderedMap(),
  replayKeys: emptyOrderedMap(),
  wakeCount: 0,
  unacknowledgedWakes: [],
  outbox: emptyOrderedMap(),
  task: null,
};
