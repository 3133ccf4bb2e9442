/**
 * One process that this worker holds: from its claim over the command to its end.
 *
 * The command's lines of JSON with a `type` become events in their order; how it exits becomes the
 * completion. The lease is renewed all the while: when it is lost, or cannot be known to be held
 * any more, the command is killed and nothing is reported, because the process is somebody else's.
 */
import { toJson } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import {
  type Process,
  type ProcessLease,
  ProcessSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import type { Connection } from "../client/connection.ts";
import { failureOf, isPassing, statusName } from "../client/failure.ts";
import { pause, untilAnswered } from "../client/repeat.ts";
import { type CommandEnd, type CommandProcess, startCommand } from "./command-process.ts";
import type { OutputLine } from "./line-splitter.ts";
import { type AskedEvent, eventOfLine, outputOfEnd, type ProcessEnding } from "./process-output.ts";
import type { WorkerLog } from "./worker-log.ts";

const RENEWALS_PER_LEASE = 3;
const CALL_TIMEOUT_MS = 10_000;
/** Events that may wait to be sent; a command that is faster than the server is stopped. */
const EVENTS_MAX = 10_000;

/** How the commands of processes are run. */
export interface ProcessTerms {
  readonly command: string;
  readonly words: readonly string[];
  /** Variables of the command, without those of the process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long a command that is told to end may take before it is killed. */
  readonly killAfterMs: number;
}

/** What a held process works with. */
export interface HeldProcessOptions {
  readonly connection: Connection;
  readonly lease: ProcessLease;
  readonly process: Process;
  readonly terms: ProcessTerms;
  readonly log: WorkerLog;
}

/** A process that this worker holds. */
export interface HeldProcess {
  /** Ends the command and gives the process back. */
  readonly release: () => void;
  /** Kills the command at once; the process is given back. */
  readonly kill: () => void;
  /** Resolves with a problem when the command cannot be started; never rejects. */
  readonly ended: Promise<{ readonly problem?: string }>;
}

function spanOf(remaining: Duration | undefined): number {
  return (remaining && durationFromProto(remaining)) ?? 0;
}

/** Takes a process up. */
export function holdProcess(options: HeldProcessOptions): HeldProcess {
  const { connection, lease, process: held, terms, log } = options;
  const { processId, leaseToken, generation } = lease;
  const proof = { leaseToken, generation };
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  let ending: ProcessEnding | undefined;
  let lastLine = "";
  let lastErrorLine = "";
  let sending: Promise<void> = Promise.resolve();
  let waitingEvents = 0;
  let aliveUntilMs = performance.now() + spanOf(lease.remaining);

  function endCommand(why: ProcessEnding): void {
    ending ??= why;
    if (ending.type === "lost") running.kill();
    else running.stop(terms.killAfterMs);
  }

  /** Repeats a call while the lease lives; false when the process is somebody else's by then. */
  async function whileHeld(call: () => Promise<unknown>): Promise<boolean> {
    try {
      await untilAnswered(call, { signal: over.signal });
      return true;
    } catch (error) {
      const failure = failureOf(error);
      if (failure.reason === "LEASE_LOST") endCommand({ type: "lost" });
      else log.passOn(processId, `refused: ${failure.reason || statusName(failure.code)}`);
      return false;
    }
  }

  function send({ type, payload, key = "" }: AskedEvent): void {
    if (waitingEvents === EVENTS_MAX) {
      endCommand({ type: "failed", code: "too_many_events" });
      return;
    }
    waitingEvents += 1;
    const requestId = randomUUID();
    const request = {
      processId,
      eventType: type,
      replayKey: key,
      requestId,
      lease: proof,
      ...(payload === undefined ? {} : { payload }),
    };
    sending = sending.then(async () => {
      if (ending?.type !== "lost") {
        await whileHeld(() => connection.processes.appendEvent(request));
      }
      waitingEvents -= 1;
    });
  }

  function onLine({ text, isCut }: OutputLine): void {
    const event = isCut ? undefined : eventOfLine(text);
    if (event !== undefined) send(event);
    else if (text !== "") lastLine = text;
  }

  const running: CommandProcess = startCommand({
    command: terms.command,
    words: terms.words,
    environment: {
      ...terms.environment,
      KEELSON_PROCESS_ID: processId,
      KEELSON_GENERATION: String(generation),
      KEELSON_LEASE_TOKEN: leaseToken,
    },
    input: `${JSON.stringify(toJson(ProcessSchema, held))}\n`,
    onLine,
    onErrorLine: ({ text }) => {
      lastErrorLine = text;
      log.passOn(processId, text);
    },
  });

  async function renew(): Promise<void> {
    const askedMs = performance.now();
    try {
      const request = { processId, lease: proof };
      const timeoutMs = CALL_TIMEOUT_MS;
      const answer = await connection.processes.renewLease(request, { timeoutMs });
      const { remaining, cancelRequest } = answer;
      aliveUntilMs = askedMs + spanOf(remaining);
      if (cancelRequest !== undefined) {
        endCommand({ type: "cancelled", message: cancelRequest.reason });
      }
    } catch (error) {
      const failure = failureOf(error);
      if (!isPassing(failure)) endCommand({ type: "lost" });
    }
  }

  async function keep(): Promise<void> {
    while (!isOver()) {
      const leftMs = aliveUntilMs - performance.now();
      if (leftMs <= 0) endCommand({ type: "lost" });
      await pause(Math.max(100, leftMs / RENEWALS_PER_LEASE), over.signal);
      if (!isOver()) await renew();
    }
  }

  async function report(end: CommandEnd): Promise<void> {
    if (ending?.type === "released") {
      await whileHeld(() => connection.processes.releaseLease({ processId, lease: proof }));
      log.say(`process ${processId} given back`);
      return;
    }
    const { output, summary } = outputOfEnd(end, ending, lastLine, lastErrorLine);
    const isTold = await whileHeld(() =>
      connection.processes.completeProcess({
        processId,
        output,
        proof: { case: "lease", value: proof },
      }),
    );
    log.say(`process ${processId} ${isTold ? summary : "not reported"}`);
  }

  async function live(): Promise<{ readonly problem?: string }> {
    log.say(`process ${processId} claimed, generation ${generation}`);
    const keeping = keep();
    const end = await running.ended;
    if (end.type === "not_started") ending ??= { type: "released" };
    await sending;
    if (ending?.type === "lost") log.say(`process ${processId} lost`);
    else await report(end);
    over.abort();
    await keeping;
    return end.type === "not_started" ? { problem: end.problem } : {};
  }

  return {
    release: () => endCommand({ type: "released" }),
    kill: () => {
      ending ??= { type: "released" };
      running.kill();
    },
    ended: live(),
  };
}
