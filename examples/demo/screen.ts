// What the demo shows: a line per step, one line of progress that is redrawn on a terminal, and the
// accounts at the end.
import { styleText } from "node:util";
import type { Accounts } from "./audit.ts";

/** How far the demo is. */
export interface Progress {
  /** Lines to be sent, and those that were acknowledged. */
  readonly lines: number;
  readonly sent: number;
  /** Different inputs in the lines, and those that are over. */
  readonly inputs: number;
  readonly done: number;
  readonly waiting: number;
  readonly running: number;
  /** Empty while all is well. */
  readonly trouble: string;
}

/** Writes to the terminal. */
export interface Screen {
  readonly title: (text: string) => void;
  readonly step: (text: string) => void;
  readonly strike: (text: string) => void;
  readonly progress: (progress: Progress) => void;
  /** Ends the line of progress. */
  readonly settle: () => void;
}

type Colour = "green" | "red" | "yellow" | "cyan" | "dim" | "bold";

const BAR_CELLS = 24;
const PLAIN_EVERY_MS = 3_000;
const WIDTH = 72;

/** Coloured on a terminal, plain elsewhere. */
function paint(colour: Colour, text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

function barOf({ done, inputs }: Progress): string {
  const filled = Math.round((Math.min(done, inputs) / Math.max(inputs, 1)) * BAR_CELLS);
  return paint("cyan", "█".repeat(filled)) + paint("dim", "░".repeat(BAR_CELLS - filled));
}

function lineOf(progress: Progress, seconds: number): string {
  const { sent, lines, done, inputs, waiting, running, trouble } = progress;
  const state =
    trouble === "" ? `${waiting} waiting, ${running} running` : paint("yellow", trouble);
  const figures = `${sent}/${lines} sent, ${done}/${inputs} done, ${state}`;
  return `  ${String(seconds).padStart(3)} s ${barOf(progress)} ${figures}`;
}

/** Makes the screen of this process. */
export function makeScreen(): Screen {
  const startedMs = performance.now();
  const isTerminal = process.stdout.isTTY;
  let drawn = false;
  let plainMs = startedMs;

  const erase = (): void => {
    if (isTerminal && drawn) process.stdout.write("\r\u001b[2K");
    drawn = false;
  };
  const write = (text: string): void => {
    erase();
    process.stdout.write(`${text}\n`);
  };
  return {
    title: (text) => write(`\n  ${paint("bold", text)}\n`),
    step: (text) => write(`  ${paint("green", "●")} ${text}`),
    strike: (text) => write(`  ${paint("red", "✖")} ${text}`),
    progress: (progress) => {
      const nowMs = performance.now();
      const line = lineOf(progress, Math.round((nowMs - startedMs) / 1000));
      if (isTerminal) {
        process.stdout.write(`\r\u001b[2K${line}`);
        drawn = true;
      } else if (nowMs - plainMs > PLAIN_EVERY_MS) {
        plainMs = nowMs;
        process.stdout.write(`${line}\n`);
      }
    },
    settle: erase,
  };
}

function row(label: string, value: string, isGood: boolean, note = ""): string {
  const mark = isGood ? paint("green", "✔") : paint("red", "✘");
  return `  ${label.padEnd(34)}${value.padStart(12)}  ${mark}  ${paint("dim", note)}`;
}

function share(part: number, whole: number): string {
  return `${part} of ${whole}`;
}

/** The accounts as a table. */
export function tableOf(
  accounts: Accounts,
  facts: { readonly sent: number; readonly duplicates: number; readonly repetitions: number },
): string {
  const { accepted, consumed, superseded, coalesced, abandoned, live } = accounts;
  const rule = paint("dim", `  ${"─".repeat(WIDTH)}`);
  const sum = consumed + superseded + coalesced + abandoned;
  const terms = [
    [consumed, "consumed"],
    [superseded, "superseded"],
    [coalesced, "coalesced"],
    [abandoned, "abandoned"],
  ] as const;
  const equation = terms.map(([count, name]) => `${count} ${name}`).join(" + ");
  const mark = accepted === sum ? paint("green", "✔") : paint("red", "✘");
  return [
    rule,
    `  ${paint("bold", `${accepted} accepted`)} = ${equation}  ${mark}`,
    paint(
      "dim",
      `  ${facts.sent} lines sent, ${facts.duplicates} answered as known already, ` +
        `${facts.repetitions} calls sent again`,
    ),
    rule,
    row("acknowledged and lost", String(accounts.lost), accounts.lost === 0),
    row("consumed twice", String(accounts.consumedTwice), accounts.consumedTwice === 0),
    row("left over", String(live), live === 0),
    row(
      "receipts loaded",
      share(accounts.receiptsLoaded, accounts.receipts),
      accounts.receiptsLoaded === accounts.receipts,
    ),
    row(
      "hash chains verified",
      share(accounts.chainsVerified, accounts.runtimes),
      accounts.chainsVerified === accounts.runtimes,
      `${accounts.commits} commits`,
    ),
    row(
      "results as computed here",
      share(accounts.resultsRight, accounts.results),
      accounts.resultsRight === accounts.results,
    ),
    rule,
  ].join("\n");
}
