// Whether grants were conserved, no process was cancelled while somebody could address it, and
// every wake was delivered once: by the journal alone.
import { violationsOf } from "../../../src/core/grants/testing/invariants.ts";
import type { GrantsEvent } from "../../../src/core/grants/events.ts";
import type { GrantsState } from "../../../src/core/grants/state.ts";
import type { ProcessStreamEvent } from "../../../src/core/process/events.ts";
import type { ProcessState } from "../../../src/core/process/state.ts";
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import type { JournalEntry } from "./flow-database.ts";
import { PROCESSES, SESSIONS } from "./flow-clients.ts";
import { eventsAs, nameOf } from "./flow-codec.ts";
import { foldViolations } from "./flow-folds.ts";
import { makeFenceWatch } from "./flow-workers.ts";
import { type FlowWorld } from "./flow-world.ts";

/** The processes that the scopes of a session are shown. */
function shownIn(state: GrantsState): ReadonlySet<string> {
  const shown = new Set<string>();
  for (const { processId, pending } of state.grants.values()) if (!pending) shown.add(processId);
  for (const { handles } of state.transfers.values()) {
    for (const { processId } of handles) shown.add(processId);
  }
  return shown;
}

function sessionState(world: FlowWorld, session: string): GrantsState {
  return world.database.fold(world.aggregates.grants, nameOf("grants", session)).state;
}

function processState(world: FlowWorld, name: string): ProcessState {
  return world.database.fold(world.aggregates.processes, nameOf("process", name)).state;
}

/** Looks at the world after every commit; `found` takes what must not be. */
export function watchFlowWorld(world: FlowWorld, found: string[]): void {
  function shownTo(name: string): readonly string[] {
    return SESSIONS.filter((session) => shownIn(sessionState(world, session)).has(name));
  }

  const watchFences = makeFenceWatch(found);

  world.database.onCommit = (entry: JournalEntry) => {
    const { stream, revision, events } = entry;
    watchFences(entry);
    for (const name of PROCESSES) {
      const { holderCount, prunedAt } = processState(world, name);
      const shown = shownTo(name);
      if (shown.length > 0 && holderCount === 0 && prunedAt === null) {
        found.push(`${stream}@${revision}: ${name} is shown to ${shown.join()} and held by nobody`);
      }
      const isCancelled = eventsAs<ProcessStreamEvent>(events).some(
        (event) =>
          event.type === "process_event_appended" && event.eventType === "process.cancel_requested",
      );
      if (stream === nameOf("process", name) && isCancelled && shown.length > 0) {
        found.push(`${stream}@${revision}: cancelled as an orphan, but shown to ${shown.join()}`);
      }
    }
  };
}

function eventsOf<Event>(world: FlowWorld, kind: "grants" | "process" | "runtime", id: string) {
  const stream = nameOf(kind, id);
  return world.database.journal
    .filter((entry) => entry.stream === stream)
    .flatMap((entry) => eventsAs<Event>(entry.events));
}

/** Every transfer that began was taken in once and finished, or never and rolled back. */
function transferViolations(world: FlowWorld): string[] {
  const found: string[] = [];
  const all = SESSIONS.flatMap((session) =>
    eventsOf<GrantsEvent>(world, "grants", session).map((event) => ({ session, event })),
  );
  for (const { session, event } of all) {
    if (event.type !== "transfer_begun") continue;
    const { serial, toSessionId, handles } = event;
    const name = `transfer ${serial} of ${session}`;
    const accepted = all.filter(
      ({ session: target, event: other }) =>
        target === toSessionId &&
        other.type === "transfer_accepted" &&
        other.fromSessionId === session &&
        other.serial === serial,
    );
    const ends = all.filter(
      ({ session: source, event: other }) =>
        source === session &&
        (other.type === "transfer_finished" || other.type === "transfer_rolled_back") &&
        other.serial === serial,
    );
    const [end] = ends;
    if (ends.length !== 1) found.push(`${name} has ${ends.length} ends`);
    const isFinished = end?.event.type === "transfer_finished";
    if (accepted.length !== (isFinished ? 1 : 0)) {
      found.push(`${name} was taken in ${accepted.length} times: ${end?.event.type ?? "open"}`);
    }
    const taken = accepted[0]?.event;
    if (taken?.type === "transfer_accepted" && taken.handles.length !== handles.length) {
      found.push(`${name} lost handles on its way`);
    }
  }
  return found;
}

/** In the end a session holds exactly the processes that it has grants of. */
function holderViolations(world: FlowWorld): string[] {
  const found: string[] = [];
  for (const session of SESSIONS) {
    const state = sessionState(world, session);
    found.push(...violationsOf(state).map((text) => `${session}: ${text}`));
    if (state.openHolds.size > 0) found.push(`${session} still has open holds`);
    if (state.transfers.size > 0) found.push(`${session} still has open transfers`);
    const shown = shownIn(state);
    for (const name of PROCESSES) {
      const { holders, prunedAt } = processState(world, name);
      const isHolder = [...holders.entries()].some(([id, { held }]) => id === session && held);
      if (isHolder !== shown.has(name)) {
        found.push(`${session} ${isHolder ? "holds" : "is shown"} ${name} alone`);
      }
      if (prunedAt !== null && shown.has(name)) found.push(`${session} has pruned ${name}`);
    }
  }
  return found;
}

function byText(left: string, right: string): number {
  return left < right ? -1 : 1;
}

/** Every wake reached its runtime once, in order, unless there is no target any more. */
function wakeViolations(world: FlowWorld): string[] {
  const found: string[] = [];
  for (const name of PROCESSES) {
    const state = processState(world, name);
    if (state.outbox.size > 0) found.push(`${name} still has ${state.outbox.size} wakes`);
    const events = eventsOf<ProcessStreamEvent>(world, "process", name);
    const told = events.flatMap((event) =>
      event.type === "wake_settled" && event.settlement.type === "delivered"
        ? [`process:${name}:event:${event.sequence}:wake`]
        : [],
    );
    const wakes = events.flatMap((event) =>
      event.type === "process_event_appended" && event.wake !== undefined
        ? [{ sequence: event.sequence, runtimeId: event.wake.runtimeId }]
        : [],
    );
    for (const session of SESSIONS) {
      const runtime = world.database.fold(world.aggregates.runtimes, nameOf("runtime", session));
      const isGone =
        runtime.state.phase === "destroyed" || sessionState(world, session).phase === "deleted";
      const keys = eventsOf<RuntimeEvent>(world, "runtime", session).flatMap((event) =>
        event.type === "input_admitted" ? [event.input.idempotencyKey ?? ""] : [],
      );
      const wanted = wakes
        .filter(({ runtimeId }) => runtimeId === session)
        .map(({ sequence }) => `process:${name}:event:${sequence}:wake`);
      const came = keys.filter((key) => key.startsWith(`process:${name}:`));
      const toldHere = told.filter((key) => wanted.includes(key));
      // A message that is on its way while the session is deleted may still arrive.
      const isDeleted = sessionState(world, session).phase === "deleted";
      const known = isDeleted ? came.filter((key) => toldHere.includes(key)) : came;
      if (known.toSorted(byText).join() !== toldHere.toSorted(byText).join()) {
        found.push(`${name} was told of ${toldHere.join()} at ${session}: ${came.join()}`);
      }
      const expected = isGone ? wanted.slice(0, came.length) : wanted;
      if (came.join() !== expected.join()) {
        found.push(`wakes of ${name} at ${session}: ${came.join()} instead of ${expected.join()}`);
      }
    }
  }
  return found;
}

/** What is wrong once the world has come to rest. */
export function judgeFlowWorld(world: FlowWorld): readonly string[] {
  return [
    ...transferViolations(world),
    ...holderViolations(world),
    ...wakeViolations(world),
    ...foldViolations(world),
  ];
}
