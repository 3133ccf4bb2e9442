/**
 * Inputs wherever they are: live in the folded state, over and forgotten in the records, with their
 * payloads and completions in the journal.
 */
import { completionOf, type InputCompletion } from "../core/runtime/completion.ts";
import { eventFromJson } from "../core/runtime/event-codec.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { Input } from "../core/runtime/input.ts";
import { heldHeader, type InputTarget, lookupOfTarget } from "../core/runtime/input-target.ts";
import { headerFromRecord, INPUTS_CLASS } from "../core/runtime/record-codec.ts";
import type { InputHeader, RuntimeState } from "../core/runtime/state.ts";
import type { InputId, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { decodeCommit } from "../engine/commit-codec.ts";
import type { StoredCommit } from "../engine/ports.ts";
import type { StreamFold } from "../engine/stream-fold.ts";
import { readCommits } from "./stored-commits.ts";

/** A runtime's folded state at a revision. */
export type RuntimeFold = StreamFold<RuntimeState>;

/** The header of an input, live or forgotten. Throws INPUT_NOT_FOUND. */
export async function findInput(
  streams: RuntimeStreams,
  stream: StreamName,
  fold: RuntimeFold,
  target: InputTarget,
): Promise<InputHeader> {
  const held = heldHeader(fold.state, target);
  if (held) return held;
  const lookup = lookupOfTarget(target);
  const record = await streams.findRecord(stream, fold, INPUTS_CLASS, lookup);
  if (record) return headerFromRecord(record);
  const metadata = { runtimeId: fold.state.runtimeId, ...target };
  const message = "The runtime never admitted an input with this id or key";
  throw new RefusedError(refusalOf("INPUT_NOT_FOUND", message, metadata));
}

/** The events of a stored commit of a runtime. */
export function runtimeEventsOf(stored: StoredCommit): readonly RuntimeEvent[] {
  return decodeCommit(stored).events.flatMap((json) => {
    const event = eventFromJson(json);
    return event === "unknown" ? [] : [event];
  });
}

/** What a waiter of an input is told now; `pending` while it is not over. */
export async function readCompletion(
  streams: RuntimeStreams,
  stream: StreamName,
  header: InputHeader,
): Promise<InputCompletion> {
  if (header.outcome === undefined) return { type: "pending", state: header.state };
  const revision = header.completedRevision ?? header.admittedRevision;
  const stored = await streams.commit(stream, revision);
  return completionOf(header, runtimeEventsOf(stored));
}

/** Payloads of inputs by id, from the commits that admitted them. */
export async function readPayloads(
  streams: RuntimeStreams,
  stream: StreamName,
  headers: readonly InputHeader[],
): Promise<ReadonlyMap<InputId, Input>> {
  const revisions = headers.map((header) => header.admittedRevision);
  const wanted = new Set(headers.map((header) => header.inputId));
  const payloads = new Map<InputId, Input>();
  for (const stored of (await readCommits(streams, stream, revisions)).values()) {
    for (const event of runtimeEventsOf(stored)) {
      if (event.type === "input_admitted" && wanted.has(event.input.inputId)) {
        payloads.set(event.input.inputId, event.input);
      }
    }
  }
  return payloads;
}
