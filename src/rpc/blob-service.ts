/** The blob service: content in and out, piece by piece. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type BlobService,
  type GetBlobRequest,
  type GetBlobResponse,
  GetBlobResponseSchema,
  type PutBlobHeader,
  type PutBlobRequest,
  PutBlobResponseSchema,
  PutSmallBlobResponseSchema,
  StatBlobResponseSchema,
} from "../../gen/keelson/blob/v1/service_pb.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { blobNotFound, type Blobs, type StatedContent } from "../engine/blobs.ts";
import { callerOf } from "./caller.ts";
import { blobToProto, checkDigest, checkOptionalDigest } from "./codec/blob.ts";
import { checkCount, finish, makeFieldCheck, violate } from "./codec/field-check.ts";

/** Most bytes of a content, or a piece of one, in one message. */
const PIECE_BYTES_MAX = 4 * 1024 * 1024;

/** What the blob service works with. */
export interface BlobServiceOptions {
  readonly blobs: Pick<Blobs, "put" | "stat" | "open">;
}

function statedOf(header: PutBlobHeader): StatedContent {
  const check = makeFieldCheck();
  const digest = checkOptionalDigest(check, header.digest, "header.digest");
  const bytes =
    header.size === undefined ? undefined : checkCount(check, header.size, "header.size");
  finish(check);
  return {
    ...(digest === undefined ? {} : { digest }),
    ...(bytes === undefined ? {} : { bytes }),
  };
}

function refuseField(field: string, description: string): never {
  const check = makeFieldCheck();
  violate(check, field, description);
  finish(check);
  throw new TypeError("a violation was noted and nothing was thrown");
}

/** The pieces of an upload, after its header. */
async function* piecesOf(requests: AsyncIterator<PutBlobRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
    const { message } = next.value;
    if (message.case !== "piece") {
      refuseField("message", "must be a piece in every message but the first");
    }
    if (message.value.byteLength > PIECE_BYTES_MAX) {
      refuseField("piece", `has ${message.value.byteLength} bytes, at most ${PIECE_BYTES_MAX}`);
    }
    yield message.value;
  }
}

/** Makes the blob service. */
export function makeBlobService({ blobs }: BlobServiceOptions): ServiceImpl<typeof BlobService> {
  async function* getBlob(
    request: GetBlobRequest,
    context: HandlerContext,
  ): AsyncGenerator<GetBlobResponse> {
    const check = makeFieldCheck();
    const { namespace } = callerOf(context);
    const digest = checkDigest(check, request.digest, "digest");
    finish(check);
    const { blob, chunk } = await blobs.open({ namespace, digest });
    const shown = blobToProto(blob);
    yield create(GetBlobResponseSchema, { message: { case: "blob", value: shown } });
    if (blob.bytes === 0) return;
    // The next piece is read while the one before is sent.
    let reading = chunk(0);
    for (let index = 0; index < blob.chunkCount; index += 1) {
      const piece = await reading;
      if (piece === undefined) throw blobNotFound(digest);
      if (index + 1 < blob.chunkCount) {
        reading = chunk(index + 1);
        // It may fail while the piece before is still on its way; it is awaited after that.
        reading.catch(() => undefined);
      }
      yield create(GetBlobResponseSchema, { message: { case: "piece", value: piece } });
    }
  }

  return {
    putBlob: async (requests, context) => {
      const { namespace } = callerOf(context);
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      if (first.done === true || first.value.message.case !== "header") {
        refuseField("message", "must be a header in the first message");
      }
      const stated = statedOf(first.value.message.value);
      const blob = await blobs.put(namespace, piecesOf(iterator), stated);
      return create(PutBlobResponseSchema, { blob: blobToProto(blob) });
    },

    putSmallBlob: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { content } = request;
      const digest = checkOptionalDigest(check, request.digest, "digest");
      finish(check);
      if (content.byteLength > PIECE_BYTES_MAX) {
        const actualBytes = content.byteLength;
        const message = `At most ${PIECE_BYTES_MAX} bytes go into one message; use PutBlob`;
        const metadata = { limitBytes: PIECE_BYTES_MAX, actualBytes };
        throw new RefusedError(refusalOf("BLOB_TOO_LARGE", message, metadata));
      }
      const stated = digest === undefined ? {} : { digest };
      const blob = await blobs.put(namespace, [content], stated);
      return create(PutSmallBlobResponseSchema, { blob: blobToProto(blob) });
    },

    getBlob,

    statBlob: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const digest = checkDigest(check, request.digest, "digest");
      finish(check);
      const blob = await blobs.stat({ namespace, digest });
      return create(StatBlobResponseSchema, { blob: blobToProto(blob) });
    },
  };
}
