/** How a collection of the storage is declared: its name and its indexes, each with its query. */

/** An index besides the one on `_id`. */
export interface IndexDefinition {
  readonly name: string;
  readonly key: Readonly<Record<string, 1 | -1>>;
  /** Only documents that match are in the index. */
  readonly partialFilter?: Readonly<Record<string, unknown>>;
  /** No two documents of the index have the same key. */
  readonly isUnique?: true;
  /** Documents go this long after the time in the index. */
  readonly expireAfterSeconds?: number;
  /** The query that the index is there for. */
  readonly serves: string;
}

/** A collection as the migration makes it. */
export interface CollectionDefinition {
  readonly name: string;
  readonly indexes: readonly IndexDefinition[];
  /** Set for a capped collection: its size. */
  readonly cappedBytes?: number;
}

/** The name the server gives to the index that every collection has. */
export const idIndexName = "_id_";
