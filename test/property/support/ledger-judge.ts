// The judge of a simulation over ledgers. It folds the journal by rules of its own, not by the code
// that is tested, and compares what the clients saw with what is stored.
import type { StoredCommit } from "../../../src/engine/ports.ts";
import { storedActors, storedLedgerEvents } from "./ledger-codec.ts";
import type { LedgerAnswer, LedgerHistory, LedgerRead } from "./ledger-history.ts";

/** A ledger as the journal tells it. */
interface TrueLedger {
  readonly head: number;
  readonly serials: ReadonlyMap<string, number>;
  readonly consumers: ReadonlyMap<
    number,
    { readonly generation: number; readonly revision: number }
  >;
  readonly holders: ReadonlyMap<number, string>;
  /** Totals by revision; revision 0 is the empty ledger. */
  readonly sums: readonly Sums[];
}

interface Sums {
  readonly total: number;
  readonly consumedCount: number;
  readonly generation: number;
}

/** Folds the commits of one stream and notes every contradiction. */
function foldTruth(
  streamId: string,
  commits: readonly StoredCommit[],
  blame: (violation: string) => void,
): TrueLedger {
  const serials = new Map<string, number>();
  const consumers = new Map<number, { generation: number; revision: number }>();
  const holders = new Map<number, string>();
  const sums: Sums[] = [{ total: 0, consumedCount: 0, generation: 0 }];
  let { total, generation } = { total: 0, generation: 0 };
  for (const [index, commit] of commits.entries()) {
    const { revision } = commit;
    const place = `${streamId}@${revision}`;
    if (revision !== index + 1) blame(`${place}: the journal has a gap`);
    for (const event of storedLedgerEvents(commit)) {
      if (event.type === "item_added") {
        if (serials.has(event.key)) blame(`${place}: key ${event.key} was added twice`);
        if (event.serial !== serials.size + 1) blame(`${place}: serial ${event.serial} is wrong`);
        serials.set(event.key, event.serial);
        total += event.amount;
      } else if (event.type === "item_consumed") {
        if (consumers.has(event.serial)) blame(`${place}: item ${event.serial} consumed twice`);
        if (event.generation !== generation || holders.get(generation) !== event.holder) {
          blame(`${place}: consumed by ${event.holder} under an old fence ${event.generation}`);
        }
        consumers.set(event.serial, { generation: event.generation, revision });
      } else {
        if (event.generation !== generation + 1) blame(`${place}: generation jumps`);
        generation = event.generation;
        holders.set(generation, event.holder);
      }
    }
    sums.push({ total, consumedCount: consumers.size, generation });
  }
  return { head: commits.length, serials, consumers, holders, sums };
}

/** No wish may be done by two commands, however often it was asked. */
function judgeRepetition(streamId: string, commits: readonly StoredCommit[]): string[] {
  const done = new Set<string>();
  return commits.flatMap(storedActors).flatMap((actor) => {
    const isRepeated = done.has(actor);
    done.add(actor);
    return isRepeated ? [`${streamId}: ${actor} was done twice`] : [];
  });
}

function judgeAnswer(answer: LedgerAnswer, truth: TrueLedger): string | undefined {
  const { command, reply, revision } = answer;
  if (revision > truth.head) return "was acknowledged and is lost";
  switch (command.type) {
    case "add":
      if (truth.serials.get(command.key) !== reply.serial) return "has a wrong or lost serial";
      return undefined;
    case "consume": {
      const consumer = truth.consumers.get(reply.serial);
      if (consumer?.generation !== command.generation) return "was not consumed under its fence";
      if (consumer.revision !== revision) return "was consumed at another revision";
      return undefined;
    }
    case "claim":
      if (truth.holders.get(reply.generation) !== command.holder) return "has no such lease";
      return undefined;
  }
}

/** Answers that belong to one thing but were given to several wishes. */
function judgeUniqueness(answers: readonly LedgerAnswer[]): string[] {
  const owners = new Map<string, string>();
  return answers.flatMap(({ streamId, command, reply, wishId }) => {
    if (command.type === "add") return [];
    const about = command.type === "consume" ? `item ${reply.serial}` : `lease ${reply.generation}`;
    const thing = `${streamId} ${about}`;
    const owner = owners.get(thing) ?? wishId;
    owners.set(thing, owner);
    return owner === wishId ? [] : [`${thing} was given to ${owner} and to ${wishId}`];
  });
}

function judgeRead(read: LedgerRead, truth: TrueLedger): string | undefined {
  const sums = truth.sums[read.revision];
  if (!sums) return `read revision ${read.revision}, which is lost`;
  const { total, consumedCount, generation } = read;
  const isTrue =
    sums.total === total && sums.consumedCount === consumedCount && sums.generation === generation;
  return isTrue ? undefined : `read a wrong state at revision ${read.revision}`;
}

interface Sighting {
  readonly streamId: string;
  readonly revision: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** Nobody who asks after an answer was given may see less than that answer rests on. */
function judgeOrder(seen: readonly Sighting[], later: readonly Sighting[]): string[] {
  const violations: string[] = [];
  for (const after of later) {
    for (const before of seen) {
      if (before.streamId !== after.streamId || before.answeredAt > after.askedAt) continue;
      if (before.revision <= after.revision) continue;
      violations.push(
        `${after.streamId}: revision ${after.revision} was seen after ${before.revision}`,
      );
    }
  }
  return violations;
}

function judgeHearings(history: LedgerHistory): string[] {
  return history.hearings.flatMap(({ streamId, replicaName, heard, since }) => {
    const place = `${streamId} at ${replicaName}`;
    const isTorn = heard.some((revision, index) => {
      const before = heard[index - 1];
      return before !== undefined && revision !== before + 1;
    });
    if (isTorn) return [`${place} heard ${heard.join(",")}`];
    const first = heard.find((revision) => revision > since);
    return first !== undefined && first !== since + 1 ? [`${place} missed ${since + 1}`] : [];
  });
}

/** Everything that is wrong; empty when nothing is. */
export function judgeLedgers(
  history: LedgerHistory,
  journal: ReadonlyMap<string, readonly StoredCommit[]>,
): readonly string[] {
  const violations = [...history.surprises];
  const truths = new Map<string, TrueLedger>();
  for (const [streamId, commits] of journal) {
    violations.push(...judgeRepetition(streamId, commits));
    truths.set(
      streamId,
      foldTruth(streamId, commits, (violation) => violations.push(violation)),
    );
  }
  for (const answer of history.answers) {
    const truth = truths.get(answer.streamId);
    const wrong = truth ? judgeAnswer(answer, truth) : "is of an unknown stream";
    if (wrong) violations.push(`${answer.streamId}: ${JSON.stringify(answer)} ${wrong}`);
  }
  for (const read of history.reads) {
    const truth = truths.get(read.streamId);
    const wrong = truth ? judgeRead(read, truth) : "is of an unknown stream";
    if (wrong) violations.push(`${read.streamId}: ${wrong}`);
  }
  const fresh = history.answers.filter((answer) => !answer.mayBeOld);
  violations.push(...judgeUniqueness(history.answers));
  violations.push(
    ...judgeOrder([...history.answers, ...history.reads], [...fresh, ...history.reads]),
  );
  violations.push(...judgeHearings(history));
  return violations;
}
