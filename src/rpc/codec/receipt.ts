/** Receipts on the wire. */
import { create } from "@bufbuild/protobuf";
import type { RuntimeId } from "../../core/shared/ids.ts";
import type { Receipt } from "../../core/runtime/state.ts";
import {
  type RunBoundaryReceipt,
  RunBoundaryReceiptSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { runBoundaries } from "./enums.ts";
import { timestampToProto } from "./time.ts";

/** Hex digits of a hash. */
export function hashToHex(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("hex");
}

/** A receipt with the hash of the commit that holds it; empty where the hash is not known yet. */
export function receiptToProto(
  runtimeId: RuntimeId,
  receipt: Receipt,
  commitHash: Uint8Array | undefined,
): RunBoundaryReceipt {
  return create(RunBoundaryReceiptSchema, {
    runtimeId,
    runId: receipt.runId,
    boundary: runBoundaries.toProto(receipt.boundary),
    contributingInputIds: [...receipt.contributors],
    conversationDigest: receipt.conversationDigest ?? "",
    messageCount: BigInt(receipt.messageCount),
    sequence: BigInt(receipt.sequence),
    commitHash: commitHash === undefined ? "" : hashToHex(commitHash),
    revision: BigInt(receipt.revision),
    committedAt: timestampToProto(receipt.mintedAt),
  });
}
