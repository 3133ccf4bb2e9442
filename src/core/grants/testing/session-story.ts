/**
 * The grants of a session for tests: commands are decided, folded and answered as the engine does
 * it, one command per commit. After every commit the state holds its invariants, and a checkpoint
 * of it is read back as the same state.
 */
import type { Json } from "../../shared/json.ts";
import { type ProcessId, processIdOf, sessionIdOf } from "../../shared/ids.ts";
import type { RefusalReason } from "../../shared/refusal.ts";
import { storedJson, throughStorage } from "../../shared/testing/storage-codec.ts";
import { grantsAggregate } from "../aggregate.ts";
import type { GrantsCommand, GrantsReply } from "../commands.ts";
import type { GrantsEvent } from "../events.ts";
import { entriesOfFrame, grantKeyOf } from "../grant-keys.ts";
import { holdWorkOf } from "../open-work.ts";
import type { GrantsState } from "../state.ts";
import { violationsOf } from "./invariants.ts";

/** What became of a command. */
export type Outcome =
  | { readonly kind: "committed"; readonly reply: GrantsReply; readonly events: readonly Json[] }
  | { readonly kind: "answered"; readonly reply: GrantsReply }
  | { readonly kind: "refused"; readonly reason: RefusalReason };

/** Branded process ids of plain names. */
export function processes(...names: readonly string[]): readonly ProcessId[] {
  return names.map(processIdOf);
}

/** A session whose clock the test moves. */
export interface SessionStory {
  readonly state: () => GrantsState;
  /** Time of the next commit. */
  readonly at: (timeMs: number) => void;
  readonly ask: (command: GrantsCommand) => Outcome;
  /** The commits so far, as they are stored. */
  readonly commits: () => readonly { readonly at: number; readonly events: readonly Json[] }[];
  /** Grants a process to a frame and lets the process confirm it. */
  readonly grant: (processId: string, frameId?: string) => void;
  /** Lets every process answer what is open; `standing` is what a released one says. */
  readonly confirm: (standing?: "terminal" | "preserved" | "orphaned") => void;
  /** Begins to move grants of the session itself to another session. */
  readonly begin: (toSessionId: string, ...processIds: readonly string[]) => Outcome;
  /** The processes that a frame was granted and is shown. */
  readonly shown: (frameId?: string) => readonly string[];
}

/** Begins a story with a session that was never granted anything. */
export function sessionStory(): SessionStory {
  const commits: { at: number; events: readonly Json[] }[] = [];
  let state = grantsAggregate.initial;
  let now = 1000;

  function commit(events: readonly GrantsEvent[]): readonly Json[] {
    const stored = events.map(storedJson);
    for (const [index, json] of stored.entries()) {
      const event = grantsAggregate.eventFromJson(json);
      if (event === "unknown") throw new Error("an event does not survive its storage");
      const position = { revision: commits.length + 1, index, at: now };
      state = grantsAggregate.evolve(state, event, position);
    }
    commits.push({ at: now, events: stored });
    const violations = violationsOf(state);
    if (violations.length > 0) throw new Error(violations.join("; "));
    const image = grantsAggregate.stateToJson(state);
    const restored = grantsAggregate.stateFromJson(throughStorage(image));
    if (JSON.stringify(grantsAggregate.stateToJson(restored)) !== JSON.stringify(image)) {
      throw new Error("a checkpoint is not read back as it was written");
    }
    return stored;
  }

  function ask(command: GrantsCommand): Outcome {
    const decision = grantsAggregate.decide(state, command, {
      now,
      revision: commits.length + 1,
      eventIndex: 0,
      freshId: () => "id",
      random: () => 0,
      found: { find: () => undefined },
    });
    if (decision.kind === "refuse") return { kind: "refused", reason: decision.refusal.reason };
    if (decision.kind === "answer") return { kind: "answered", reply: decision.reply };
    if (decision.kind === "repeat") throw new Error("nothing is repeated here");
    const events = commit(decision.events);
    const position = { revision: commits.length, index: 0, at: now };
    const reply = grantsAggregate.answer(command, decision.events, position);
    return { kind: "committed", reply, events };
  }

  function confirm(standing: "terminal" | "preserved" | "orphaned" = "preserved"): void {
    const { acquire, release } = holdWorkOf(state);
    const released = release.map(({ processId, mark, deletion }) => ({
      processId,
      mark,
      standing,
      cancelRequested: deletion?.cancelOrphans === true && standing === "orphaned",
    }));
    ask({ type: "confirm_holds", acquired: acquire, released, gone: [] });
  }

  return {
    state: () => state,
    at: (timeMs) => {
      now = timeMs;
    },
    ask,
    commits: () => commits,
    grant: (name, frameId = "") => {
      const processId = processIdOf(name);
      ask({ type: "grant_handle", frameId, processId, descriptor: { label: name } });
      confirm();
    },
    confirm,
    begin: (toSessionId, ...names) =>
      ask({
        type: "begin_transfer",
        fromFrameId: "",
        toSessionId: sessionIdOf(toSessionId),
        toFrameId: "",
        processIds: processes(...names),
      }),
    shown: (frameId = "") => {
      const granted = [...entriesOfFrame(state.grants, frameId)]
        .filter(([, grant]) => !grant.pending)
        .map(([, { processId }]) => processId);
      const leaving = [...entriesOfFrame(state.leaving, frameId)].map(([key]) =>
        key.slice(grantKeyOf(frameId, "").length),
      );
      return [...new Set([...granted, ...leaving])].toSorted();
    },
  };
}
