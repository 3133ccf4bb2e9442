/** When work that spans two streams is taken up by others than the replica that began it. */

/** The replica that committed the first half acts at once; any other one after this time. */
export const ROLL_FORWARD_AFTER_MS = 3_000;
