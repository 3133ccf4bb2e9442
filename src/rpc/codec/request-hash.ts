/** Hashes of requests: tell a repetition with the same request id from another call. */
import { createHash } from "node:crypto";
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { canonicalText } from "../../engine/commit-codec.ts";

/** SHA-256 (hex) of a request as canonical JSON; equal for equal requests of any client. */
export function requestHash<Desc extends DescMessage>(
  schema: Desc,
  request: MessageShape<Desc>,
): string {
  const text = canonicalText([schema.typeName, toJson(schema, request)]);
  return createHash("sha256").update(text).digest("hex");
}
