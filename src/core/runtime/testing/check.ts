/** The one assertion of the invariants' checks. */

/** Throws when a claim does not hold. */
export function check(holds: boolean, claim: string): void {
  if (!holds) throw new Error(`invariant broken: ${claim}`);
}
