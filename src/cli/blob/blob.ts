/** `keelson blob`: stores, fetches and describes binary content. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Command } from "commander";
import type { Blob } from "../../../gen/keelson/blob/v1/messages_pb.ts";
import {
  type GetBlobResponse,
  type PutBlobRequestSchema,
  PutBlobResponseSchema,
  StatBlobResponseSchema,
} from "../../../gen/keelson/blob/v1/service_pb.ts";
import {
  type ClientFlags,
  CommandError,
  type ConnectionFlags,
  examples,
  makeClientCommand,
  makeConnectionCommand,
  runClient,
} from "../client/client-command.ts";
import { formatTimeAndAge } from "../client/format.ts";

const PIECE_BYTES = 1024 * 1024;

/** What the options of `put` say. */
interface PutFlags extends ClientFlags {
  readonly digest?: string;
}

function factsOf(blob: Blob): readonly (readonly [string, string])[] {
  const { digest, size, storedAt, expiresAt } = blob;
  const kept = expiresAt === undefined ? "for ever" : `until ${formatTimeAndAge(expiresAt)}`;
  return [
    ["digest", digest],
    ["size", `${size} bytes`],
    ["stored", formatTimeAndAge(storedAt)],
    ["kept", kept],
  ];
}

/** The messages of an upload of a file, or of stdin. */
async function* upload(
  file: string,
  digest: string,
): AsyncGenerator<MessageInitShape<typeof PutBlobRequestSchema>> {
  yield { message: { case: "header", value: { digest } } };
  const source: AsyncIterable<Buffer<ArrayBuffer>> =
    file === "-" ? process.stdin : createReadStream(file, { highWaterMark: PIECE_BYTES });
  for await (const piece of source) {
    yield { message: { case: "piece", value: new Uint8Array(piece) } };
  }
}

function makePutCommand(): Command {
  return makeClientCommand("put", "store a file and print its digest")
    .argument("<file>", "the file; - for stdin")
    .option("--digest <sha256>", "refuse the content unless it has this digest")
    .addHelpText(
      "after",
      examples(
        ["keelson blob put picture.png", "prints the digest alone"],
        ["tar c . | keelson blob put - -o json", "from stdin, with all that is known of it"],
      ),
    )
    .action(async (file: string, flags: PutFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const request = upload(file, flags.digest ?? "");
        const response = await connection.blobs.putBlob(request, { timeoutMs: flags.timeout ?? 0 });
        if (output.isJson) output.json(PutBlobResponseSchema, response);
        else output.line(response.blob?.digest ?? "");
        return undefined;
      });
    });
}

/** What the options of `get` say. */
interface GetFlags extends ConnectionFlags {
  readonly file?: string;
}

async function* contentOf(responses: AsyncIterable<GetBlobResponse>): AsyncGenerator<Uint8Array> {
  let missing = 0n;
  for await (const { message } of responses) {
    if (message.case === "blob") missing = message.value.size;
    if (message.case !== "piece") continue;
    missing -= BigInt(message.value.byteLength);
    yield message.value;
  }
  if (missing !== 0n) throw new CommandError(`the content is not whole: ${missing} bytes missing`);
}

/** Writes beside the file first, so that nobody finds half of it there. */
async function writeFile(file: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = `${file}.part-${process.pid}`;
  try {
    await pipeline(Readable.from(content), createWriteStream(partial, { flags: "wx" }));
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function makeGetCommand(): Command {
  return makeConnectionCommand("get", "fetch a content")
    .argument("<digest>", "its SHA-256")
    .option("--file <path>", "write it there instead of to stdout")
    .addHelpText(
      "after",
      examples(
        ["keelson blob get 9f86d0... --file picture.png", "into a file, whole or not at all"],
        ["keelson blob get 9f86d0... | tar x", "to stdout"],
      ),
    )
    .action(async (digest: string, flags: GetFlags) => {
      await runClient({ ...flags, output: "table" }, async ({ connection, output }) => {
        const responses = connection.blobs.getBlob({ digest }, { timeoutMs: flags.timeout ?? 0 });
        const content = contentOf(responses);
        if (flags.file === undefined) {
          await pipeline(Readable.from(content), process.stdout, { end: false });
        } else {
          await writeFile(flags.file, content);
          output.note(`written to ${flags.file}`);
        }
        return undefined;
      });
    });
}

function makeStatCommand(): Command {
  return makeClientCommand("stat", "say what is known of a content")
    .argument("<digest>", "its SHA-256")
    .addHelpText("after", examples(["keelson blob stat 9f86d0...", "size, age and how long kept"]))
    .action(async (digest: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.blobs.statBlob({ digest });
        if (output.isJson) output.json(StatBlobResponseSchema, response);
        else if (response.blob !== undefined) output.facts(factsOf(response.blob));
        return undefined;
      });
    });
}

/** Makes the group of commands. */
export function makeBlobCommand(): Command {
  const group = new Command("blob").description("store, fetch and describe binary content");
  for (const command of [makePutCommand(), makeGetCommand(), makeStatCommand()]) {
    group.addCommand(command);
  }
  return group;
}
