import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Machine } from "./platform.ts";
import { obtainPrivateGlibc, privateGlibcIn } from "./private-glibc.ts";

const machine: Machine = {
  debianArchitecture: "amd64",
  libraryFolder: "x86_64-linux-gnu",
  loaderName: "ld-linux-x86-64.so.2",
};

let cacheDirectory: string;

beforeEach(async () => {
  cacheDirectory = await mkdtemp(join(tmpdir(), "keelson-cache-"));
});

afterEach(async () => {
  await rm(cacheDirectory, { recursive: true, force: true });
});

function obtain(onProgress: (line: string) => void = () => undefined) {
  const environment = { PATH: join(cacheDirectory, "empty") };
  const nodePath = process.execPath;
  return obtainPrivateGlibc({ machine, cacheDirectory, environment, nodePath, onProgress });
}

async function fillCache() {
  const glibc = privateGlibcIn(cacheDirectory, machine);
  await mkdir(dirname(glibc.loaderPath), { recursive: true });
  await writeFile(glibc.loaderPath, "");
  return glibc;
}

test("what is in the cache is used without asking anybody", async () => {
  const glibc = await fillCache();
  expect(await obtain()).toEqual(glibc);
});

test("without apt the error names both ways out, and nothing is left behind", async () => {
  const failure = await obtain().catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: "EmbeddedError", reason: "glibc_too_old" });
  expect(String(failure)).toContain("KEELSON_MONGODB_URI");
  expect(String(failure)).toContain("glibc 2.38");
  expect(await readdir(cacheDirectory)).toEqual([]);
});

test("a fill by a living process is waited for", async () => {
  const marker = join(cacheDirectory, "glibc-trixie-amd64.filling");
  await writeFile(marker, `${process.pid}\n`);
  const waiting = Promise.withResolvers<string>();
  const obtained = obtain(waiting.resolve);
  expect(await waiting.promise).toContain("waiting");
  const glibc = await fillCache();
  expect(await obtained).toEqual(glibc);
});

test("a marker of a dead process holds nobody up", async () => {
  const processIdMax = 2 ** 22;
  const marker = join(cacheDirectory, "glibc-trixie-amd64.filling");
  await writeFile(marker, `${processIdMax + 1}\n`);
  await expect(obtain()).rejects.toMatchObject({ reason: "glibc_too_old" });
});
