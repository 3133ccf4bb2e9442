// `npm run generate`: writes everything that is made from something else, the TypeScript of the
// contract (gen/) and the documents in docs/generated/. With --check nothing is written: the files
// are made elsewhere and compared, and the difference is the failure.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { configDocument } from "../src/config/config-document.ts";
import { runOrThrow } from "./processes.ts";
import { filesBelow } from "./source-files.ts";
import { stateMachines } from "./state-machines.ts";

/** A document made from the sources: where it goes and its text. */
interface GeneratedDocument {
  readonly path: string;
  readonly text: string;
}

const GENERATED_FOLDERS = ["gen", "docs/generated"] as const;

/** Every generated document of docs/generated/. */
function documents(): readonly GeneratedDocument[] {
  return [
    { path: "docs/generated/configuration.md", text: configDocument() },
    { path: "docs/generated/state-machines.md", text: stateMachines() },
  ];
}

/** Writes all generated files below a root folder, which may be the repository itself. */
async function generateInto(root: string): Promise<void> {
  await runOrThrow("buf", ["generate", "--output", root]);
  for (const document of documents()) {
    const path = join(root, document.path);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, document.text);
  }
}

/** Lists the files that differ between what is committed and what would be generated now. */
async function differences(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of GENERATED_FOLDERS) {
    const committed = filesBelow(folder);
    const fresh = filesBelow(join(root, folder)).map((path) => path.slice(root.length + 1));
    for (const path of committed.filter((name) => !fresh.includes(name))) {
      found.push(`${path} is generated from nothing any more`);
    }
    for (const path of fresh) {
      const isSame =
        committed.includes(path) &&
        (await readFile(path, "utf8")) === (await readFile(join(root, path), "utf8"));
      if (!isSame) found.push(`${path} is not up to date`);
    }
  }
  return found;
}

if (process.argv.includes("--check")) {
  const root = await mkdtemp(join(tmpdir(), "keelson-generated-"));
  try {
    await generateInto(root);
    const found = await differences(root);
    for (const line of found) console.error(line);
    if (found.length > 0) console.error("run `npm run generate` and commit the result");
    process.exitCode = found.length === 0 ? 0 : 1;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
} else {
  await generateInto(".");
}
