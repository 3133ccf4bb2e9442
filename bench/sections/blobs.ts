/**
 * (i) Blobs: storing small ones by one message each and large ones in pieces, every one journaled
 * and none twice, and reading the large ones back.
 */
import { hash, randomBytes } from "node:crypto";
import type { BenchEnvironment } from "../support/environment.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SMALL_BYTES = 100 * KIB;
const LARGE_BYTES = 16 * MIB;
const SMALL_AT_ONCE = 8;
const LARGE_AT_ONCE = 2;

/** Does each piece of work once, so many at a time; answers the milliseconds that it took. */
async function timed<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<unknown>,
): Promise<number> {
  const queue = [...items];
  const startedMs = performance.now();
  const take = async (): Promise<void> => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, take));
  return performance.now() - startedMs;
}

async function* uploadOf(content: Uint8Array) {
  yield { message: { case: "header" as const, value: {} } };
  for (let at = 0; at < content.byteLength; at += MIB) {
    const value = content.subarray(at, at + MIB);
    yield { message: { case: "piece" as const, value } };
  }
}

async function download({ blob }: BenchServer, digest: string): Promise<void> {
  let bytes = 0;
  for await (const { message } of blob.getBlob({ digest })) {
    if (message.case === "piece") bytes += message.value.byteLength;
  }
  if (bytes !== LARGE_BYTES) throw new Error(`a blob came back with ${bytes} bytes`);
}

/** Runs the section. */
export async function benchBlobs({ report, scale, unique, dataDirectory }: BenchEnvironment) {
  const section = "i";
  const server = await startBenchServer("journal", `blobs-${unique}`, dataDirectory);
  const contents = (size: number): readonly Uint8Array[] =>
    Array.from({ length: Math.max(2, Math.floor(scale.blobBytes / size)) }, () =>
      randomBytes(size),
    );
  const rate = (count: number, size: number, elapsedMs: number): number =>
    (count * size) / MIB / (elapsedMs / 1000);
  await server.blob.putSmallBlob({ content: randomBytes(SMALL_BYTES) });

  const small = contents(SMALL_BYTES);
  const smallMs = await timed(small, SMALL_AT_ONCE, (content) =>
    server.blob.putSmallBlob({ content }),
  );
  const smallRate = (small.length / smallMs) * 1000;
  report.add({ section, name: "PutSmallBlob of 100 KiB, 8 at once", value: smallRate, unit: "/s" });

  const large = contents(LARGE_BYTES);
  const putMs = await timed(large, LARGE_AT_ONCE, (content) =>
    server.blob.putBlob(uploadOf(content)),
  );
  const putRate = rate(large.length, LARGE_BYTES, putMs);
  report.add({ section, name: "PutBlob of 16 MiB, 2 at once", value: putRate, unit: "MiB/s" });

  const digests = large.map((content) => hash("sha256", content));
  const getMs = await timed(digests, LARGE_AT_ONCE, (digest) => download(server, digest));
  const getRate = rate(large.length, LARGE_BYTES, getMs);
  report.add({ section, name: "GetBlob of 16 MiB, 2 at once", value: getRate, unit: "MiB/s" });
  await server.stop();
}
