/**
 * What the fold throws when a history contradicts itself: the stream is corrupt, or we have a bug.
 */

/** An event cannot follow the state it meets, or names what the state does not hold. */
export class FoldError extends Error {
  override readonly name = "FoldError";
}
