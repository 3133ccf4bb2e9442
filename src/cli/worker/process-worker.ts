/**
 * The worker of processes: claims the oldest one of its kinds whenever it has room, until it is
 * told to stop; then it claims no more, lets commands finish for a while and gives the rest back.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { durationToProto } from "../../rpc/codec/time.ts";
import type { Connection } from "../client/connection.ts";
import { failureOf, isPassing, statusName } from "../client/failure.ts";
import { makeBackoff, pause } from "../client/repeat.ts";
import { type HeldProcess, holdProcess, type ProcessTerms } from "./held-process.ts";
import type { Sidecar } from "./sidecar.ts";
import type { WorkerLog } from "./worker-log.ts";

const CLAIM_WAIT_MS = 20_000;
const ANSWER_MS = 10_000;

/** What a worker of processes works with. */
export interface ProcessWorkerOptions {
  readonly connection: Connection;
  readonly ownerId: string;
  readonly kinds: readonly string[];
  /** Most processes at once. */
  readonly slots: number;
  readonly leaseTtlMs: number;
  readonly terms: ProcessTerms;
  /** How long commands may go on after the worker was told to stop. */
  readonly graceMs: number;
  readonly log: WorkerLog;
}

/** Makes a worker of processes. */
export function makeProcessWorker(options: ProcessWorkerOptions): Sidecar {
  const { connection, kinds, slots, terms, log } = options;
  const owner = { ownerId: options.ownerId, incarnationId: randomUUID() };
  const stopping = new AbortController();
  const isStopping = (): boolean => stopping.signal.aborted;
  const held = new Set<HeldProcess>();
  let problem: string | undefined;

  /** Claims and runs one process; nothing when there was none. */
  async function serveOne(): Promise<void> {
    const { lease, process } = await connection.processes.claimNext(
      {
        kinds: [...kinds],
        owner,
        ttl: durationToProto(options.leaseTtlMs),
        timeout: durationToProto(CLAIM_WAIT_MS),
      },
      { signal: stopping.signal, timeoutMs: CLAIM_WAIT_MS + ANSWER_MS },
    );
    if (lease === undefined || process === undefined) return;
    const taken = holdProcess({ connection, lease, process, terms, log });
    held.add(taken);
    const end = await taken.ended;
    held.delete(taken);
    if (end.problem === undefined) return;
    problem ??= `the command cannot be started: ${end.problem}`;
    stopping.abort();
  }

  /** One slot: process after process. */
  async function serve(): Promise<void> {
    const backoff = makeBackoff();
    while (!isStopping()) {
      try {
        await serveOne();
        backoff.reset();
      } catch (error) {
        if (isStopping()) return;
        const failure = failureOf(error);
        if (!isPassing(failure)) throw error;
        log.say(`no claims now (${failure.reason || statusName(failure.code)})`);
        await pause(backoff.nextMs(), stopping.signal);
      }
    }
  }

  async function leave(serving: Promise<unknown>): Promise<void> {
    await once(stopping.signal, "abort");
    if (held.size > 0) log.say(`stopping; ${held.size} processes may go on`);
    const emptied = new AbortController();
    void serving.finally(() => emptied.abort());
    await pause(options.graceMs, emptied.signal);
    for (const one of held) one.release();
  }

  return {
    work: async () => {
      log.say(`worker ${owner.ownerId}, incarnation ${owner.incarnationId}`);
      const serving = Promise.all(Array.from({ length: slots }, serve));
      const left = leave(serving);
      try {
        await serving;
      } finally {
        stopping.abort();
        await left;
      }
      return problem === undefined ? { type: "stopped" } : { type: "failed", problem };
    },
    stop: () => stopping.abort(),
    kill: () => {
      for (const one of held) one.kill();
    },
  };
}
