/** `keelson doctor`: says what a server would find on this machine, and what to do about it. */
import { styleText } from "node:util";
import { Command, Option } from "commander";
import { EXIT_CODES } from "../server/exit-codes.ts";
import type { HealthCheck } from "../server/health-check.ts";
import { probeReadiness } from "../server/readiness-probe.ts";
import { configOrExit, type ServerFlags } from "./server-options.ts";

const HELP = `
Examples:
  keelson doctor                       look at this machine and its embedded database
  keelson doctor --probe               for health checks: 0 when the local server is ready
  KEELSON_MONGODB_URI=... keelson doctor -o json

Ends with 0 when a server would work, 1 when not, 2 when the configuration is bad.
`;

const MARKS = {
  ok: { text: "ok", colour: "green" },
  warning: { text: "warning", colour: "yellow" },
  failed: { text: "FAILED", colour: "red" },
} as const;

/** What the options say. */
interface DoctorFlags extends ServerFlags {
  readonly probe?: boolean;
  readonly output: "table" | "json";
}

function rowOf(check: HealthCheck, nameWidth: number): string {
  const { text, colour } = MARKS[check.status];
  const mark = text.padEnd(MARKS.warning.text.length);
  const shown = process.stdout.isTTY ? styleText(colour, mark) : mark;
  return `${shown}  ${check.name.padEnd(nameWidth)}  ${check.explanation}`;
}

function print(checks: readonly HealthCheck[], output: DoctorFlags["output"]): void {
  if (output === "json") {
    process.stdout.write(`${JSON.stringify(checks, undefined, 2)}\n`);
    return;
  }
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  process.stdout.write(`${checks.map((check) => rowOf(check, nameWidth)).join("\n")}\n`);
}

/** Makes the command. */
export function makeDoctorCommand(): Command {
  return new Command("doctor")
    .description("say whether a server would work here, and what to do if not")
    .option("--probe", "only ask the server on this machine whether it is ready")
    .option("--port <number>", "port of the server (default 7420)")
    .option("--host <address>", "address of the server (default 127.0.0.1)")
    .option("--data-dir <folder>", "where the embedded MongoDB keeps its files (default .keelson)")
    .addOption(new Option("-o, --output <format>").choices(["table", "json"]).default("table"))
    .addHelpText("after", HELP)
    .action(async (flags: DoctorFlags) => {
      // Looking at an address is no listening on it, so that nobody has to agree to anything.
      const config = configOrExit("dev", { ...flags, insecure: true });
      if (flags.probe) {
        process.exitCode = (await probeReadiness(config)) ? EXIT_CODES.ok : EXIT_CODES.failed;
        return;
      }
      const { checkHealth } = await import("../server/health-check.ts");
      const checks = await checkHealth(config);
      print(checks, flags.output);
      const isFine = checks.every(({ status }) => status !== "failed");
      process.exitCode = isFine ? EXIT_CODES.ok : EXIT_CODES.failed;
    });
}
