// One client of the fault run over processes: it goes on asking until it has an answer, and notes
// what it was answered. How it asks for what is up to the load it carries.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  OrphanPolicy,
  type ProcessRegistrationSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { makeSeededRandom } from "../../property/support/seeded-entropy.ts";
import { type Endpoints, isPassing, makeEndpoints, type Protocol, reasonOf } from "./endpoints.ts";
import type { HistoryRecorder } from "./history-recorder.ts";
import { contentOf, outputBy, outputText, stateName, valueOf } from "./made-processes.ts";
import type { ProcessEntry } from "./process-history.ts";
import { pauseFor } from "./waiting.ts";

/** What every client works with. */
export interface ProcessScene {
  readonly urls: readonly string[];
  readonly recorder: HistoryRecorder<ProcessEntry>;
  readonly seed: number;
  /** Aborted when clients are to begin nothing new. */
  readonly closing: AbortSignal;
  /** Aborted when everything is to end at once. */
  readonly ending: AbortSignal;
}

/** One client. */
export interface ProcessClient {
  readonly name: string;
  readonly endpoints: Endpoints;
  readonly random: () => number;
  readonly scene: ProcessScene;
  readonly register: (
    processId: string,
    registration: MessageInitShape<typeof ProcessRegistrationSchema>,
  ) => Promise<void>;
  readonly grant: (processId: string, sessionId: string) => Promise<void>;
  readonly revoke: (processId: string, sessionId: string) => Promise<void>;
  readonly move: (processIds: readonly string[], from: string, to: string) => Promise<void>;
  /** Deletes the state of a session and cancels its orphans. */
  readonly deleteSession: (sessionId: string) => Promise<void>;
  readonly append: (processId: string, key: string, runtimeId: string) => Promise<void>;
  readonly cancel: (processId: string) => Promise<void>;
  /** Ends a process that the client runs by itself. */
  readonly complete: (processId: string, isCancelled: boolean) => Promise<void>;
  /** Waits for the end of a process, however long it takes. */
  readonly awaitEnd: (processId: string) => Promise<void>;
  /** Follows the events of a process to its end. */
  readonly follow: (processId: string) => Promise<void>;
}

const AWAIT_MS = 1_500;
const AWAIT_CALL_MS = 3_500;
const FOLLOW_STREAM_MS = 3_000;
const BUSY_PAUSE_MS = 30;

/** The calls about grants. */
function makeGrantCalls(endpoints: Endpoints, { recorder, ending }: ProcessScene, name: string) {
  let serial = 0;
  const nextId = (): string => {
    serial += 1;
    return `${name}-call-${serial}`;
  };

  /** Asks again for as long as the handle is just being moved. */
  async function whenFree(ask: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await ask();
        return;
      } catch (error) {
        if (reasonOf(error) !== "HANDLE_IN_TRANSFER" || ending.aborted) throw error;
        await pauseFor(BUSY_PAUSE_MS, ending);
      }
    }
  }

  return {
    grant: async (processId: string, sessionId: string): Promise<void> => {
      recorder.note({ type: "granting", processId, sessionId });
      const request = { scope: { sessionId }, processId, requestId: nextId() };
      await endpoints.call(({ processes }, limits) => processes.grantHandle(request, limits));
      recorder.note({ type: "granted", processId, sessionId });
    },
    revoke: async (processId: string, sessionId: string): Promise<void> => {
      const request = { scope: { sessionId }, processId, requestId: nextId() };
      await whenFree(async () => {
        await endpoints.call(({ processes }, limits) => processes.revokeHandle(request, limits));
      });
      recorder.note({ type: "revoked", processId, sessionId });
    },
    move: async (processIds: readonly string[], from: string, to: string): Promise<void> => {
      const scopes = { from: { sessionId: from }, to: { sessionId: to } };
      const request = { ...scopes, processIds: [...processIds], requestId: nextId() };
      await whenFree(async () => {
        await endpoints.call(({ processes }, limits) => {
          return processes.transferHandleGrants(request, limits);
        });
      });
      recorder.note({ type: "moved", processIds: [...processIds], from, to });
    },
    deleteSession: async (sessionId: string): Promise<void> => {
      recorder.note({ type: "deleting", sessionId });
      const orphanPolicy = OrphanPolicy.CANCEL;
      const request = { sessionId, orphanPolicy, requestId: nextId() };
      const { report } = await endpoints.call(({ processes }, limits) => {
        return processes.deleteSessionProcessState(request, limits);
      });
      recorder.note({
        type: "deleted",
        sessionId,
        cancelled: report?.cancelledProcessIds ?? [],
        preserved: report?.preservedProcessIds ?? [],
      });
    },
  };
}

/** The calls that wait. */
function makeWaits(endpoints: Endpoints, { recorder, ending }: ProcessScene, name: string) {
  async function followOnce(processId: string, after: number): Promise<number | "ended"> {
    recorder.note({ type: "follow_opened", watcher: name, processId, afterSequence: after });
    const signal = AbortSignal.any([ending, AbortSignal.timeout(FOLLOW_STREAM_MS)]);
    const request = { processId, afterSequence: BigInt(after) };
    let position = after;
    try {
      const responses = endpoints.next().processes.watchEvents(request, { signal });
      for await (const { message } of responses) {
        if (message.case !== "event") continue;
        const { sequence, eventType, terminalState } = message.value;
        position = Number(sequence);
        const followed = { processId, sequence: position, eventType };
        recorder.note({ type: "followed", watcher: name, ...followed });
        if (terminalState !== undefined) return "ended";
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
      await pauseFor(BUSY_PAUSE_MS, ending);
    }
    return position;
  }

  return {
    awaitEnd: async (processId: string): Promise<void> => {
      const request = { processId, timeout: durationFromMs(AWAIT_MS) };
      for (;;) {
        const { outcome } = await endpoints.call(
          ({ processes }, limits) => processes.awaitProcess(request, limits),
          { timeoutMs: AWAIT_CALL_MS },
        );
        if (outcome.case !== "ended") continue;
        const state = stateName(outcome.value.state);
        const output = outputText(outcome.value.output);
        const sequence = Number(outcome.value.sequence);
        recorder.note({ type: "awaited", processId, state, output, sequence });
        return;
      }
    },
    follow: async (processId: string): Promise<void> => {
      for (let position = 0; !ending.aborted; ) {
        const next = await followOnce(processId, position);
        if (next === "ended") return;
        position = next;
      }
    },
  };
}

/** Makes a client of a scene; `number` sets it apart from the others. */
export function makeProcessClient(
  scene: ProcessScene,
  number: number,
  protocol: Protocol,
): ProcessClient {
  const name = `client-${number}`;
  const { urls, recorder, seed, ending } = scene;
  const endpoints = makeEndpoints(urls, { protocol, signal: ending, first: number });
  return {
    name,
    endpoints,
    scene,
    random: makeSeededRandom(seed * 1_000 + number),
    ...makeGrantCalls(endpoints, scene, name),
    ...makeWaits(endpoints, scene, name),
    register: async (processId, registration) => {
      await endpoints.call(({ processes }, limits) => {
        return processes.registerProcess({ registration }, limits);
      });
      recorder.note({ type: "registered", processId });
    },
    append: async (processId, key, wakeRuntimeId) => {
      const payload = valueOf({ key });
      const request = { processId, eventType: "news", payload, replayKey: key, wakeRuntimeId };
      const { event, replayed } = await endpoints.call(({ processes }, limits) => {
        return processes.appendEvent(request, limits);
      });
      recorder.note({
        type: "appended",
        writer: name,
        processId,
        key,
        content: contentOf(payload),
        generation: 0,
        sequence: Number(event?.sequence ?? 0n),
        revision: Number(event?.revision ?? 0n),
        replayed,
      });
    },
    cancel: async (processId) => {
      const request = { processId, reason: "not wanted any more" };
      await endpoints.call(({ processes }, limits) => processes.cancelProcess(request, limits));
    },
    complete: async (processId, isCancelled) => {
      const authority = { case: "externalOwner", value: { grantedTo: name } } as const;
      const proof = { case: "authority", value: { authority } } as const;
      const request = { processId, output: outputBy(name, isCancelled), proof };
      const { process, event } = await endpoints.call(({ processes }, limits) => {
        return processes.completeProcess(request, limits);
      });
      recorder.note({
        type: "completed",
        worker: name,
        incarnationId: "",
        processId,
        generation: 0,
        state: stateName(process?.end?.state),
        output: outputText(process?.end?.output),
        sequence: Number(event?.sequence ?? 0n),
      });
    },
  };
}
