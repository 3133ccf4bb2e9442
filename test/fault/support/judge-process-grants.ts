// Judges grants: each is where it was put last, once; and of the processes of a deleted session
// exactly those are cancelled that nobody else could address. What happens to the grants of one
// process is asked for by one client, one call after the other, but for a grant that races with a
// deletion.
import {
  ORPHAN_REASON,
  type ProcessEntry,
  type ProcessEntryOf,
  type ProcessHistory,
} from "./process-history.ts";
import type { ProcessBlame } from "./process-violation.ts";

/** Where the acknowledged grants are, by process, and what deletions told. */
class GrantBooks {
  readonly sessionsOf = new Map<string, Set<string>>();
  readonly cancelled = new Set<string>();
  /** Grants that were asked for and not answered, by process. */
  readonly #asked = new Map<string, number>();
  /** Deletions that are under way: what must and what must not be cancelled. */
  readonly #deletions = new Map<
    string,
    { readonly safe: Set<string>; readonly alone: Set<string> }
  >();
  readonly #blame: ProcessBlame;

  constructor(blame: ProcessBlame) {
    this.#blame = blame;
  }

  #sessions(processId: string): Set<string> {
    const sessions = this.sessionsOf.get(processId) ?? new Set<string>();
    this.sessionsOf.set(processId, sessions);
    return sessions;
  }

  #ask(processId: string, change: 1 | -1): void {
    this.#asked.set(processId, (this.#asked.get(processId) ?? 0) + change);
    for (const { alone } of this.#deletions.values()) alone.delete(processId);
  }

  #begin(sessionId: string): void {
    const held = [...this.sessionsOf].filter(([, sessions]) => sessions.has(sessionId));
    const namesWhere = (isWanted: (processId: string, count: number) => boolean): Set<string> =>
      new Set(held.flatMap(([id, { size }]) => (isWanted(id, size) ? [id] : [])));
    this.#deletions.set(sessionId, {
      safe: namesWhere((_processId, count) => count > 1),
      alone: namesWhere((id, count) => count === 1 && (this.#asked.get(id) ?? 0) === 0),
    });
  }

  #finish({ sessionId, cancelled, preserved }: ProcessEntryOf<"deleted">): void {
    const { safe, alone } = this.#deletions.get(sessionId) ?? { safe: new Set(), alone: new Set() };
    this.#deletions.delete(sessionId);
    for (const processId of cancelled) {
      this.cancelled.add(processId);
      if (safe.has(processId)) {
        this.#blame("granted_cancelled", processId, `with ${sessionId}, but granted elsewhere`);
      }
    }
    for (const processId of alone) {
      if (cancelled.includes(processId)) continue;
      const how = preserved.includes(processId) ? "preserved" : "not told";
      this.#blame("orphan_forgotten", processId, `of ${sessionId}: ${how}`);
    }
    for (const sessions of this.sessionsOf.values()) sessions.delete(sessionId);
  }

  note(entry: ProcessEntry): void {
    switch (entry.type) {
      case "granting":
        this.#ask(entry.processId, 1);
        break;
      case "granted":
        this.#ask(entry.processId, -1);
        this.#sessions(entry.processId).add(entry.sessionId);
        break;
      case "revoked":
        this.#sessions(entry.processId).delete(entry.sessionId);
        break;
      case "moved":
        for (const processId of entry.processIds) {
          this.#sessions(processId).delete(entry.from);
          this.#sessions(processId).add(entry.to);
        }
        break;
      case "deleting":
        this.#begin(entry.sessionId);
        break;
      case "deleted":
        this.#finish(entry);
        break;
      default:
    }
  }
}

function judgePlaces(
  wanted: readonly string[],
  found: readonly string[],
  blame: (rule: "grant_lost" | "grant_doubled", what: string) => void,
): void {
  const left = new Set(wanted);
  for (const name of found) if (!left.delete(name)) blame("grant_doubled", name);
  for (const name of left) blame("grant_lost", name);
}

/** Judges the grants of all processes. */
export function judgeGrants(history: ProcessHistory, blame: ProcessBlame): void {
  const { entries, processes, handles } = history;
  const books = new GrantBooks(blame);
  for (const entry of entries) books.note(entry);
  for (const { processId, sessionIds, events } of processes) {
    const wanted = [...(books.sessionsOf.get(processId) ?? [])];
    judgePlaces(wanted, sessionIds, (rule, session) => {
      blame(rule, processId, `of ${session}, as the process lists it`);
    });
    const cancels = events.filter(({ eventType, content }) => {
      return eventType === "process.cancel_requested" && content.includes(ORPHAN_REASON);
    });
    if (cancels.length > 1) blame("event_doubled", processId, "cancelled as an orphan twice");
    const isTold = books.cancelled.has(processId);
    if (cancels.length > 0 && !isTold) {
      blame("granted_cancelled", processId, "as an orphan, and nobody was told");
    }
    if (cancels.length === 0 && isTold) {
      blame("orphan_forgotten", processId, "it was told to be cancelled, and is not");
    }
  }
  for (const { sessionId, processIds } of handles) {
    const wanted = [...books.sessionsOf].filter(([, sessions]) => sessions.has(sessionId));
    judgePlaces(
      wanted.map(([processId]) => processId),
      processIds,
      (rule, processId) => blame(rule, processId, `of ${sessionId}, as the session lists it`),
    );
  }
}
