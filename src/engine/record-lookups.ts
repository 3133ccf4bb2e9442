/** Fetches the records that commands need because the fold may have forgotten them. */
import type { Aggregate, FoundRecords } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { JsonObject } from "../core/shared/json.ts";
import { mayContain } from "./key-filter.ts";
import type { RecordStore } from "./ports.ts";
import { recordBody } from "./record-codec.ts";
import { filterKey, type StreamFold } from "./stream-fold.ts";

/** What is found where nothing is forgotten. */
export const NOTHING_FOUND: FoundRecords = { find: () => undefined };

/** Lookups by record class. */
type WantedRecords = ReadonlyMap<string, ReadonlySet<string>>;

const NOTHING_WANTED: WantedRecords = new Map();

/** What commands need of the records beside `fold`; a key that is new costs nothing. */
export function wantedRecords<State, Command>(
  aggregate: Pick<Aggregate<State, Command, unknown, unknown>, "lookups">,
  fold: StreamFold<State>,
  batch: readonly { readonly envelope: { readonly command: Command } }[],
): WantedRecords {
  if (fold.forgotten.links.length === 0) return NOTHING_WANTED;
  const wanted = new Map<string, Set<string>>();
  for (const { envelope } of batch) {
    const { command } = envelope;
    for (const { recordClass, lookup } of aggregate.lookups(fold.state, command)) {
      if (!mayContain(fold.forgotten, filterKey(recordClass, lookup))) continue;
      const lookups = wanted.get(recordClass) ?? new Set();
      wanted.set(recordClass, lookups.add(lookup));
    }
  }
  return wanted;
}

/** Fetches wanted records. */
export async function lookUpRecords(
  records: Pick<RecordStore, "find">,
  stream: StreamName,
  wanted: WantedRecords,
): Promise<FoundRecords> {
  if (wanted.size === 0) return NOTHING_FOUND;
  const found = new Map<string, JsonObject>();
  for (const [recordClass, lookups] of wanted) {
    for (const row of await records.find(stream, recordClass, [...lookups])) {
      const body = recordBody(row);
      for (const lookup of row.lookups) found.set(filterKey(recordClass, lookup), body);
    }
  }
  return { find: (recordClass, lookup) => found.get(filterKey(recordClass, lookup)) };
}
