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

/** Starts of runs and grants of leases. */
export interface Assigner {
  /** Reserves a slot and asks for a run; `onSettled` hears whether trying again makes sense. */
  readonly assign: (
    session: Session,
    stream: StreamName,
    onSettled: (tryAgain: boolean) => void,
  ) => void;
  readonly grant: (session: Session, stream: StreamName) => void;
  /** Runs work whose refusals are ordinary and whose failures are logged. */
  readonly background: (task: string, work: Promise<unknown>) => void;
}

/** True for failures that pass: the database is away, replicas race. */
function isPassing(error: unknown): boolean {
  return !(error instanceof RefusedError) || error.refusal.retryAfterMs !== undefined;
}

/** Makes the assigner of a process. */
export function makeAssigner(
  streams: RuntimeStreams,
  observer: EngineObserver,
  limits: BatchLimits,
): Assigner {
  function background(task: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (isPassing(error)) observer.backgroundFailed(task, error);
    });
  }

  async function startRun(session: Session, stream: StreamName): Promise<boolean> {
    const { executorId, incarnationId, leaseTtlMs: ttlMs } = session.terms;
    const command = { type: "assign_run" as const, executorId, incarnationId, ttlMs, ...limits };
    try {
      await streams.submit(stream, { name: command.type, bytes: 200, command });
      return false;
    } catch (error) {
      return isPassing(error);
    }
  }

  return {
    assign: (session, stream, onSettled) => {
      session.reserved += 1;
      void startRun(session, stream).then((tryAgain) => {
        session.reserved -= 1;
        onSettled(tryAgain);
      });
    },
    grant: (session, stream) => {
      const { executorId, incarnationId, leaseTtlMs: ttlMs } = session.terms;
      const command = { type: "grant_lease" as const, executorId, incarnationId, ttlMs };
      background("grant", streams.submit(stream, { name: command.type, bytes: 150, command }));
    },
    background,
  };
}
