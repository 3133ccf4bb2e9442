/**
 * Keeps one incarnation attached: opens the stream, opens it again when it or the server goes, and
 * notices when it has become silent. Ends when it is told to, or when the incarnation is dead.
 */
import { Code } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AttachRequestSchema,
  AttachResponse,
} from "../../../gen/keelson/executor/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import { type Failure, failureOf } from "../client/failure.ts";
import { makeBackoff, pause } from "../client/repeat.ts";

/** The server sends a heartbeat every ten seconds; three missed ones mean a dead connection. */
const SILENCE_MS = 35_000;

/** One message of the stream. */
export type AttachMessage = AttachResponse["message"];

/** What to attach as, and who is told. */
export interface AttachmentOptions {
  readonly connection: Connection;
  /** The request, with the runs held now. */
  readonly request: () => MessageInitShape<typeof AttachRequestSchema>;
  readonly onMessage: (message: AttachMessage) => void;
  /** Told after the first message of a stream when its request was sent, in monotonic time. */
  readonly onOpen: (sentMs: number) => void;
  /** Told when a stream could not be opened or broke off, once per row of failures. */
  readonly onTrouble: (failure: Failure) => void;
  /** Ends the attachment. */
  readonly signal: AbortSignal;
}

/** How an attachment ended. */
export type AttachmentEnd =
  | { readonly type: "stopped" }
  | { readonly type: "incarnation_dead" }
  /** The server will never take this request; the error says why. */
  | { readonly type: "refused"; readonly error: unknown };

/** Codes after which the same request will be refused again. */
const FINAL_CODES: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
]);

/** Reads one stream to its end; `onOpen` is called when it turns out to be open. */
async function readStream(options: AttachmentOptions, onOpen: () => void): Promise<void> {
  const { connection, request, onMessage, signal } = options;
  const sentMs = performance.now();
  let isOpen = false;
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(), SILENCE_MS);
  try {
    const stream = connection.executors.attach(request(), {
      signal: AbortSignal.any([signal, silent.signal]),
      timeoutMs: 0,
    });
    for await (const { message } of stream) {
      timer.refresh();
      onMessage(message);
      if (isOpen) continue;
      isOpen = true;
      onOpen();
      options.onOpen(sentMs);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Attaches and stays attached. */
export async function stayAttached(options: AttachmentOptions): Promise<AttachmentEnd> {
  const { signal, onTrouble } = options;
  const backoff = makeBackoff();
  const isStopped = (): boolean => signal.aborted;
  let isTroubled = false;
  while (!isStopped()) {
    try {
      await readStream(options, () => {
        isTroubled = false;
        backoff.reset();
      });
    } catch (error) {
      if (isStopped()) break;
      const failure = failureOf(error);
      if (failure.reason === "EXECUTOR_INCARNATION_DEAD") return { type: "incarnation_dead" };
      if (FINAL_CODES.has(failure.code)) return { type: "refused", error };
      if (!isTroubled) onTrouble(failure);
      isTroubled = true;
    }
    await pause(backoff.nextMs(), signal);
  }
  return { type: "stopped" };
}
