/** What every blob store promises. */
import { hash, randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { BlobKey, BlobStore } from "../../../src/engine/ports.ts";
import type { CaseSetup } from "../case-setup.ts";
import { eventually } from "../waiting.ts";

const LONG_MS = 3_600_000;

function contentOf(text: string): { readonly key: BlobKey; readonly content: Uint8Array } {
  const content = new TextEncoder().encode(text);
  return { key: { namespace: randomUUID(), digest: hash("sha256", content) }, content };
}

/** Everything of a blob, read piece by piece; undefined when it is not there. */
async function textOf(blobs: BlobStore, key: BlobKey): Promise<string | undefined> {
  const opened = await blobs.open(key);
  if (!opened) return undefined;
  const pieces: Uint8Array[] = [];
  for (let index = 0; index < opened.blob.chunkCount; index += 1) {
    const piece = await opened.chunk(index);
    if (piece) pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** Uploads pieces of a content without finishing. */
async function begun(blobs: BlobStore, namespace: string, pieces: readonly string[]) {
  const uploadId = randomUUID();
  await blobs.begin(uploadId, namespace, LONG_MS);
  for (const [index, piece] of pieces.entries()) {
    expect(await blobs.append(uploadId, index, Buffer.from(piece), LONG_MS)).toBe(true);
  }
  return uploadId;
}

/** Collects until a blob is gone; other cases' blobs may be in the way. */
async function untilCollected(blobs: BlobStore, key: BlobKey): Promise<void> {
  await eventually("the blob is collected", async () => {
    await blobs.collect(1_000);
    return (await blobs.stat(key)) === undefined;
  });
}

function storeCases(setup: CaseSetup): void {
  const blobs = (): BlobStore => setup.storage().blobs;

  it("answers what was stored, in one piece", async () => {
    const { key, content } = contentOf("one piece");
    const stored = await blobs().put(key, content, LONG_MS);
    expect(stored).toMatchObject({ ...key, bytes: 9, chunkCount: 1 });
    expect(stored.expiresAt).toBeGreaterThan(stored.storedAt);
    expect(await setup.otherStorage().blobs.stat(key)).toEqual(stored);
    expect(await textOf(blobs(), key)).toBe("one piece");
  });

  it("stores the same content once, also when two servers do it at once", async () => {
    const { key, content } = contentOf("the same");
    const stores = [blobs(), setup.otherStorage().blobs, blobs(), setup.otherStorage().blobs];
    const stored = await Promise.all(stores.map((store) => store.put(key, content, LONG_MS)));
    expect(new Set(stored.map(({ storedAt }) => storedAt)).size).toBe(1);
  });

  it("keeps namespaces apart", async () => {
    const { key, content } = contentOf("mine");
    await blobs().put(key, content, LONG_MS);
    const theirs = { ...key, namespace: randomUUID() };
    expect(await blobs().stat(theirs)).toBeUndefined();
    expect(await blobs().pin([theirs], "pin")).toEqual([theirs]);
  });

  it("puts the pieces of an upload together", async () => {
    const { key } = contentOf("abcdefgh");
    const uploadId = await begun(blobs(), key.namespace, ["abc", "def", "gh"]);
    expect(await blobs().stat(key)).toBeUndefined();
    const upload = { ...key, bytes: 8, chunkCount: 3 };
    const stored = await blobs().finish(uploadId, upload, LONG_MS);
    expect(stored).toMatchObject(upload);
    expect(await textOf(setup.otherStorage().blobs, key)).toBe("abcdefgh");
  });

  it("drops an upload of what is there already, and answers what is there", async () => {
    const { key, content } = contentOf("abcd");
    const first = await blobs().put(key, content, LONG_MS);
    const uploadId = await begun(blobs(), key.namespace, ["ab", "cd"]);
    const second = await blobs().finish(uploadId, { ...key, bytes: 4, chunkCount: 2 }, LONG_MS);
    expect(second).toMatchObject({ storedAt: first.storedAt, chunkCount: 1 });
    expect(await textOf(blobs(), key)).toBe("abcd");
  });

  it("forgets an upload that is abandoned", async () => {
    const { key } = contentOf("ab");
    const uploadId = await begun(blobs(), key.namespace, ["a", "b"]);
    await blobs().abandon(uploadId);
    expect(await blobs().append(uploadId, 2, Buffer.from("c"), LONG_MS)).toBe(false);
    const upload = { ...key, bytes: 2, chunkCount: 2 };
    expect(await blobs().finish(uploadId, upload, LONG_MS)).toBeUndefined();
  });
}

function collectCases(setup: CaseSetup): void {
  const blobs = (): BlobStore => setup.storage().blobs;

  it("collects blobs and uploads whose time is over, and nothing younger", async () => {
    const old = contentOf("old");
    const young = contentOf("young");
    await blobs().put(old.key, old.content, 1);
    await blobs().put(young.key, young.content, LONG_MS);
    const uploadId = randomUUID();
    await blobs().begin(uploadId, old.key.namespace, 1);
    await untilCollected(blobs(), old.key);
    expect(await blobs().stat(young.key)).toBeDefined();
    await eventually("the upload is collected", async () => {
      await blobs().collect(1_000);
      return !(await blobs().append(uploadId, 0, Buffer.from("late"), 1));
    });
  });

  it("keeps what is pinned, and for ever what a commit refers to", async () => {
    const { key, content } = contentOf("pinned");
    const [pinned, kept] = [key, { ...key, namespace: randomUUID() }];
    for (const one of [pinned, kept]) {
      await blobs().put(one, content, 1);
      expect(await setup.otherStorage().blobs.pin([one], "first")).toEqual([]);
    }
    await blobs().keep([kept], "first");
    const bystander = contentOf("bystander");
    await blobs().put(bystander.key, bystander.content, 1);
    await untilCollected(blobs(), bystander.key);
    for (const one of [pinned, kept]) {
      expect((await blobs().stat(one))?.expiresAt).toBeUndefined();
    }
    await blobs().unpin([kept], "first", 1);
    await blobs().pin([kept], "second");
    await blobs().unpin([kept], "second", 1);
    expect((await blobs().stat(kept))?.expiresAt).toBeUndefined();
  });

  it("lets a blob expire when its last pin is taken back, not before", async () => {
    const { key, content } = contentOf("twice pinned");
    await blobs().put(key, content, LONG_MS);
    await blobs().pin([key], "first");
    await blobs().pin([key], "second");
    await blobs().unpin([key], "first", 1);
    await blobs().unpin([key], "first", 1);
    expect((await blobs().stat(key))?.expiresAt).toBeUndefined();
    await blobs().unpin([key], "second", 1);
    expect((await blobs().stat(key))?.expiresAt).toBeDefined();
    await untilCollected(blobs(), key);
  });

  it("settles the race of a pin and the collector in the blob", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { key, content } = contentOf(`raced ${round}`);
      await blobs().put(key, content, -1);
      const [missing] = await Promise.all([
        blobs().pin([key], "pin"),
        setup.otherStorage().blobs.collect(1_000),
      ]);
      const isThere = (await textOf(blobs(), key)) === `raced ${round}`;
      expect(isThere).toBe(missing.length === 0);
    }
  });

  it("can store again what was collected", async () => {
    const { key, content } = contentOf("again");
    await blobs().put(key, content, -1);
    await untilCollected(blobs(), key);
    await blobs().put(key, content, LONG_MS);
    expect(await textOf(blobs(), key)).toBe("again");
  });

  it("renews what is stored again before its time is over", async () => {
    const { key, content } = contentOf("renewed");
    const first = await blobs().put(key, content, 60_000);
    const second = await blobs().put(key, content, LONG_MS);
    expect(second.expiresAt).toBeGreaterThan(first.expiresAt ?? Infinity);
    expect((await blobs().put(key, content, 1)).expiresAt).toBe(second.expiresAt);
  });
}

/** See the header of this file. */
export function blobCases(setup: CaseSetup): void {
  describe("blobs", () => {
    storeCases(setup);
    collectCases(setup);
  });
}
