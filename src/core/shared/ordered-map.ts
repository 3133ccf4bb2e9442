/**
 * A persistent ordered map: every change answers a new map that shares most of its nodes with the
 * old one, so that a folded state of 100,000 inputs is changed in microseconds and never copied.
 * The only file of the core that stands on a library (sorted-btree, itself pure).
 */
import sortedBTree from "sorted-btree";

const BTree = sortedBTree.default;

/** A read-only map in ascending key order; `with` and `without` answer changed copies. */
export interface OrderedMap<Key extends string | number, Value> {
  readonly size: number;
  readonly get: (key: Key) => Value | undefined;
  readonly has: (key: Key) => boolean;
  readonly with: (key: Key, value: Value) => OrderedMap<Key, Value>;
  readonly without: (key: Key) => OrderedMap<Key, Value>;
  /** Entries in ascending order, from `from` (inclusive) on when given. */
  readonly entries: (from?: Key) => IterableIterator<[Key, Value]>;
  readonly keys: (from?: Key) => IterableIterator<Key>;
  readonly values: (from?: Key) => IterableIterator<Value>;
  readonly minKey: () => Key | undefined;
  readonly maxKey: () => Key | undefined;
}

function compare(left: string | number, right: string | number): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A map without entries. Keys of one map are all strings or all numbers. */
export function emptyOrderedMap<Key extends string | number, Value>(): OrderedMap<Key, Value> {
  return new BTree<Key, Value>(undefined, compare);
}

/** A map of the given entries; later entries win. */
export function orderedMapOf<Key extends string | number, Value>(
  entries: Iterable<readonly [Key, Value]>,
): OrderedMap<Key, Value> {
  const tree = new BTree<Key, Value>(undefined, compare);
  for (const [key, value] of entries) tree.set(key, value);
  return tree;
}
