/** Cuts work into pieces that one command can carry. */

/** Most items that one write command is given. */
const itemsPerCommandMax = 1_000;

/** A batch travels as one document, which may not be larger than any other: 12 of 16 MiB. */
const bytesPerCommandMax = 12 * 1024 * 1024;

/** Items in order, at most `countMax` at a time. */
export function* inCounts<Item>(
  items: readonly Item[],
  countMax: number,
): Generator<readonly Item[]> {
  for (let start = 0; start < items.length; start += countMax) {
    yield items.slice(start, start + countMax);
  }
}

/** Items in order, as many at a time as one write command takes; a larger one goes alone. */
export function* inCommands<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
): Generator<readonly Item[]> {
  let batch: Item[] = [];
  let batchBytes = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    const isFull = batch.length >= itemsPerCommandMax || batchBytes + bytes > bytesPerCommandMax;
    if (batch.length > 0 && isFull) {
      yield batch;
      batch = [];
      batchBytes = 0;
    }
    batch.push(item);
    batchBytes += bytes;
  }
  if (batch.length > 0) yield batch;
}
