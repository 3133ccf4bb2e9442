/** Asks before something is changed that cannot be taken back. */
import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { CommandError, usageError } from "./client-command.ts";

/** What the option says. */
export interface ConfirmFlags {
  readonly yes?: boolean;
}

/** Adds the option that answers the question beforehand. */
export function withConfirmation(command: Command): Command {
  return command.option("-y, --yes", "do it without asking");
}

/** Asks on the terminal; ends the command when the answer is not yes, or nobody can answer. */
export async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw usageError("There is nobody to ask; agree beforehand with --yes.");
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  // The end of the input, or Ctrl-C, is no agreement.
  const closed = once(asking, "close").then(() => "");
  const answered = asking.question(`${question} [y/N] `).catch(() => "");
  const answer = await Promise.race([answered, closed]);
  asking.close();
  if (!/^\s*y(es)?\s*$/i.test(answer)) throw new CommandError("nothing was changed");
}
