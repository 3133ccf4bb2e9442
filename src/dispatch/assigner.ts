/** Asks streams to start runs and to grant leases; the stream's own commit decides. */
import type { StreamName } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { RuntimeStreams } from "./runtime-streams.ts";
import type { Session } from "./session.ts";

/** Most of what one run may contain. */
export interface BatchLimits {
  readonly batchInputsMax: number;
  readonly batchBytesMax: number;
}

/** What became of a run that was asked for; one that `failed` may be asked for again. */
export type AssignOutcome = "started" | "refused" | "failed";

/** Starts of runs and grants of leases. */
export interface Assigner {
  /** Takes a slot and asks for a run, unless one is asked for already. */
  readonly assign: (
    session: Session,
    stream: StreamName,
    onSettled: (outcome: AssignOutcome) => void,
  ) => void;
  readonly grant: (session: Session, stream: StreamName) => void;
  /** Runs work whose refusals are ordinary and whose failures are logged. */
  readonly background: (task: string, work: Promise<unknown>) => void;
}

/** True for failures that pass: the database is away, replicas race. */
export function isPassing(error: unknown): boolean {
  return !(error instanceof RefusedError) || error.refusal.retryAfterMs !== undefined;
}

/** What assigning works with. */
export interface AssignerOptions {
  readonly streams: RuntimeStreams;
  readonly observer: EngineObserver;
  readonly limits: BatchLimits;
  /** Whether work may be given to a session now; a promise where that has to be found out. */
  readonly mayServe: (session: Session) => boolean | Promise<boolean>;
}

/** Makes the assigner of a process. */
export function makeAssigner(options: AssignerOptions): Assigner {
  const { streams, observer, limits, mayServe } = options;

  function background(task: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (isPassing(error)) observer.backgroundFailed(task, error);
    });
  }

  async function startRun(session: Session, stream: StreamName): Promise<AssignOutcome> {
    const { executorId, incarnationId, leaseTtlMs: ttlMs } = session.terms;
    const command = { type: "assign_run" as const, executorId, incarnationId, ttlMs, ...limits };
    try {
      const may = mayServe(session);
      if (may !== true && !(await may)) return "refused";
      await streams.submit(stream, { name: command.type, bytes: 200, command });
      return "started";
    } catch (error) {
      if (!isPassing(error)) return "refused";
      // Races of replicas are ordinary.
      const isRace = error instanceof RefusedError && error.refusal.reason === "CONFLICT";
      if (!isRace) observer.backgroundFailed("start of a run", error);
      return "failed";
    }
  }

  async function grant(session: Session, stream: StreamName): Promise<void> {
    const { executorId, incarnationId, leaseTtlMs: ttlMs } = session.terms;
    const may = mayServe(session);
    if (may !== true && !(await may)) return;
    const command = { type: "grant_lease" as const, executorId, incarnationId, ttlMs };
    await streams.submit(stream, { name: command.type, bytes: 150, command });
  }

  return {
    assign: (session, stream, onSettled) => {
      if (session.asking.has(stream)) return;
      session.asking.add(stream);
      void startRun(session, stream).then((outcome) => {
        session.asking.delete(stream);
        onSettled(outcome);
        session.wake?.();
      });
    },
    grant: (session, stream) => background("grant", grant(session, stream)),
    background,
  };
}
