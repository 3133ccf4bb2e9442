/**
 * What sessions must have after everything they were asked, told by what they answered alone: a
 * grant is one token in one place, in a scope or on its way. Knows nothing of holds, marks, serials
 * or events.
 */

/** A place of a token: frame and process in a session. */
export type Place = `${string}|${string}`;

/** A transfer as whoever began it knows it. */
export interface Parcel {
  readonly from: string;
  readonly to: string;
  readonly serial: number;
  readonly fromFrame: string;
  readonly toFrame: string;
  readonly processes: readonly string[];
  /** What the target said; every other answer to the same is a fault. */
  verdict: "accepted" | "deleted" | "name_taken" | undefined;
  /** Whether the source learned of it. */
  isSettled: boolean;
}

/** The tokens. */
export interface Ledger {
  readonly scopes: ReadonlyMap<string, Set<Place>>;
  readonly parcels: Parcel[];
  readonly deleted: Set<string>;
}

/** The place of a process in a frame. */
export function placeOf(frame: string, processId: string): Place {
  return `${frame}|${processId}`;
}

/** A ledger of sessions that have nothing. */
export function makeLedger(sessions: readonly string[]): Ledger {
  const scopes = new Map(sessions.map((session) => [session, new Set<Place>()]));
  return { scopes, parcels: [], deleted: new Set() };
}

/** The tokens of a session. */
export function placesOf({ scopes }: Ledger, session: string): Set<Place> {
  const places = scopes.get(session);
  if (places === undefined) throw new Error(`there is no session ${session}`);
  return places;
}

/** The tokens on their way out of a session. */
export function leavingFrom({ parcels }: Ledger, session: string): readonly Place[] {
  return parcels
    .filter(({ from, isSettled }) => from === session && !isSettled)
    .flatMap(({ fromFrame, processes }) => processes.map((id) => placeOf(fromFrame, id)));
}

/** Moves tokens to another frame of the session. */
export function move(
  ledger: Ledger,
  session: string,
  fromFrame: string,
  toFrame: string,
  processes: readonly string[],
): void {
  const places = placesOf(ledger, session);
  for (const processId of processes) {
    places.delete(placeOf(fromFrame, processId));
    places.add(placeOf(toFrame, processId));
  }
}

/** Puts tokens on their way. */
export function send(ledger: Ledger, parcel: Omit<Parcel, "verdict" | "isSettled">): void {
  const places = placesOf(ledger, parcel.from);
  for (const processId of parcel.processes) places.delete(placeOf(parcel.fromFrame, processId));
  ledger.parcels.push({ ...parcel, verdict: undefined, isSettled: false });
}

/** Takes the target's answer down; the first one counts for ever. */
export function arrive(ledger: Ledger, parcel: Parcel, verdict: NonNullable<Parcel["verdict"]>) {
  if (parcel.verdict !== undefined) return;
  parcel.verdict = verdict;
  if (verdict !== "accepted") return;
  const places = placesOf(ledger, parcel.to);
  for (const processId of parcel.processes) places.add(placeOf(parcel.toFrame, processId));
}

/** The source learns of the answer: what was not taken in is back, unless the session is gone. */
export function settle(ledger: Ledger, parcel: Parcel): void {
  parcel.isSettled = true;
  if (parcel.verdict === "accepted" || ledger.deleted.has(parcel.from)) return;
  const places = placesOf(ledger, parcel.from);
  for (const processId of parcel.processes) places.add(placeOf(parcel.fromFrame, processId));
}

/** Takes everything from a session, for good. */
export function clear(ledger: Ledger, session: string): void {
  ledger.deleted.add(session);
  placesOf(ledger, session).clear();
}
