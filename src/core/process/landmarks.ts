/**
 * Landmarks: sequences of some events of a type, by which the first one behind any sequence is
 * found in a few steps, however many there are. The landmarks of the first n events of a type end
 * the blocks of the binary parts of n, the largest block first: of 13 = 8 + 4 + 1 they are the 8th,
 * the 12th and the 13th. Every event keeps the landmarks of those before it, so that a search goes
 * down into ever smaller blocks.
 */

/** Sequences, ascending; at most as many as a count has binary digits. */
export type Landmarks = readonly number[];

/** The landmarks of `count` events and one more. */
export function withEvent(landmarks: Landmarks, count: number, sequence: number): Landmarks {
  // The size of the block that the event completes: it takes in all smaller ones.
  const block = ~count & (count + 1);
  return [...landmarks.slice(0, landmarks.length - Math.log2(block)), sequence];
}

/**
 * The first event behind a sequence, as far as landmarks lead: from those of all events down to
 * those of the ones before it. `before` answers undefined where an event has none.
 */
export async function firstBehind(
  landmarks: Landmarks,
  sequence: number,
  before: (found: number) => Promise<Landmarks | undefined>,
): Promise<number | undefined> {
  let found: number | undefined;
  for (let known: Landmarks | undefined = landmarks; known !== undefined; ) {
    const next: number | undefined = known.find((landmark) => landmark > sequence);
    if (next === undefined) break;
    found = next;
    known = await before(found);
  }
  return found;
}
