/** Blobs, references to them and session snapshots on the wire. */
import { create } from "@bufbuild/protobuf";
import type { SessionSnapshot as CoreSnapshot } from "../../core/runtime/state.ts";
import type { StoredBlob } from "../../engine/ports.ts";
import {
  type Blob,
  type BlobReference,
  BlobSchema,
} from "../../../gen/keelson/blob/v1/messages_pb.ts";
import {
  type SessionSnapshot,
  SessionSnapshotSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { type FieldCheck, violate } from "./field-check.ts";
import { timestampToProto } from "./time.ts";

const DIGEST = /^[0-9a-f]{64}$/;

/** The SHA-256 of a content; must be given. */
export function checkDigest(check: FieldCheck, digest: string, field: string): string {
  if (!DIGEST.test(digest)) violate(check, field, "must be 64 lower-case hex digits");
  return digest;
}

/** The SHA-256 of a content; undefined when it was not given. */
export function checkOptionalDigest(
  check: FieldCheck,
  digest: string,
  field: string,
): string | undefined {
  return digest === "" ? undefined : checkDigest(check, digest, field);
}

/** The digest that a reference names; undefined when there is none. */
export function referenceFromProto(
  check: FieldCheck,
  reference: BlobReference | undefined,
  field: string,
): string | undefined {
  return reference && checkDigest(check, reference.digest, `${field}.digest`);
}

/** What is known of a blob. */
export function blobToProto(blob: StoredBlob): Blob {
  const { digest, bytes, storedAt, expiresAt } = blob;
  return create(BlobSchema, {
    digest,
    size: BigInt(bytes),
    storedAt: timestampToProto(storedAt),
    ...(expiresAt === undefined ? {} : { expiresAt: timestampToProto(expiresAt) }),
  });
}

/** The session of a runtime as a boundary left it. */
export function sessionSnapshotToProto(snapshot: CoreSnapshot): SessionSnapshot {
  const { digest, runId, sequence, revision } = snapshot;
  return create(SessionSnapshotSchema, {
    blob: { digest },
    runId,
    receiptSequence: BigInt(sequence),
    revision: BigInt(revision),
  });
}
