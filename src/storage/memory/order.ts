/**
 * The order of keys, which has to be that of the other adapter: by Unicode code point, as the bytes
 * of UTF-8 sort. JavaScript's own comparison differs where surrogate pairs meet U+E000 to U+FFFF.
 */
import sortedBTree from "sorted-btree";

const BTree = sortedBTree.default;

const surrogateFirst = 0xd800;
const surrogateLast = 0xdfff;

/** A place in an index ordered by time; the name breaks ties. */
export interface TimedKey {
  readonly at: number;
  readonly name: string;
}

/** Which of two texts comes first. */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const first = left.charCodeAt(index);
    const second = right.charCodeAt(index);
    if (first === second) continue;
    const firstIsSurrogate = first >= surrogateFirst && first <= surrogateLast;
    const secondIsSurrogate = second >= surrogateFirst && second <= surrogateLast;
    if (firstIsSurrogate === secondIsSurrogate) return first - second;
    return firstIsSurrogate ? 1 : -1;
  }
  return left.length - right.length;
}

function compareTimed(left: TimedKey, right: TimedKey): number {
  return left.at - right.at || compareText(left.name, right.name);
}

/** An empty index by text. */
export function makeTextIndex<Value>() {
  return new BTree<string, Value>(undefined, compareText);
}

/** An empty index by time and name. */
export function makeTimeIndex<Value>() {
  return new BTree<TimedKey, Value>(undefined, compareTimed);
}
