// What the judge reads of stored commits of runtimes.
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import type { CommandMark } from "../../../src/engine/commit-codec.ts";
import type { StoredCommit } from "../../../src/engine/ports.ts";

/** The events of a stored commit, as they are stored. */
export function storedRuntimeEvents(commit: StoredCommit): readonly RuntimeEvent[] {
  return JSON.parse(commit.eventsText) as readonly RuntimeEvent[];
}

/** The commands of a stored commit. */
export function storedMarks(commit: StoredCommit): readonly CommandMark[] {
  return JSON.parse(commit.commandsText) as readonly CommandMark[];
}
