// What a fault run records: what clients sent and heard, what executors were told, what watchers
// saw, and what the server says about every runtime once all is quiet. The checker judges it; the
// harness writes it. Times are left out on purpose: the order that counts is in the revisions.
import { z } from "zod";

const count = z.int().nonnegative();
const text = z.string();

/** What a client was told about one input it sent. */
const outcomeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("accepted"), inputId: text, revision: count }),
  z.object({ kind: z.literal("deduplicated"), existingId: text, sameContent: z.boolean() }),
  z.object({ kind: z.literal("rejected"), reason: text }),
]);

/** How an input ended, as one who waited for it was told. */
const completionSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("completed"), text }),
  z.object({ kind: z.literal("completed_without_result") }),
  z.object({ kind: z.literal("callback_pending") }),
  z.object({ kind: z.literal("abandoned"), reason: text }),
  z.object({ kind: z.literal("superseded"), byInputId: text }),
  z.object({ kind: z.literal("coalesced"), aggregateId: text }),
  z.object({ kind: z.literal("runtime_terminated"), reason: text }),
]);

const runReference = {
  executorId: text,
  incarnationId: text,
  runtimeId: text,
  runId: text,
  generation: count,
};

/** One line of a history. */
export const historyEntrySchema = z.discriminatedUnion("type", [
  /** A client is about to send an input; `order` numbers those that it pipelines, from 0. */
  z.object({
    type: z.literal("sent"),
    client: text,
    runtimeId: text,
    key: text,
    content: text,
    order: count.nullable(),
  }),
  /** A client was answered for the content it sent under the key. */
  z.object({
    type: z.literal("answered"),
    client: text,
    runtimeId: text,
    key: text,
    content: text,
    outcome: outcomeSchema,
  }),
  /** A client that waited was told how the input with the key ended. */
  z.object({
    type: z.literal("awaited"),
    client: text,
    runtimeId: text,
    key: text,
    completion: completionSchema,
  }),
  /** An executor got a run. */
  z.object({
    type: z.literal("assigned"),
    ...runReference,
    attempt: count,
    inputIds: z.array(text),
  }),
  /** An executor's boundary was accepted. */
  z.object({
    type: z.literal("boundary"),
    ...runReference,
    sequence: count,
    inputIds: z.array(text),
    commitHash: text,
    revision: count,
  }),
  /** An executor's end of a run was accepted. */
  z.object({
    type: z.literal("ended"),
    ...runReference,
    how: z.enum(["completed", "failed", "cancelled"]),
    text,
  }),
  /** An executor's write was refused for good. */
  z.object({ type: z.literal("refused"), ...runReference, reason: text }),
  /** A watcher begins, or resumes after a position; index -1 stands for a whole revision. */
  z.object({
    type: z.literal("watch_opened"),
    watcher: text,
    runtimeId: text,
    revision: count,
    index: z.int().gte(-1),
  }),
  /** A watcher got an event. */
  z.object({
    type: z.literal("watched"),
    watcher: text,
    runtimeId: text,
    revision: count,
    index: count,
    eventId: text,
    eventCode: text,
  }),
  /** A watcher was told that it has everything up to a revision. */
  z.object({ type: z.literal("bookmarked"), watcher: text, runtimeId: text, revision: count }),
]);

/** See {@link historyEntrySchema}. */
export type HistoryEntry = z.infer<typeof historyEntrySchema>;
/** The entries of one type. */
export type EntryOf<Type extends HistoryEntry["type"]> = Extract<
  HistoryEntry,
  { readonly type: Type }
>;
/** See {@link outcomeSchema}. */
export type IngestOutcome = z.infer<typeof outcomeSchema>;
/** See {@link completionSchema}. */
export type Completion = z.infer<typeof completionSchema>;

/** One input as the server lists it at the end, in admission order. */
export interface FinalInput {
  readonly inputId: string;
  readonly key: string;
  readonly content: string;
  readonly state: "consumed" | "superseded" | "coalesced" | "abandoned" | "live";
  readonly admittedRevision: number;
  readonly attemptCount: number;
  /** The run that consumed it; empty when it was consumed on accept or not at all. */
  readonly consumedByRunId: string;
  /** The input that took its place, or took it in; empty otherwise. */
  readonly replacedByInputId: string;
  /** Why it was abandoned; empty otherwise. */
  readonly abandonReason: string;
}

/** One receipt as the server lists it at the end, in the order of the commits. */
export interface FinalReceipt {
  readonly runId: string;
  readonly sequence: number;
  readonly inputIds: readonly string[];
  readonly commitHash: string;
  readonly revision: number;
  /** Whether loading it by its name answered the same receipt. */
  readonly isLoadedAlike: boolean;
}

/** One event of the whole history as a watcher from the beginning sees it at the end. */
export interface FinalEvent {
  readonly revision: number;
  readonly index: number;
  readonly eventId: string;
  readonly eventCode: string;
  /** Generation of an event about the executor; 0 for others. */
  readonly generation: number;
  /** Executor and incarnation of an event about the executor; empty for others. */
  readonly holder: string;
  /** The run of an event about a run; empty for others. */
  readonly runId: string;
  /** The input of an event about an input; empty for others. */
  readonly inputId: string;
}

/** The counts of a runtime as the server keeps them. */
export interface FinalCounts {
  readonly accepted: number;
  readonly consumed: number;
  readonly superseded: number;
  readonly coalesced: number;
  readonly abandoned: number;
  readonly live: number;
}

/** What the server says about one runtime when all is quiet. */
export interface FinalRuntime {
  readonly runtimeId: string;
  readonly revision: number;
  readonly attemptLimit: number;
  readonly currentRunId: string;
  readonly counts: FinalCounts;
  readonly inputs: readonly FinalInput[];
  readonly receipts: readonly FinalReceipt[];
  readonly events: readonly FinalEvent[];
  readonly isVerified: boolean;
}

/** Everything there is to judge. */
export interface RecordedHistory {
  readonly entries: readonly HistoryEntry[];
  readonly runtimes: readonly FinalRuntime[];
}

/** The entries of one type, in the order of their recording. */
export function entriesOf<Type extends HistoryEntry["type"]>(
  entries: readonly HistoryEntry[],
  type: Type,
): readonly EntryOf<Type>[] {
  return entries.filter((entry): entry is EntryOf<Type> => entry.type === type);
}
