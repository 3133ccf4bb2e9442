// Runs the commands that the scripts are made of. Owns nothing but the child it starts.
import { spawn } from "node:child_process";

/** What a finished command left behind. */
export interface CommandResult {
  readonly exitCode: number;
  readonly output: string;
  readonly durationMs: number;
}

/** Runs a command to its end and answers both output streams as one text, in order of arrival. */
export function runCommand(command: string, words: readonly string[]): Promise<CommandResult> {
  const startedAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      resolve({
        exitCode: exitCode ?? 1,
        output: Buffer.concat(chunks).toString("utf8"),
        durationMs: performance.now() - startedAtMs,
      });
    });
  });
}

/** Runs a command and throws with its output unless it succeeds. */
export async function runOrThrow(command: string, words: readonly string[]): Promise<string> {
  const result = await runCommand(command, words);
  if (result.exitCode !== 0) {
    throw new Error(`${command} ${words.join(" ")} failed:\n${result.output}`);
  }
  return result.output;
}
