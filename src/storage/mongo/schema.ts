/**
 * The collection `schema`: which version of the collections this database has, and the document
 * that barriers write to.
 */
import type { CollectionDefinition } from "./collection.ts";

/** The version of all collections and indexes together; raised by every change of them. */
export const schemaVersion = 2;

/** See the header of this file. */
export const schemaCollection: CollectionDefinition = { name: "schema", indexes: [] };

/** Key of the document with the version. */
export const versionDocumentId = "version";

/** Key of the document that barriers write to. */
export const barrierDocumentId = "barrier";

/** The document with the version. */
export interface VersionDocument {
  readonly _id: typeof versionDocumentId;
  readonly version: number;
}
