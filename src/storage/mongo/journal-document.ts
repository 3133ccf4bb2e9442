/**
 * The documents of the collection `journal`: one per commit, insert-only. The key carries shard,
 * stream and revision; it is unique, and that alone decides which of two writers has a revision.
 */
import { Binary } from "mongodb";
import { type Revision, type StreamName, streamNameOf } from "../../core/shared/ids.ts";
import type { StoredCommit, StreamPoint } from "../../engine/ports.ts";
import { commitKey, paddedRevision, shardOf } from "../../engine/stream-name.ts";
import type { CollectionDefinition } from "./collection.ts";

/** Name of the index by time. */
export const journalTimeIndexName = "at_1__id_1";

/** See the header of this file. */
export const journalCollection: CollectionDefinition = {
  name: "journal",
  indexes: [
    {
      name: journalTimeIndexName,
      key: { at: 1, _id: 1 },
      serves: "pointsSince: which commits were made since a time, read from the index alone",
    },
  ],
};

/** One commit as a document. */
export interface JournalDocument {
  readonly _id: string;
  readonly stream: string;
  readonly revision: bigint;
  readonly at: Date;
  readonly commitId: string;
  readonly commands: string;
  readonly events: string;
  readonly hash: Binary;
  readonly formatVersion: number;
}

/** The hash of a commit that cannot be believed: no commit has it. */
const impossibleHash = new Uint8Array(0);

/** Sorts right after the colon that ends a part of a key. */
export const afterColon = ";";

/** Every key of a stream after the given revision. */
export function rangeAfter(point: StreamPoint): { readonly $gt: string; readonly $lt: string } {
  const prefix = `${shardOf(point.stream)}:${point.stream}`;
  return {
    $gt: `${prefix}:${paddedRevision(point.revision)}`,
    $lt: `${prefix}${afterColon}`,
  };
}

/** The stream that a key belongs to, without the shard in front and the revision behind. */
export function streamOfKey(key: string): StreamName {
  return streamNameOf(key.slice(key.indexOf(":") + 1, key.lastIndexOf(":")));
}

/** The revision at the end of a key. */
export function revisionOfKey(key: string): Revision {
  return Number(key.slice(key.lastIndexOf(":") + 1));
}

/** The place that a key names. */
export function pointOfKey(key: string): StreamPoint {
  return { stream: streamOfKey(key), revision: revisionOfKey(key) };
}

/** The document of a commit. */
export function commitToDocument(commit: StoredCommit): JournalDocument {
  return {
    _id: commitKey(commit.stream, commit.revision),
    stream: commit.stream,
    revision: BigInt(commit.revision),
    at: new Date(commit.at),
    commitId: commit.commitId,
    commands: commit.commandsText,
    events: commit.eventsText,
    hash: new Binary(commit.hash),
    formatVersion: commit.formatVersion,
  };
}

/** True when all members are there, of their types, and name the place that the key names. */
function isSound(document: JournalDocument): boolean {
  const { stream, revision, at, commitId, commands, events, hash, formatVersion } = document;
  const texts: readonly unknown[] = [stream, commitId, commands, events];
  return (
    texts.every((text) => typeof text === "string") &&
    typeof formatVersion === "number" &&
    hash instanceof Binary &&
    at instanceof Date &&
    document._id === commitKey(streamNameOf(stream), Number(revision))
  );
}

/**
 * The commit of a document, at the place its key names. One that contradicts its key or lacks
 * something gets a hash that no commit has: so the loader refuses this stream and no other.
 */
export function commitFromDocument(document: JournalDocument): StoredCommit {
  const place = pointOfKey(document._id);
  if (!isSound(document)) {
    const nothing = { at: 0, commitId: "", commandsText: "[]", eventsText: "[]" };
    return { ...place, ...nothing, hash: impossibleHash, formatVersion: 1 };
  }
  return {
    ...place,
    at: document.at.getTime(),
    commitId: document.commitId,
    commandsText: document.commands,
    eventsText: document.events,
    // A copy: the bytes read are a window on the whole answer of the server.
    hash: Uint8Array.from(document.hash.buffer),
    formatVersion: document.formatVersion,
  };
}
