// Clients of the simulated replicas. Each wants one thing after the other, asks whatever replica
// comes first, gives up waiting after a while and asks again with the same key or request id, as
// any good client does; sometimes a message is delivered twice.
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { anyReplica, outcomeOf, type Outcome, pause, type Scene, within } from "./asking.ts";
import type { LedgerHistory } from "./ledger-history.ts";
import { envelopeOf, ledgerName, type LedgerReplica } from "./ledger-replica.ts";
import type { LedgerCommand } from "./ledger-types.ts";

/** What clients live in. */
export interface LedgerScene extends Scene<LedgerReplica> {
  readonly history: LedgerHistory;
  readonly streamIds: readonly string[];
}

interface Wish {
  readonly wishId: string;
  readonly streamId: string;
  readonly command: LedgerCommand;
  readonly requestId?: string;
  /** Without key and request id: asked again only when the answer says that nothing was done. */
  readonly isBare?: boolean;
}

const FOR_GOOD: ReadonlySet<string> = new Set(["LEASE_LOST", "NOT_RUNNABLE"]);

/** Asks one replica once and writes down what it answers, however late. */
async function ask(scene: LedgerScene, wish: Wish, replica: LedgerReplica): Promise<Outcome> {
  const { history } = scene;
  const { wishId, streamId, command, requestId } = wish;
  const askedAt = history.now();
  try {
    const retrySafe = wish.isBare !== true;
    const envelope = { ...envelopeOf(command, requestId), actor: wishId, retrySafe };
    const committed = await replica.ledgers.submit(ledgerName(streamId), envelope);
    const { reply, revision } = committed;
    const mayBeOld = requestId !== undefined;
    const answeredAt = history.now();
    const asked = { streamId, wishId, command, askedAt };
    history.answers.push({ ...asked, reply, revision, mayBeOld, answeredAt });
    return "done";
  } catch (error) {
    return outcomeOf(error, FOR_GOOD, history.surprises, `${command.type} ${wishId}`);
  }
}

/** Asks until there is an answer that settles the wish. */
async function fulfil(scene: LedgerScene, wish: Wish): Promise<Outcome> {
  for (;;) {
    const replica = anyReplica(scene);
    if (replica) {
      const isTwice = wish.isBare !== true && scene.tape.chance(120);
      const twin = isTwice ? anyReplica(scene) : undefined;
      if (twin) void ask(scene, wish, twin);
      const outcome = await within(scene, ask(scene, wish, replica));
      const isSettled = outcome === "done" || outcome === "refused";
      if (isSettled || (outcome === "unknown" && wish.isBare)) return outcome;
    }
    await pause(scene);
  }
}

/** Reads a ledger at a replica and writes down what it shows. */
export async function readLedger(
  scene: LedgerScene,
  streamId: string,
  replica: LedgerReplica,
): Promise<Outcome> {
  const { history } = scene;
  const askedAt = history.now();
  try {
    const { revision, state } = await replica.ledgers.fresh(ledgerName(streamId));
    const { total, consumedCount, generation } = state;
    const answeredAt = history.now();
    const sums = { total, consumedCount, generation };
    history.reads.push({ streamId, revision, ...sums, askedAt, answeredAt });
    return "done";
  } catch (error) {
    return outcomeOf(error, FOR_GOOD, history.surprises, `read of ${streamId}`);
  }
}

async function read(scene: LedgerScene, streamId: string): Promise<void> {
  for (;;) {
    const replica = anyReplica(scene);
    if (replica && (await within(scene, readLedger(scene, streamId, replica))) === "done") return;
    await pause(scene);
  }
}

/** One client's life: so many wishes. */
export async function liveAsClient(
  scene: LedgerScene,
  clientId: string,
  wishes: number,
): Promise<void> {
  const { tape, history, streamIds } = scene;
  const generations = new Map<string, number>();
  const keys = ["shared-1", "shared-2", "shared-3"];
  for (let serial = 1; serial <= wishes; serial += 1) {
    const wishId = `${clientId}-${serial}`;
    const streamId = streamIds[tape.pick(streamIds.length)] ?? "";
    const generation = generations.get(streamId);
    const kind = tape.pick(12);
    if (kind >= 10) {
      await read(scene, streamId);
    } else if (kind >= 4 && generation !== undefined) {
      const command: LedgerCommand = { type: "consume", generation, holder: clientId };
      const request = tape.chance(400) ? { isBare: true } : { requestId: wishId };
      const outcome = await fulfil(scene, { wishId, streamId, command, ...request });
      if (outcome === "refused" && tape.chance(500)) generations.delete(streamId);
    } else if (kind >= 3) {
      const command: LedgerCommand = { type: "claim", holder: clientId };
      await fulfil(scene, { wishId, streamId, command, requestId: wishId });
      const granted = history.answers.findLast((answer) => answer.wishId === wishId);
      if (granted) generations.set(streamId, granted.reply.generation);
    } else {
      const key = tape.chance(300) ? (keys[tape.pick(keys.length)] ?? wishId) : wishId;
      keys.push(key);
      const command: LedgerCommand = { type: "add", key, amount: serial };
      const request = tape.chance(300) ? { requestId: wishId } : {};
      await fulfil(scene, { wishId, streamId, command, ...request });
    }
  }
}

/** Sends every key again that was ever answered, at one replica: it must know them all. */
export async function repeatAllKeys(
  scene: LedgerScene,
  replica: LedgerReplica,
  replicaName: string,
): Promise<void> {
  const adds = scene.history.answers.filter(({ command }) => command.type === "add");
  for (const { streamId, command, reply } of adds.slice()) {
    const again = await replica.ledgers.submit(ledgerName(streamId), envelopeOf(command));
    if (again.reply.isDuplicate && again.reply.serial === reply.serial) continue;
    const what = `${streamId}: ${JSON.stringify(command)} was not known at ${replicaName}`;
    scene.history.surprises.push(what);
  }
}

/** Listens at a replica from now on; resolves when it is known where the listening began. */
export async function listenToLedgers(
  scene: Pick<LedgerScene, "history" | "streamIds">,
  replica: LedgerReplica,
  replicaName: string,
): Promise<void> {
  for (const streamId of scene.streamIds) {
    const stream: StreamName = ledgerName(streamId);
    const heard: number[] = [];
    replica.ledgers.listen(stream, (commit) => heard.push(commit.after.revision));
    try {
      const { revision } = await replica.ledgers.fresh(stream);
      scene.history.hearings.push({ streamId, replicaName, since: revision, heard });
    } catch (error) {
      const { surprises } = scene.history;
      const outcome = outcomeOf(error, FOR_GOOD, surprises, `listening at ${replicaName}`);
      if (outcome === "again") throw error;
    }
  }
}
