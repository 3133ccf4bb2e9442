/** Commits of one stream that a reader needs, each read once and not too many at a time. */
import type { Revision, StreamName } from "../core/shared/ids.ts";
import type { StoredCommit } from "../engine/ports.ts";

const READS_AT_ONCE = 32;

/** Commits of a stream by revision, each read once. */
export async function readCommits(
  streams: { readonly commit: (stream: StreamName, revision: Revision) => Promise<StoredCommit> },
  stream: StreamName,
  revisions: Iterable<Revision>,
): Promise<ReadonlyMap<Revision, StoredCommit>> {
  const wanted = [...new Set(revisions)];
  const found = new Map<Revision, StoredCommit>();
  for (let start = 0; start < wanted.length; start += READS_AT_ONCE) {
    const group = wanted.slice(start, start + READS_AT_ONCE);
    const commits = await Promise.all(group.map((revision) => streams.commit(stream, revision)));
    for (const commit of commits) found.set(commit.revision, commit);
  }
  return found;
}
