// What becomes of blobs when the server dies between storing a content, referring to it and saying
// so.
import { hash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { onCluster, type SmallScene } from "./support/small-scene.ts";

const ALONE = { replicas: ["alone"] };

function imageInput(name: string, content: { data: Uint8Array } | { blob: { digest: string } }) {
  const value = { mediaType: "image/png", ...content };
  const blocks = [{ block: { case: "image" as const, value } }];
  const kind = { case: "prompt" as const, value: { text: "look", blocks } };
  return { idempotencyKey: name, kind };
}

/** Ingests until it is answered, as a careful client does. */
async function ingest(
  { client }: SmallScene,
  input: ReturnType<typeof imageInput>,
): Promise<string | undefined> {
  const answer = await client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.ingest({ runtimeId: "desk", input }, limits);
  });
  return answer.outcome.case;
}

async function contentOf({ client }: SmallScene, digest: string): Promise<Buffer> {
  return await client.endpoints.call(async ({ blobs }, limits) => {
    const pieces: Uint8Array[] = [];
    for await (const { message } of blobs.getBlob({ digest }, limits)) {
      if (message.case === "piece") pieces.push(message.value);
    }
    return Buffer.concat(pieces);
  });
}

test("a content stored before the server was killed can be referred to after", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, client, ensure, read } = scene;
    const [server] = cluster.replicas;
    const content = randomBytes(100_000);
    const digest = hash("sha256", content);
    await ensure("desk");
    await client.endpoints.call(({ blobs }, limits) => blobs.putSmallBlob({ content }, limits));
    await server?.kill();
    await server?.start();
    expect(await ingest(scene, imageInput("a", { blob: { digest } }))).toBe("accepted");
    await server?.kill();
    await server?.start();
    const { blob } = await client.endpoints.call(({ blobs }, limits) => {
      return blobs.statBlob({ digest }, limits);
    });
    expect(blob?.expiresAt).toBeUndefined();
    expect((await read("desk")).inputCounts?.accepted).toBe(1n);
    expect((await contentOf(scene, digest)).equals(content)).toBe(true);
  });
});
