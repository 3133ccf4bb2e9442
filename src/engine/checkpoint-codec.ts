/** The stored form of folds and of their filters of forgotten keys. */
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { Json } from "../core/shared/json.ts";
import { emptyOrderedMap } from "../core/shared/ordered-map.ts";
import type { KeyFilter } from "./key-filter.ts";
import type { StoredCheckpoint } from "./ports.ts";
import type { RequestMark, StreamFold } from "./stream-fold.ts";

/** JSON form, for checkpoints. */
export function keyFilterToJson(filter: KeyFilter): Json {
  return filter.links.map((link) => ({
    capacity: link.capacity,
    count: link.count,
    bits: Buffer.from(link.bits).toString("base64"),
  }));
}

/** The inverse of `keyFilterToJson`. */
export function keyFilterFromJson(json: Json): KeyFilter {
  const links = json as readonly { capacity: number; count: number; bits: string }[];
  return {
    links: links.map((link) => ({
      capacity: link.capacity,
      count: link.count,
      bits: new Uint8Array(Buffer.from(link.bits, "base64")),
    })),
  };
}

/** The checkpoint of a fold. */
export function checkpointOf<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  stream: StreamName,
  fold: StreamFold<State>,
): StoredCheckpoint {
  const stateText = JSON.stringify({
    state: aggregate.stateToJson(fold.state),
    requests: [...fold.requests.entries()],
    forgotten: keyFilterToJson(fold.forgotten),
  });
  const { revision, at, hash } = fold;
  return { stream, revision, foldVersion: aggregate.foldVersion, at, hash, stateText };
}

/** The fold that a checkpoint holds. */
export function foldFromCheckpoint<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  checkpoint: StoredCheckpoint,
): StreamFold<State> {
  const stored = JSON.parse(checkpoint.stateText) as {
    readonly state: Json;
    readonly requests: readonly (readonly [string, RequestMark])[];
    readonly forgotten: Json;
  };
  let requests = emptyOrderedMap<string, RequestMark>();
  let requestOrder = emptyOrderedMap<number, string>();
  for (const [requestId, mark] of stored.requests) {
    requests = requests.with(requestId, mark);
    requestOrder = requestOrder.with(mark.serial, requestId);
  }
  return {
    state: aggregate.stateFromJson(stored.state),
    revision: checkpoint.revision,
    at: checkpoint.at,
    hash: checkpoint.hash,
    requests,
    requestOrder,
    forgotten: keyFilterFromJson(stored.forgotten),
  };
}
