/** Re-reads a stream from its first revision and recomputes the hash chain and the fold. */
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import { GENESIS_HASH } from "./commit-codec.ts";
import type { DurableReads } from "./durable-reads.ts";
import { foldCommit, initialFold } from "./stream-fold.ts";
import type { Verification } from "./streams.ts";

/**
 * Verifies one stream; reads pages, holds one fold. Rejects with the signal's reason between pages.
 */
export async function verifyStream<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  stream: StreamName,
  reads: DurableReads,
  signal?: AbortSignal,
): Promise<Verification> {
  let fold = initialFold(aggregate.initial);
  let headHash = GENESIS_HASH;
  for (;;) {
    signal?.throwIfAborted();
    const page = await reads.readTail({ stream, revision: fold.revision });
    for (const stored of page.commits) {
      try {
        fold = foldCommit(aggregate, fold, stored).after;
        headHash = stored.hash;
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        return {
          valid: false,
          firstBadRevision: fold.revision + 1,
          commitCount: fold.revision,
          headHash,
          problem: error.refusal.message,
        };
      }
    }
    if (page.complete) break;
  }
  return { valid: true, firstBadRevision: 0, commitCount: fold.revision, headHash, problem: "" };
}
