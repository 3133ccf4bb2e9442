// What a worker of the fault suite does with a process that it holds: what its input says. Every
// write is repeated until it is answered or refused for good. Keys and payloads of events do not
// depend on who appends them, so that a worker that takes over repeats what was there; the output
// names its maker.
import type { Process, ProcessLease } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { type Endpoints, reasonOf } from "./endpoints.ts";
import type { HistoryLog } from "./history-log.ts";
import { contentOf, jobIn, outputBy, outputText, stateName, valueOf } from "./made-processes.ts";
import type { ProcessEntry, ProcessEntryOf } from "./process-history.ts";
import { pauseFor } from "./waiting.ts";

/** A process that a worker holds, and what it works with. */
export interface HeldJob {
  readonly hold: Omit<ProcessEntryOf<"refused">, "type" | "reason">;
  readonly lease: ProcessLease;
  readonly claimed: Process;
  readonly endpoints: Endpoints;
  readonly log: HistoryLog<ProcessEntry>;
  readonly leaseTtlMs: number;
}

/** Refusals that say that the process went to somebody else, or is over. */
const GONE: ReadonlySet<string> = new Set([
  "LEASE_LOST",
  "LEASE_REQUIRED",
  "PROCESS_TERMINAL",
  "REPLAY_KEY_CONFLICT",
]);
const STEP_MS = 10;

function makePerformance({ hold, lease, claimed, endpoints, log, leaseTtlMs }: HeldJob) {
  const { processId, worker, generation } = hold;
  const proof = { leaseToken: lease.leaseToken, generation: lease.generation };
  const job = jobIn(claimed);
  const over = new AbortController();
  const cancelled = new AbortController();

  async function append(eventType: string, key: string, wakeRuntimeId = ""): Promise<void> {
    const payload = valueOf({ key });
    const request = { processId, eventType, payload, replayKey: key, wakeRuntimeId, lease: proof };
    const { event, replayed } = await endpoints.call(({ processes }, limits) => {
      return processes.appendEvent(request, limits);
    });
    const place = {
      sequence: Number(event?.sequence ?? 0n),
      revision: Number(event?.revision ?? 0n),
    };
    const said = { key, content: contentOf(payload), generation, replayed };
    log.append({ type: "appended", writer: hold.incarnationId, processId, ...said, ...place });
  }

  /** Renews until the end of the job; whatever is refused is met by the writes, too. */
  async function keep(): Promise<void> {
    for (;;) {
      await pauseFor(leaseTtlMs / 3, over.signal);
      if (over.signal.aborted) return;
      try {
        const { cancelRequest } = await endpoints.call(({ processes }, limits) => {
          return processes.renewLease({ processId, lease: proof }, limits);
        });
        if (cancelRequest !== undefined) cancelled.abort();
      } catch (error) {
        if (!GONE.has(reasonOf(error))) throw error;
        return;
      }
    }
  }

  /** Gives the process back, and writes once more. */
  async function yieldAndGoOn(): Promise<void> {
    const { released, revision } = await endpoints.call(({ processes }, limits) => {
      const requestId = `release-${proof.leaseToken}`;
      return processes.releaseLease({ processId, lease: proof, requestId }, limits);
    });
    if (released) log.append({ type: "released", ...hold, revision: Number(revision) });
    await append("step", `late-${generation}`);
  }

  async function complete(): Promise<void> {
    const output = outputBy(`${worker}@${generation}`, cancelled.signal.aborted);
    const proven = { case: "lease" as const, value: proof };
    const { process, event } = await endpoints.call(({ processes }, limits) => {
      return processes.completeProcess({ processId, output, proof: proven }, limits);
    });
    const ended = {
      state: stateName(process?.end?.state),
      output: outputText(process?.end?.output),
      sequence: Number(event?.sequence ?? 0n),
    };
    log.append({ type: "completed", ...hold, ...ended });
  }

  async function work(): Promise<void> {
    for (let step = 0; step < job.steps; step += 1) {
      await append("step", `step-${step}`);
      await pauseFor(STEP_MS);
    }
    if (job.yields && generation === 1) await yieldAndGoOn();
    await pauseFor(job.workMs, cancelled.signal);
    await append("news", "result", job.runtimeId);
    await complete();
  }

  return async (): Promise<void> => {
    const keeping = keep();
    try {
      await work();
    } finally {
      over.abort();
    }
    await keeping;
  };
}

/** Works on a process to its end, or until it is somebody else's. */
export async function performJob(held: HeldJob): Promise<void> {
  try {
    await makePerformance(held)();
  } catch (error) {
    const reason = reasonOf(error);
    if (!GONE.has(reason)) throw error;
    held.log.append({ type: "refused", ...held.hold, reason });
  }
}
