/**
 * The worker: one incarnation after the other until it is told to stop; then it takes no more work,
 * lets commands finish for a while, hands the rest back and gives its leases back.
 */
import type { Connection } from "../client/connection.ts";
import { failureOf, statusName } from "../client/failure.ts";
import { pause, untilAnswered } from "../client/repeat.ts";
import {
  type ExecutorTerms,
  type Incarnation,
  type IncarnationOptions,
  makeIncarnation,
} from "./incarnation.ts";
import type { RunTerms } from "./held-run.ts";
import type { WorkerLog } from "./worker-log.ts";

/** Time for the last calls of a worker that stops. */
const FAREWELL_MS = 5_000;

/** What a worker works with. */
export interface SidecarOptions {
  readonly connection: Connection;
  readonly executor: ExecutorTerms;
  readonly runs: RunTerms;
  /** How long commands may go on after the worker was told to stop. */
  readonly graceMs: number;
  readonly log: WorkerLog;
}

/** How a worker ended. */
export type SidecarEnd =
  | { readonly type: "stopped" }
  /** It cannot do its work, for a reason that trying again does not change. */
  | { readonly type: "failed"; readonly problem: string };

/** A worker. */
export interface Sidecar {
  /** Works until it is told to stop or cannot work; throws what the server refuses for good. */
  readonly work: () => Promise<SidecarEnd>;
  /** Tells it to stop in good order. */
  readonly stop: () => void;
  /** Kills its commands at once. */
  readonly kill: () => void;
}

/** Makes a worker. */
export function makeSidecar(options: SidecarOptions): Sidecar {
  const { connection, executor, runs, graceMs, log } = options;
  const stopping = new AbortController();
  let problem: string | undefined;
  let incarnation: Incarnation | undefined;

  function failWith(text: string): void {
    problem ??= text;
    stopping.abort();
  }

  const incarnationOptions: IncarnationOptions = {
    connection,
    executor,
    runs,
    log,
    onNotStarted: (text) => failWith(`the command cannot be started: ${text}`),
  };

  /** Ends the commands of an incarnation without reports, because nobody would take them. */
  async function bury(dead: Incarnation, reason: string): Promise<void> {
    for (const run of dead.heldRuns()) run.lose(reason);
    dead.abandon();
    await dead.emptied();
  }

  async function detach({ incarnationId }: Incarnation, signal: AbortSignal): Promise<void> {
    const { executorId } = executor;
    try {
      await untilAnswered(
        () => connection.executors.detach({ executorId, incarnationId }, { signal }),
        { signal },
      );
    } catch (error) {
      const failure = failureOf(error);
      log.say(
        `not detached (${failure.reason || statusName(failure.code)}); the leases will lapse`,
      );
    }
  }

  async function leave(last: Incarnation): Promise<void> {
    const count = last.heldRuns().length;
    if (count > 0) log.say(`stopping; ${count} runs may go on for ${graceMs} ms`);
    const emptied = new AbortController();
    void last.emptied().then(() => emptied.abort());
    await pause(graceMs, emptied.signal);
    for (const run of last.heldRuns()) run.release();
    await pause(runs.killAfterMs + FAREWELL_MS, emptied.signal);
    const farewell = AbortSignal.timeout(FAREWELL_MS);
    await detach(last, farewell);
    last.abandon();
  }

  async function work(): Promise<SidecarEnd> {
    for (;;) {
      incarnation = makeIncarnation(incarnationOptions);
      const { incarnationId } = incarnation;
      log.say(`executor ${executor.executorId}, incarnation ${incarnationId}`);
      const end = await incarnation.serve(stopping.signal);
      if (end.type === "refused") {
        await bury(incarnation, "refused");
        throw end.error;
      }
      if (stopping.signal.aborted) break;
      log.say(`incarnation ${incarnationId} is dead, its leases lapsed; starting a new one`);
      await bury(incarnation, "incarnation is dead");
    }
    await leave(incarnation);
    return problem === undefined ? { type: "stopped" } : { type: "failed", problem };
  }

  return {
    work,
    stop: () => stopping.abort(),
    kill: () => {
      for (const run of incarnation?.heldRuns() ?? []) run.kill();
    },
  };
}
