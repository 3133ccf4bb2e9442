/**
 * A growing Bloom filter over keys that a folded state has forgotten: "not in the filter" is
 * certain and costs no lookup. A chain of filters, each twice as large as the one before; at 20
 * bits and 9 probes per key one in ten thousand new keys costs a needless lookup per filter.
 * Commits of a busy stream take in dozens of keys, and one lookup holds up all of them.
 */
const FIRST_CAPACITY = 1024;
const BITS_PER_KEY = 20;
const PROBES = 9;

/** One link of the chain. */
interface FilterLink {
  readonly capacity: number;
  readonly count: number;
  readonly bits: Uint8Array;
}

/** An immutable chain of filters. */
export interface KeyFilter {
  readonly links: readonly FilterLink[];
}

/** A filter that contains nothing. */
export const EMPTY_KEY_FILTER: KeyFilter = { links: [] };

/** Two independent 32-bit hashes of a key; part of the stored format. */
function hashesOf(key: string): readonly [number, number] {
  let first = 0xdeadbeef;
  let second = 0x41c6ce57;
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index);
    first = Math.imul(first ^ unit, 2654435761);
    second = Math.imul(second ^ unit, 1597334677);
  }
  first =
    Math.imul(first ^ (first >>> 16), 2246822507) ^ Math.imul(second ^ (second >>> 13), 3266489909);
  second =
    Math.imul(second ^ (second >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909);
  return [first >>> 0, (second | 1) >>> 0];
}

function bitAt(link: FilterLink, hashes: readonly [number, number], probe: number): number {
  return (hashes[0] + probe * hashes[1]) % (link.bits.length * 8);
}

function linkHas(link: FilterLink, hashes: readonly [number, number]): boolean {
  for (let probe = 0; probe < PROBES; probe += 1) {
    const bit = bitAt(link, hashes, probe);
    if (((link.bits[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

/** False: the key was certainly never added. True: it probably was. */
export function mayContain(filter: KeyFilter, key: string): boolean {
  if (filter.links.length === 0) return false;
  const hashes = hashesOf(key);
  return filter.links.some((link) => linkHas(link, hashes));
}

function emptyLink(capacity: number): FilterLink {
  return { capacity, count: 0, bits: new Uint8Array((capacity * BITS_PER_KEY) / 8) };
}

/** The filter with these keys added; links that are full are shared, not copied. */
export function withKeys(filter: KeyFilter, keys: Iterable<string>): KeyFilter {
  const links = [...filter.links];
  const last = links.pop();
  let open = last ? { ...last, bits: last.bits.slice() } : emptyLink(FIRST_CAPACITY);
  for (const key of keys) {
    if (open.count >= open.capacity) {
      links.push(open);
      open = emptyLink(open.capacity * 2);
    }
    const hashes = hashesOf(key);
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = bitAt(open, hashes, probe);
      open.bits[bit >>> 3] = (open.bits[bit >>> 3] ?? 0) | (1 << (bit & 7));
    }
    open = { ...open, count: open.count + 1 };
  }
  return { links: [...links, open] };
}

/** Heap bytes of a filter. */
export function keyFilterBytes(filter: KeyFilter): number {
  return filter.links.reduce((sum, link) => sum + link.bits.length, 0);
}
