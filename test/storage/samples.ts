/** Sample values for the storage cases. Every case takes names of its own, so that cases share. */
import { createHash, randomUUID } from "node:crypto";
import { type StreamName, streamNameOf } from "../../src/core/shared/ids.ts";
import type {
  Clock,
  StoredCheckpoint,
  StoredCommit,
  StoredRecord,
  StreamRow,
} from "../../src/engine/ports.ts";

/** The record classes that every storage under test is opened with. */
export const recordClasses = ["inputs", "receipts"] as const;

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** A stream that no other case knows. */
export function freshStream(id = "subject"): StreamName {
  return streamNameOf(`runtime/${randomUUID()}/${id}`);
}

/** A commit of a stream with recognizable content. */
export function sampleCommit(
  stream: StreamName,
  revision: number,
  changes: Partial<StoredCommit> = {},
): StoredCommit {
  return {
    stream,
    revision,
    at: 1_700_000_000_000 + revision,
    commitId: randomUUID(),
    commandsText: '[{"command":"ingest","events":1}]',
    eventsText: `[{"type":"sampled","revision":${revision}}]`,
    hash: createHash("sha256").update(`${stream}:${revision}`).digest(),
    formatVersion: 1,
    ...changes,
  };
}

/** Commits of a stream from the first to the last revision, both included. */
export function sampleCommits(
  stream: StreamName,
  first: number,
  last: number,
): readonly StoredCommit[] {
  return Array.from({ length: last - first + 1 }, (_, index) =>
    sampleCommit(stream, first + index),
  );
}

/** A record of a stream with one lookup unless told otherwise. */
export function sampleRecord(
  stream: StreamName,
  ordinal: number,
  changes: Partial<StoredRecord> = {},
): StoredRecord {
  return {
    stream,
    recordClass: "inputs",
    ordinal,
    lookups: [`key:${ordinal}`],
    revision: ordinal * 10,
    bodyText: `{"ordinal":${ordinal}}`,
    ...changes,
  };
}

/** A checkpoint of a stream at a revision. */
export function sampleCheckpoint(
  stream: StreamName,
  revision: number,
  changes: Partial<StoredCheckpoint> = {},
): StoredCheckpoint {
  return {
    stream,
    revision,
    foldVersion: 1,
    at: 1_700_000_000_000 + revision,
    hash: createHash("sha256").update(`${stream}:${revision}`).digest(),
    stateText: `{"revision":${revision}}`,
    ...changes,
  };
}

/** A row of a stream `runtime/<namespace>/<id>`. */
export function sampleRow(
  namespace: string,
  id: string,
  changes: Partial<StreamRow> = {},
): StreamRow {
  return {
    stream: streamNameOf(`runtime/${namespace}/${id}`),
    kind: "runtime",
    namespace,
    id,
    revision: 1,
    at: 1_700_000_000_000,
    state: "idle",
    labels: {},
    gone: false,
    factsText: `{"id":"${id}"}`,
    ...changes,
  };
}

/** A commit with its hash as hex, for comparing whatever kind of byte array carries it. */
export function comparable(commit: StoredCommit | StoredCheckpoint): Record<string, unknown> {
  return { ...commit, hash: Buffer.from(commit.hash).toString("hex") };
}
