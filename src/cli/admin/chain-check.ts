/** Checks the hash chain of commits on this side, so that nobody has to believe the server. */
import { createHash } from "node:crypto";
import type { Commit } from "../../../gen/keelson/admin/v1/messages_pb.ts";

/** A verdict about one commit; empty when it is good. */
export type ChainProblem = "" | "hash differs" | "chain broken" | "revision missing";

/** Checks commits one after the other, in order. */
export interface ChainCheck {
  readonly next: (commit: Commit) => ChainProblem;
}

function hashOf({ previousHash, canonicalJson }: Commit): string {
  return createHash("sha256")
    .update(Buffer.from(previousHash, "hex"))
    .update(canonicalJson, "utf8")
    .digest("hex");
}

/** Makes a check that begins with the first commit it is given. */
export function makeChainCheck(): ChainCheck {
  let before: Commit | undefined;
  return {
    next: (commit) => {
      const last = before;
      before = commit;
      if (hashOf(commit) !== commit.hash) return "hash differs";
      if (last === undefined) return "";
      if (commit.revision !== last.revision + 1n) return "revision missing";
      return commit.previousHash === last.hash ? "" : "chain broken";
    },
  };
}
