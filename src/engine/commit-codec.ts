/**
 * The one place where a commit becomes text and text becomes a commit: canonical JSON (RFC 8785),
 * the hash chain, and the checks a loader makes before it folds anything.
 */
import { hash } from "node:crypto";
import canonicalize from "canonicalize";
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Json } from "../core/shared/json.ts";
import type { StoredCommit } from "./ports.ts";

/** Version of the commit document that this server writes and reads. */
export const COMMIT_FORMAT_VERSION = 1;

/** Hash before the first commit: 32 zero bytes. */
export const GENESIS_HASH: Uint8Array = new Uint8Array(32);

/** Who asked what: one entry per command of a commit, in order. */
export interface CommandMark {
  /** The command's type, such as `ingest`. */
  readonly command: string;
  /** How many of the commit's events are this command's. */
  readonly events: number;
  readonly actor?: string;
  readonly requestId?: string;
  /** Hash of the command's content, to tell a repetition from a reuse of the request id. */
  readonly bodyHash?: string;
}

/** A commit with its texts parsed. */
export interface DecodedCommit {
  readonly stored: StoredCommit;
  readonly commands: readonly CommandMark[];
  readonly events: readonly Json[];
}

/**
 * Whether the members of all objects in a value stand in canonical order already, and every number
 * has a JSON form: then canonical JSON is what the engine's own writer makes of it.
 */
function isInCanonicalOrder(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isInCanonicalOrder);
  const members = value as Readonly<Record<string, unknown>>;
  let previous = "";
  for (const name in members) {
    if (name < previous) return false;
    previous = name;
    if (!isInCanonicalOrder(members[name])) return false;
  }
  return true;
}

/**
 * Canonical JSON text of any JSON value. Five times as fast for values that are built in the order
 * of their members' names, as those of the hot path are.
 */
export function canonicalText(value: unknown): string {
  const text = isInCanonicalOrder(value) ? JSON.stringify(value) : canonicalize(value);
  if (text === undefined) throw new TypeError("A value without JSON form cannot be stored");
  return text;
}

/** The canonical JSON of a commit: exactly the text that is hashed. */
export function commitText(commit: Omit<StoredCommit, "hash" | "formatVersion">): string {
  return (
    `{"at":${commit.at},"commands":${commit.commandsText},` +
    `"commitId":${JSON.stringify(commit.commitId)},"events":${commit.eventsText},` +
    `"revision":${commit.revision},"stream":${JSON.stringify(commit.stream)}}`
  );
}

/** SHA-256 over the hash before and the canonical JSON of the commit. */
export function chainHash(
  previousHash: Uint8Array,
  commit: Omit<StoredCommit, "hash" | "formatVersion">,
): Uint8Array {
  const text = commitText(commit);
  const bytes = Buffer.allocUnsafe(previousHash.length + Buffer.byteLength(text));
  bytes.set(previousHash);
  bytes.write(text, previousHash.length);
  return hash("sha256", bytes, "buffer");
}

/** What a new commit is made of. */
export interface CommitDraft {
  readonly stream: StreamName;
  readonly revision: Revision;
  readonly at: TimeMs;
  readonly commitId: string;
  readonly commands: readonly CommandMark[];
  readonly events: readonly unknown[];
  readonly previousHash: Uint8Array;
}

/** Turns a draft into the document that is stored. */
export function encodeCommit(draft: CommitDraft): StoredCommit {
  const body = {
    stream: draft.stream,
    revision: draft.revision,
    at: draft.at,
    commitId: draft.commitId,
    commandsText: canonicalText(draft.commands),
    eventsText: canonicalText(draft.events),
  };
  return {
    ...body,
    hash: chainHash(draft.previousHash, body),
    formatVersion: COMMIT_FORMAT_VERSION,
  };
}

/** Parses the texts of a commit of a known format version. */
export function decodeCommit(stored: StoredCommit): DecodedCommit {
  return {
    stored,
    commands: JSON.parse(stored.commandsText) as readonly CommandMark[],
    events: JSON.parse(stored.eventsText) as readonly Json[],
  };
}

/** True when two hashes are the same bytes. */
export function sameHash(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** Bytes that a commit takes in the journal, near enough for batching. */
export function commitBytes(commit: StoredCommit): number {
  return commit.eventsText.length + commit.commandsText.length + 256;
}
