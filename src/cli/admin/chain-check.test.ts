import { create } from "@bufbuild/protobuf";
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { type Commit, CommitSchema } from "../../../gen/keelson/admin/v1/messages_pb.ts";
import { makeChainCheck } from "./chain-check.ts";

const ZEROS = "0".repeat(64);

/** SHA-256 over the 32 bytes of the hash before and the text, as the contract says. */
function commitOf(revision: bigint, previousHash: string, canonicalJson: string): Commit {
  const bytes = Buffer.concat([Buffer.from(previousHash, "hex"), Buffer.from(canonicalJson)]);
  const hash = createHash("sha256").update(bytes).digest("hex");
  return create(CommitSchema, { revision, previousHash, canonicalJson, hash });
}

const FIRST = commitOf(1n, ZEROS, '{"n":1}');
const SECOND = commitOf(2n, FIRST.hash, '{"n":2}');

it("finds nothing wrong with a chain, from its beginning or from the middle", () => {
  const check = makeChainCheck();
  expect([check.next(FIRST), check.next(SECOND)]).toEqual(["", ""]);
  expect(makeChainCheck().next(SECOND)).toBe("");
});

it("finds a changed byte", () => {
  const changed = { ...SECOND, canonicalJson: '{"n":3}' };
  expect(makeChainCheck().next(changed)).toBe("hash differs");
});

it("finds a commit that follows on another one", () => {
  const check = makeChainCheck();
  check.next(FIRST);
  expect(check.next(commitOf(2n, ZEROS, '{"n":2}'))).toBe("chain broken");
});

it("finds a missing revision", () => {
  const check = makeChainCheck();
  check.next(FIRST);
  expect(check.next(commitOf(3n, FIRST.hash, '{"n":3}'))).toBe("revision missing");
});
