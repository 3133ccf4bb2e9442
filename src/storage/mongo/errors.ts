/**
 * The one file that reads errors of the driver and the server, by class, code and label, never by
 * message. Whatever is not known to have failed without a trace counts as `unavailable`: the
 * operation may have taken effect, and asking again is the caller's business.
 */
import {
  BSON,
  MongoCompatibilityError,
  MongoInvalidArgumentError,
  MongoServerError,
} from "mongodb";
import { StorageError, type StorageErrorKind } from "../../engine/ports.ts";

const duplicateKeyCode = 11000;

/** The server looked at the content and refused it; the same content will never be taken. */
const contentRefusedCodes: ReadonlySet<number> = new Set([
  2, // BadValue
  9, // FailedToParse
  14, // TypeMismatch
  16, // InvalidLength
  22, // InvalidBSON
  121, // DocumentValidationFailure
  10334, // BSONObjectTooLarge
  17280, // KeyTooLong
]);

/** The database is set up in a way this version cannot work with. */
const incompatibleCodes: ReadonlySet<number> = new Set([
  59, // CommandNotFound
  67, // CannotCreateIndex
  72, // InvalidOptions
  85, // IndexOptionsConflict
  86, // IndexKeySpecsConflict
  115, // CommandNotSupported
]);

/** One entry of `writeErrors` in the answer to a write command. */
export interface WriteErrorReply {
  readonly index: number;
  readonly code: number;
}

/** The part of every answer to a write command that tells of failure. */
export interface WriteReply {
  readonly writeErrors?: readonly WriteErrorReply[];
  readonly writeConcernError?: { readonly code: number };
}

/** True when a single write failed because its key is in use. */
export function isDuplicateKey(error: WriteErrorReply): boolean {
  return error.code === duplicateKeyCode;
}

/** True when a single write was refused for its content. */
export function isContentRefused(error: WriteErrorReply): boolean {
  return contentRefusedCodes.has(error.code);
}

/** Throws `unavailable` when the writes are not known to be as durable as was asked for. */
export function requireWriteConcern(label: string, reply: WriteReply): void {
  if (reply.writeConcernError === undefined) return;
  const { code } = reply.writeConcernError;
  throw new StorageError("unavailable", `${label}: write concern not met (code ${code})`);
}

/** Throws for every failed write of a command but those that `isExpected` lets pass. */
export function requireWrites(
  label: string,
  reply: WriteReply,
  isExpected: (error: WriteErrorReply) => boolean = () => false,
): void {
  requireWriteConcern(label, reply);
  const failed = reply.writeErrors?.find((error) => !isExpected(error));
  if (failed === undefined) return;
  const kind = isContentRefused(failed) ? "rejected" : "unavailable";
  throw new StorageError(kind, `${label}: a write failed (code ${failed.code})`);
}

/** True when the server says that a collection to be made exists already. */
export function isNamespaceExists(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === 48;
}

function kindOf(error: unknown): StorageErrorKind {
  if (error instanceof MongoServerError) {
    const code = Number(error.code);
    if (contentRefusedCodes.has(code)) return "rejected";
    return incompatibleCodes.has(code) ? "incompatible" : "unavailable";
  }
  if (error instanceof MongoCompatibilityError) return "incompatible";
  // Refused by the driver itself before anything was sent.
  const isRefusedHere =
    error instanceof MongoInvalidArgumentError || error instanceof BSON.BSONError;
  return isRefusedHere ? "rejected" : "unavailable";
}

/** What a failed operation means to the engine; the driver's error is kept as its cause. */
export function storageErrorOf(label: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const name = error instanceof Error ? error.name : typeof error;
  const code = error instanceof MongoServerError ? ` (code ${String(error.code)})` : "";
  return new StorageError(kindOf(error), `${label}: ${name}${code}`, { cause: error });
}
