/**
 * Names and places of streams. A stream is `<kind>/<namespace>/<id>` with `/ : %` percent-encoded
 * in each component, so that no stream's name can contain another's; its shard spreads inserts.
 */
import { hash } from "node:crypto";
import { type Revision, type StreamName, streamNameOf } from "../core/shared/ids.ts";

/** The components of a stream's name, decoded. */
export interface StreamAddress {
  readonly kind: string;
  readonly namespace: string;
  readonly id: string;
}

const RESERVED = /[/:%]/g;
const REVISION_DIGITS = 12;

function encodeComponent(component: string): string {
  return component.replace(
    RESERVED,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decodeComponent(component: string): string {
  return component.replace(/%(2F|3A|25)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Composes the name of a stream. */
export function streamName(kind: string, namespace: string, id: string): StreamName {
  return streamNameOf(
    `${encodeComponent(kind)}/${encodeComponent(namespace)}/${encodeComponent(id)}`,
  );
}

/** Takes a stream's name apart; `undefined` when it is not one. */
export function parseStreamName(stream: string): StreamAddress | undefined {
  const [kind, namespace, id, ...rest] = stream.split("/");
  if (!kind || !namespace || !id || rest.length > 0 || stream.includes(":")) return undefined;
  return {
    kind: decodeComponent(kind),
    namespace: decodeComponent(namespace),
    id: decodeComponent(id),
  };
}

const SHARDS_KEPT = 10_000;
/** Shards of streams that were asked for lately: two generations, the younger one is filled. */
let young = new Map<StreamName, string>();
let old = new Map<StreamName, string>();

/** First 16 hex digits of the SHA-256 of a stream's name. */
export function shardOf(stream: StreamName): string {
  const known = young.get(stream) ?? old.get(stream);
  if (known !== undefined) return known;
  const shard = hash("sha256", stream, "hex").slice(0, 16);
  if (young.size >= SHARDS_KEPT) {
    old = young;
    young = new Map();
  }
  young.set(stream, shard);
  return shard;
}

/** Revision with leading zeros, so that text order is revision order. */
export function paddedRevision(revision: Revision): string {
  return String(revision).padStart(REVISION_DIGITS, "0");
}

/** The journal's key of a commit: `<shard>:<stream>:<revision>`. */
export function commitKey(stream: StreamName, revision: Revision): string {
  return `${shardOf(stream)}:${stream}:${paddedRevision(revision)}`;
}
