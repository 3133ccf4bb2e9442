// Knows which files of the repository people wrote. Works without git, so that an unpacked archive
// can be checked like a checkout.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const NOT_OURS = new Set([
  ".git",
  ".keelson",
  ".venv",
  "__pycache__",
  "coverage",
  "dist",
  "node_modules",
  "results",
  "test-results",
]);

/** All files below a folder as sorted relative paths, without what is installed or produced. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue;
    const path = folder === "." ? entry.name : join(folder, entry.name);
    if (entry.isDirectory()) found.push(...filesBelow(path));
    if (entry.isFile()) found.push(path);
  }
  return found.toSorted();
}

/** Folders that hold TypeScript of this project. */
export const TYPESCRIPT_FOLDERS = ["src", "gen", "test", "bench", "examples", "scripts"] as const;

/** Every TypeScript file of the project, generated ones included. */
export function typescriptFiles(): string[] {
  return TYPESCRIPT_FOLDERS.flatMap(filesBelow).filter((path) => path.endsWith(".ts"));
}
