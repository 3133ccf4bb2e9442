// The commands about blobs, against a real server.
import { hash, randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CliServer, runCli, startCliServer } from "./support/cli.ts";

let server: CliServer;
let folder = "";

beforeAll(async () => {
  server = await startCliServer();
  folder = mkdtempSync(join(tmpdir(), "keelson-cli-"));
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server.stop();
});

function inFreshNamespace() {
  const namespace = `cli-${randomUUID()}`;
  const run = (...words: string[]) =>
    runCli([...words, "--namespace", namespace], { address: server.address });
  return { run };
}

describe("keelson blob", () => {
  it("stores a file, describes it and gives it back", async () => {
    const { run } = inFreshNamespace();
    const content = randomBytes(2_500_000);
    const digest = hash("sha256", content);
    const [source, target] = [join(folder, "source"), join(folder, "target")];
    writeFileSync(source, content);
    const put = await run("blob", "put", source, "--digest", digest);
    expect(put).toMatchObject({ exitCode: 0, stdout: `${digest}\n` });
    const stat = await run("blob", "stat", digest);
    expect(stat.stdout).toContain("2500000 bytes");
    expect((await run("blob", "get", digest, "--file", target)).exitCode).toBe(0);
    expect(readFileSync(target).equals(content)).toBe(true);
  });

  it("says what is not there, and leaves no file behind", async () => {
    const { run } = inFreshNamespace();
    const digest = hash("sha256", "nobody stored this");
    const target = join(folder, "absent");
    const got = await run("blob", "get", digest, "--file", target);
    expect(got.exitCode).toBe(4);
    expect(got.stderr).toContain("BLOB_NOT_FOUND");
    expect(readdirSync(folder).filter((name) => name.startsWith("absent"))).toEqual([]);
  });

  it("refuses a content without the digest that was named", async () => {
    const { run } = inFreshNamespace();
    const source = join(folder, "other");
    writeFileSync(source, "content");
    const put = await run("blob", "put", source, "--digest", hash("sha256", "something else"));
    expect(put.exitCode).toBe(2);
    expect(put.stderr).toContain("BLOB_DIGEST_MISMATCH");
  });
});
