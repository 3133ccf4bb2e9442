// What the checker finds: which promise was broken, where, and how it shows.

/** The promises that are checked. */
export const RULES = [
  "acknowledged_and_lost",
  "admitted_twice",
  "content_altered",
  "wrong_dedup_answer",
  "order_broken",
  "wrong_completion",
  "consumed_twice",
  "consumed_without_receipt",
  "fence_shared",
  "stale_fence_accepted",
  "receipt_gap",
  "receipt_lost",
  "run_not_finished",
  "input_not_finished",
  "attempts_exceeded",
  "watch_gap",
  "watch_repeat",
  "watch_differs",
  "counts_differ",
  "chain_broken",
] as const;

/** See {@link RULES}. */
export type Rule = (typeof RULES)[number];

/** One broken promise. */
export interface Violation {
  readonly rule: Rule;
  readonly runtimeId: string;
  /** For people: what is wrong, with the ids it is about. */
  readonly detail: string;
}

/** Notes violations about one runtime. */
export type Blame = (rule: Rule, detail: string) => void;

/** Collects violations; `about` gives the way to note those of one runtime. */
export function makeVerdict(): {
  readonly about: (runtimeId: string) => Blame;
  readonly violations: readonly Violation[];
} {
  const violations: Violation[] = [];
  return {
    violations,
    about: (runtimeId) => (rule, detail) => {
      violations.push({ rule, runtimeId, detail });
    },
  };
}

/** The values of a list by a key. */
export function grouped<Value>(
  values: Iterable<Value>,
  keyOf: (value: Value) => string,
): ReadonlyMap<string, readonly Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return groups;
}
