// Blobs over the wire: content in and out, and what inputs and boundaries make of them.
import { hash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ContentBlock } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { claimOf, identityOf, takeRun, wholeBoundary } from "./support/runs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const KIB = 1024;
const MIB = 1024 * KIB;
const runtimeId = "agent";

function digestOf(content: Uint8Array): string {
  return hash("sha256", content);
}

/** Uploads a content in pieces of a size that fits nothing else. */
async function put({ blobs }: CaseClients, content: Uint8Array, digest = "") {
  async function* messages() {
    yield { message: { case: "header" as const, value: { digest } } };
    for (let at = 0; at < content.byteLength; at += 300_001) {
      const value = content.slice(at, at + 300_001);
      yield { message: { case: "piece" as const, value } };
    }
  }
  return (await blobs.putBlob(messages())).blob;
}

async function get({ blobs }: CaseClients, digest: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const { message } of blobs.getBlob({ digest })) {
    if (message.case === "piece") pieces.push(message.value);
  }
  return Buffer.concat(pieces);
}

function image(data: Uint8Array) {
  const value = { mediaType: "image/png", data };
  return { block: { case: "image" as const, value } };
}

function reference(digest: string) {
  const value = { mediaType: "image/png", blob: { digest } };
  return { block: { case: "image" as const, value } };
}

/** What a block of a stored input says of its content: its digest, or how long it is. */
function contentOf(block: ContentBlock | undefined): string | number | undefined {
  if (block?.block.case !== "image") return undefined;
  const { blob, data } = block.block.value;
  return blob?.digest ?? data.byteLength;
}

async function blocksOf({ runtimes }: CaseClients, inputId: string) {
  const target = { case: "inputId" as const, value: inputId };
  const { input } = await runtimes.getInput({
    runtimeId,
    target,
    includePayload: true,
  });
  const kind = input?.input?.kind;
  return kind?.case === "prompt" ? kind.value.blocks : [];
}

describe("a content", () => {
  it.each([0, 1, MIB, MIB + 1, 5 * MIB])("of %d bytes comes back as it went in", async (size) => {
    const clients = clientsOf(deployment.url);
    const content = randomBytes(size);
    const blob = await put(clients, content);
    expect(blob).toMatchObject({ digest: digestOf(content), size: BigInt(size) });
    expect((await get(clients, digestOf(content))).equals(content)).toBe(true);
    const stat = await clients.blobs.statBlob({ digest: digestOf(content) });
    expect(stat.blob).toEqual(blob);
  });

  it("goes in by one message, too, also over HTTP/1.1", async () => {
    const clients = clientsOf(deployment.url, "connect");
    const content = randomBytes(1000);
    const digest = digestOf(content);
    const { blob } = await clients.blobs.putSmallBlob({ content, digest });
    expect(blob).toMatchObject({ digest, size: 1000n });
    expect((await get(clients, digest)).equals(content)).toBe(true);
  });

  it("is stored once, and told by its first time", async () => {
    const clients = clientsOf(deployment.url);
    const content = randomBytes(2 * MIB);
    const [first, second] = await Promise.all([put(clients, content), put(clients, content)]);
    expect(second?.storedAt).toEqual(first?.storedAt);
  });

  it("is not there in another namespace", async () => {
    const content = randomBytes(10);
    await put(clientsOf(deployment.url), content);
    const { blobs } = clientsOf(deployment.url);
    const error = await wireErrorOf(blobs.statBlob({ digest: digestOf(content) }));
    expect(error.reason).toBe("BLOB_NOT_FOUND");
  });

  it("is refused when it is not what was stated, and nothing is stored", async () => {
    const clients = clientsOf(deployment.url);
    const content = randomBytes(3 * MIB);
    const other = digestOf(randomBytes(1));
    expect((await wireErrorOf(put(clients, content, other))).reason).toBe("BLOB_DIGEST_MISMATCH");
    const small = clients.blobs.putSmallBlob({ content: content.subarray(0, 9), digest: other });
    expect((await wireErrorOf(small)).reason).toBe("BLOB_DIGEST_MISMATCH");
    for (const digest of [digestOf(content), other]) {
      const error = await wireErrorOf(clients.blobs.statBlob({ digest }));
      expect(error.reason).toBe("BLOB_NOT_FOUND");
    }
  });

  it("is refused above the limit, as soon as that is known", async () => {
    const { blobs } = clientsOf(deployment.url);
    async function* stated() {
      const value = { digest: "", size: BigInt(64 * MIB + 1) };
      yield { message: { case: "header" as const, value } };
    }
    expect((await wireErrorOf(blobs.putBlob(stated()))).reason).toBe("BLOB_TOO_LARGE");
    const content = new Uint8Array(4 * MIB + 1);
    expect((await wireErrorOf(blobs.putSmallBlob({ content }))).reason).toBe("BLOB_TOO_LARGE");
  });

  it("is refused without a header, and a digest must be one", async () => {
    const { blobs } = clientsOf(deployment.url);
    async function* headless() {
      yield { message: { case: "piece" as const, value: new Uint8Array(1) } };
    }
    expect((await wireErrorOf(blobs.putBlob(headless()))).reason).toBe("INVALID_FIELD");
    expect((await wireErrorOf(blobs.statBlob({ digest: "ABC" }))).reason).toBe("INVALID_FIELD");
  });
});

describe("an input with binary content", () => {
  it("durable_runtime_input_externalizes_inline_images_before_ack", async () => {
    const clients = clientsOf(deployment.url);
    const [large, small] = [randomBytes(64 * KIB + 1), randomBytes(64 * KIB)];
    const input = prompt("look", { inputId: "a" }, [image(large), image(small)]);
    const answer = await clients.runtimes.ingest({ runtimeId, ensure: true, input });
    expect(answer).toMatchObject({ outcome: { case: "accepted" }, durable: true });
    const digest = digestOf(large);
    const { blob } = await clients.blobs.statBlob({ digest });
    expect(blob?.size).toBe(BigInt(large.byteLength));
    const blocks = await blocksOf(clients, "a");
    expect(blocks.map(contentOf)).toEqual([digest, 64 * KIB]);
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    const content = run.primitive?.appends[0]?.content?.content;
    const seen = content?.case === "blocks" ? content.value.blocks.map(contentOf) : [];
    expect(seen.slice(-2)).toEqual([digest, 64 * KIB]);
    expect((await get(clients, digest)).equals(large)).toBe(true);
  });

  it("may be larger than an input may be, because its content lies beside it", async () => {
    const clients = clientsOf(deployment.url);
    const input = prompt("look", {}, [image(randomBytes(3 * MIB))]);
    const answer = await clients.runtimes.ingest({ runtimeId, ensure: true, input });
    expect(answer.outcome.case).toBe("accepted");
  });

  it("is the same input with its content inline and by reference", async () => {
    const clients = clientsOf(deployment.url);
    const data = randomBytes(100 * KIB);
    const traits = { idempotencyKey: "k" };
    const inline = { runtimeId, ensure: true, input: prompt("look", traits, [image(data)]) };
    await clients.runtimes.ingest(inline);
    const input = prompt("look", traits, [reference(digestOf(data))]);
    const again = await clients.runtimes.ingest({ runtimeId, input });
    expect(again.outcome).toMatchObject({ case: "deduplicated", value: { sameContent: true } });
  });

  it("keeps its blob for ever, and one that was only stored may expire", async () => {
    const clients = clientsOf(deployment.url);
    const [used, unused] = [randomBytes(70 * KIB), randomBytes(70 * KIB)];
    await put(clients, used);
    await put(clients, unused);
    const input = prompt("look", {}, [reference(digestOf(used))]);
    await clients.runtimes.ingest({ runtimeId, ensure: true, input });
    const expiryOf = async (content: Uint8Array) =>
      (await clients.blobs.statBlob({ digest: digestOf(content) })).blob?.expiresAt;
    await expect.poll(() => expiryOf(used)).toBeUndefined();
    expect(await expiryOf(unused)).toBeDefined();
  });

  it("is refused when its blob is not there, and nothing is admitted", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const data = randomBytes(80 * KIB);
    const traits = { inputId: "a", idempotencyKey: "k" };
    const input = prompt("look", traits, [reference(digestOf(data))]);
    await runtimes.ensureRuntime({ runtimeId });
    const error = await wireErrorOf(runtimes.ingest({ runtimeId, input }));
    expect(error.reason).toBe("BLOB_NOT_FOUND");
    expect((await runtimes.listInputs({ runtimeId })).inputs).toEqual([]);
    await put(clients, data);
    expect((await runtimes.ingest({ runtimeId, input })).outcome.case).toBe("accepted");
  });

  it("is refused with both or none of content and reference", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const data = new Uint8Array(3);
    const value = { mediaType: "image/png", data, blob: { digest: digestOf(data) } };
    const both = { block: { case: "image" as const, value } };
    for (const block of [both, image(new Uint8Array())]) {
      const input = prompt("look", {}, [block]);
      const error = await wireErrorOf(runtimes.ingest({ runtimeId, ensure: true, input }));
      expect(error.reason).toBe("INVALID_FIELD");
    }
  });

  it("a duplicate is told so, whatever became of its blob", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const header = { idempotencyKey: "k" };
    const first = await runtimes.ingest({ runtimeId, ensure: true, input: prompt("one", header) });
    const absent = prompt("two", header, [reference(digestOf(randomBytes(1)))]);
    const { outcome } = await runtimes.ingest({ runtimeId, input: absent });
    expect(outcome).toMatchObject({ case: "deduplicated", value: { sameContent: false } });
    const existingId = outcome.case === "deduplicated" ? outcome.value.existingId : "";
    const accepted = first.outcome.case === "accepted" ? first.outcome.value.inputId : undefined;
    expect(existingId).toBe(accepted);
  });

  it("an input that is not taken in stores no blob, and needs none", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    await runtimes.retire({ runtimeId });
    const data = randomBytes(90 * KIB);
    for (const block of [image(data), reference(digestOf(data))]) {
      const { outcome } = await runtimes.ingest({ runtimeId, input: prompt("look", {}, [block]) });
      expect(outcome).toMatchObject({ case: "rejected", value: { reason: { case: "notReady" } } });
      const identity = identityOf("executor");
      const taking = { runtimeId, ...identity, input: prompt("look", {}, [block]) };
      expect((await wireErrorOf(runtimes.ingestAndRun(taking))).reason).toBe("INPUT_REJECTED");
    }
    const error = await wireErrorOf(clients.blobs.statBlob({ digest: digestOf(data) }));
    expect(error.reason).toBe("BLOB_NOT_FOUND");
  });

  it("keeps its place in a batch and in a stream", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const input = (inputId: string, isLarge: boolean) =>
      prompt("look", { inputId }, isLarge ? [image(randomBytes(200 * KIB))] : []);
    const names = ["a", "b", "c", "d", "e", "f"];
    const items = names.map((name, index) => {
      return { runtimeId, ensure: true, input: input(name, index % 2 === 0) };
    });
    await runtimes.ingestBatch({ items: items.slice(0, 3) });
    async function* requests() {
      yield* items.slice(3);
    }
    for await (const { outcome } of runtimes.ingestStream(requests())) {
      expect(outcome.case).toBe("accepted");
    }
    const { inputs } = await runtimes.listInputs({ runtimeId });
    expect(inputs.map(({ inputId }) => inputId)).toEqual(names);
  });
});

describe("a session snapshot", () => {
  it("is kept, shown and handed to the next run", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const identity = identityOf("executor");
    const snapshot = await put(clients, randomBytes(100));
    const digest = snapshot?.digest ?? "";
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("one") });
    await runtimes.ingest({ runtimeId, input: prompt("two") });
    const run = await takeRun(clients, identity, runtimeId);
    expect(run.sessionSnapshot).toBeUndefined();
    const boundary = { ...wholeBoundary(run), sessionSnapshot: { digest } };
    const claim = claimOf(run);
    await executors.commitBoundary({ ...claim, ...boundary });
    // A lost answer: the same call again.
    await executors.commitBoundary({ ...claim, ...boundary });
    const { next } = await executors.completeRun({ ...claim, takeNext: true });
    const expected = { blob: { digest }, runId: run.runId, receiptSequence: 0n };
    expect(next?.sessionSnapshot).toMatchObject(expected);
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime?.sessionSnapshot).toMatchObject(expected);
    await expect
      .poll(async () => (await clients.blobs.statBlob({ digest })).blob?.expiresAt)
      .toBeUndefined();
  });

  it("may come with the final boundary, and the later one counts", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const identity = identityOf("executor");
    for (const text of ["one", "two", "three"]) {
      await runtimes.ingest({ runtimeId, ensure: true, input: prompt(text) });
    }
    const digests: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const blob = await put(clients, randomBytes(100));
      digests.push(blob?.digest ?? "");
      const run = await takeRun(clients, identity, runtimeId);
      const sessionSnapshot = { digest: digests[round] ?? "" };
      const finalBoundary = { ...wholeBoundary(run), sessionSnapshot };
      await executors.completeRun({ ...claimOf(run), finalBoundary });
    }
    const last = await takeRun(clients, identity, runtimeId);
    expect(last.sessionSnapshot?.blob?.digest).toBe(digests[1]);
  });

  it("is refused when its blob is not there, and the boundary is not committed", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("one") });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    const sessionSnapshot = { digest: digestOf(randomBytes(1)) };
    const boundary = { ...wholeBoundary(run), sessionSnapshot };
    const error = await wireErrorOf(executors.commitBoundary({ ...claimOf(run), ...boundary }));
    expect(error.reason).toBe("BLOB_NOT_FOUND");
    const { receipts } = await runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toEqual([]);
  });
});
