/**
 * Payloads of staged inputs: the folded state holds headers only, so they are read from the commits
 * that admitted them, with a small cache of what was committed lately.
 */
import type { InputId, StreamName } from "../core/shared/ids.ts";
import type { Json } from "../core/shared/json.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { Input } from "../core/runtime/input.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { decodeCommit } from "../engine/commit-codec.ts";
import type { JournalStore } from "../engine/ports.ts";

const GENERATION_BYTES_MAX = 8 * 1024 * 1024;
const ENTRY_BYTES = 200;

/** Gives inputs with their payloads. */
export interface Payloads {
  /** Remembers inputs that were just admitted. */
  readonly remember: (stream: StreamName, events: readonly RuntimeEvent[]) => void;
  /** The inputs of these ids, in order; they must be in the state. */
  readonly read: (
    stream: StreamName,
    state: RuntimeState,
    inputIds: readonly InputId[],
  ) => Promise<readonly Input[]>;
}

/** Makes the payload reader of a process. */
export function makePayloads(
  journal: Pick<JournalStore, "readAt">,
  eventFromJson: (json: Json) => RuntimeEvent | "unknown",
): Payloads {
  /** Two generations: the younger one becomes the older when it is full. */
  let young = new Map<string, Input>();
  let old = new Map<string, Input>();
  let youngBytes = 0;

  const keyOf = (stream: StreamName, inputId: InputId): string => `${stream} ${inputId}`;

  function cached(stream: StreamName, inputId: InputId): Input | undefined {
    const key = keyOf(stream, inputId);
    return young.get(key) ?? old.get(key);
  }

  function remember(stream: StreamName, events: readonly RuntimeEvent[]): void {
    for (const event of events) {
      if (event.type !== "input_admitted") continue;
      young.set(keyOf(stream, event.input.inputId), event.input);
      youngBytes += event.payloadBytes + ENTRY_BYTES;
    }
    if (youngBytes <= GENERATION_BYTES_MAX) return;
    old = young;
    young = new Map();
    youngBytes = 0;
  }

  async function readMissing(
    stream: StreamName,
    state: RuntimeState,
    inputIds: readonly InputId[],
  ): Promise<Map<InputId, Input>> {
    const revisions = new Set<number>();
    for (const inputId of inputIds) {
      const header = state.inputs.get(inputId);
      if (header) revisions.add(header.admittedRevision);
    }
    const wanted = new Set(inputIds);
    const found = new Map<InputId, Input>();
    const points = [...revisions].map((revision) => ({ stream, revision }));
    for (const commit of await journal.readAt(points)) {
      for (const json of decodeCommit(commit).events) {
        const event = eventFromJson(json);
        if (event === "unknown" || event.type !== "input_admitted") continue;
        if (wanted.has(event.input.inputId)) found.set(event.input.inputId, event.input);
      }
    }
    return found;
  }

  async function read(
    stream: StreamName,
    state: RuntimeState,
    inputIds: readonly InputId[],
  ): Promise<readonly Input[]> {
    // Taken before the read: by its end others may have pushed them out.
    const known = inputIds.map((inputId) => cached(stream, inputId));
    const missing = inputIds.filter((_inputId, index) => known[index] === undefined);
    const found = missing.length === 0 ? null : await readMissing(stream, state, missing);
    return inputIds.map((inputId, index) => {
      const input = known[index] ?? found?.get(inputId);
      if (input) return input;
      const message = "The payload of a staged input is not in the journal";
      throw new RefusedError(refusalOf("STREAM_CORRUPT", message, { stream, inputId }));
    });
  }

  return { remember, read };
}
