// What the checker of processes finds: which promise was broken, where, and how it shows.

/** The promises that are checked. */
export const PROCESS_RULES = [
  "process_lost",
  "process_not_finished",
  "event_lost",
  "event_doubled",
  "event_altered",
  "event_out_of_order",
  "sequence_gap",
  "ended_twice",
  "completion_lost",
  "generation_shared",
  "stale_lease_accepted",
  "wrong_await",
  "grant_lost",
  "grant_doubled",
  "granted_cancelled",
  "orphan_forgotten",
  "wake_lost",
  "wake_doubled",
  "wake_out_of_order",
  "watch_gap",
  "watch_repeat",
  "watch_differs",
] as const;

/** See {@link PROCESS_RULES}. */
export type ProcessRule = (typeof PROCESS_RULES)[number];

/** One broken promise. */
export interface ProcessViolation {
  readonly rule: ProcessRule;
  readonly processId: string;
  /** For people: what is wrong, with the names it is about. */
  readonly detail: string;
}

/** Notes a violation about one process. */
export type ProcessBlame = (rule: ProcessRule, processId: string, detail: string) => void;
