/**
 * A persistent ordered map: every change answers a new map that shares most of its nodes with the
 * old one, so that a folded state of 100,000 inputs is changed in microseconds and never copied.
 * The only file of the core that stands on a library (sorted-btree, itself pure).
 */
import sortedBTree from "sorted-btree";

const BTree = sortedBTree.default;
type Tree<Key extends string | number, Value> = InstanceType<typeof BTree<Key, Value>>;

/** A read-only map in ascending key order; `with...` and `without...` answer changed copies. */
export interface OrderedMap<Key extends string | number, Value> {
  readonly size: number;
  readonly get: (key: Key) => Value | undefined;
  readonly has: (key: Key) => boolean;
  readonly with: (key: Key, value: Value) => OrderedMap<Key, Value>;
  /** Sets many entries at the cost of one copied path per touched node. */
  readonly withEntries: (entries: Iterable<readonly [Key, Value]>) => OrderedMap<Key, Value>;
  readonly without: (key: Key) => OrderedMap<Key, Value>;
  /** Removes many keys at the cost of one copied path per touched node. */
  readonly withoutKeys: (keys: Iterable<Key>) => OrderedMap<Key, Value>;
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

/**
 * Guards the tree: the library's own `with` answers the old tree when the key exists already, and
 * its trees can be changed in place. A class, because a change must not cost a dozen closures.
 */
class TreeMap<Key extends string | number, Value> implements OrderedMap<Key, Value> {
  readonly #tree: Tree<Key, Value>;

  constructor(tree: Tree<Key, Value>) {
    this.#tree = tree;
  }

  get size(): number {
    return this.#tree.size;
  }

  get(key: Key): Value | undefined {
    return this.#tree.get(key);
  }

  has(key: Key): boolean {
    return this.#tree.has(key);
  }

  with(key: Key, value: Value): OrderedMap<Key, Value> {
    const changed = this.#tree.clone();
    changed.set(key, value);
    return new TreeMap(changed);
  }

  withEntries(entries: Iterable<readonly [Key, Value]>): OrderedMap<Key, Value> {
    const changed = this.#tree.clone();
    for (const [key, value] of entries) changed.set(key, value);
    return new TreeMap(changed);
  }

  without(key: Key): OrderedMap<Key, Value> {
    if (!this.#tree.has(key)) return this;
    const changed = this.#tree.clone();
    changed.delete(key);
    return new TreeMap(changed);
  }

  withoutKeys(keys: Iterable<Key>): OrderedMap<Key, Value> {
    const changed = this.#tree.clone();
    for (const key of keys) changed.delete(key);
    return new TreeMap(changed);
  }

  entries(from?: Key): IterableIterator<[Key, Value]> {
    return this.#tree.entries(from);
  }

  keys(from?: Key): IterableIterator<Key> {
    return this.#tree.keys(from);
  }

  values(from?: Key): IterableIterator<Value> {
    return this.#tree.values(from);
  }

  minKey(): Key | undefined {
    return this.#tree.minKey();
  }

  maxKey(): Key | undefined {
    return this.#tree.maxKey();
  }
}

/** A map without entries. Keys of one map are all strings or all numbers. */
export function emptyOrderedMap<Key extends string | number, Value>(): OrderedMap<Key, Value> {
  return new TreeMap(new BTree<Key, Value>(undefined, compare));
}

/** A map of the given entries; later entries win. */
export function orderedMapOf<Key extends string | number, Value>(
  entries: Iterable<readonly [Key, Value]>,
): OrderedMap<Key, Value> {
  const tree = new BTree<Key, Value>(undefined, compare);
  for (const [key, value] of entries) tree.set(key, value);
  return new TreeMap(tree);
}
