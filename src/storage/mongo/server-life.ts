/**
 * The barrier: proof that everything visible before is journaled, and a token for the life of the
 * server, so that two barriers with the same token enclose reads that no crash can take back.
 *
 * Most servers name their process in `hello`. One that does not is known by its process id and by a
 * clock that never runs backwards within a life: a restart sets the uptime back by far more than
 * the measurement can be wrong. A token is taken after its write; taken before, the server could
 * have died in between with the reads undone and the write acknowledged by its successor.
 */
import { randomUUID } from "node:crypto";
import type { MongoConnection } from "./connection.ts";
import { requireWrites, type WriteReply } from "./errors.ts";
import { barrierDocumentId, schemaCollection } from "./schema.ts";

/** See the header of this file. */
export interface ServerLife {
  /** Resolves with the token once everything visible before the call is journaled. */
  readonly barrier: () => Promise<string>;
}

/** The members of the answer to `serverStatus` that are read. */
interface StatusReply {
  readonly pid: number | bigint;
  readonly uptimeMillis: number | bigint;
}

/** When a server was last seen alive, on its clock and on ours. */
interface Sighting {
  readonly pid: number;
  readonly uptimeMs: number;
  readonly answeredMs: number;
  readonly token: string;
}

/** How far the two clocks may drift apart: a constant and a share of the time between. */
const driftMs = 100;
const driftShare = 0.01;

/** True when the server could not have been started anew between the sighting and this answer. */
function isSameLife(last: Sighting, status: StatusReply, askedMs: number): boolean {
  const elapsedMs = askedMs - last.answeredMs;
  const uptimeMsMin = last.uptimeMs + elapsedMs - driftMs - elapsedMs * driftShare;
  return last.pid === Number(status.pid) && Number(status.uptimeMillis) >= uptimeMsMin;
}

/** The life of the server behind a connection. */
export function makeServerLife(connection: MongoConnection): ServerLife {
  let last: Sighting | undefined;

  async function tokenByStatus(): Promise<string> {
    const askedMs = performance.now();
    const status = await connection.command<StatusReply>("storage.life", {
      serverStatus: 1,
      metrics: 0,
      wiredTiger: 0,
      tcmalloc: 0,
      locks: 0,
    });
    const answeredMs = performance.now();
    const former = last;
    const isSame = former !== undefined && isSameLife(former, status, askedMs);
    last = {
      pid: Number(status.pid),
      uptimeMs: Number(status.uptimeMillis),
      answeredMs,
      token: isSame ? former.token : randomUUID(),
    };
    return last.token;
  }

  async function currentToken(): Promise<string> {
    if (connection.topology !== "standalone") return connection.topology;
    const { topologyVersion } = await connection.hello();
    return topologyVersion === undefined
      ? await tokenByStatus()
      : topologyVersion.processId.toHexString();
  }

  async function barrier(): Promise<string> {
    const label = "journal.barrier";
    const reply = await connection.command<WriteReply>(label, {
      update: schemaCollection.name,
      updates: [{ q: { _id: barrierDocumentId }, u: { $inc: { count: 1n } }, upsert: true }],
      writeConcern: connection.writeConcerns.durable,
    });
    requireWrites(label, reply);
    return await currentToken();
  }

  return { barrier };
}
