import { describe, expect, it } from "vitest";
import { processEnvironment } from "../../config/process-environment.ts";
import { type CommandEnd, startCommand } from "./command-process.ts";

interface Said {
  readonly end: CommandEnd;
  readonly lines: readonly string[];
  readonly errorLines: readonly string[];
}

/** Runs a shell script; `onLine` may end it. */
async function runScript(
  script: string,
  input = "",
  onLine: (line: string, stop: () => void) => void = () => undefined,
): Promise<Said> {
  const lines: string[] = [];
  const errorLines: string[] = [];
  const command = startCommand({
    command: "sh",
    words: ["-c", script],
    environment: { ...processEnvironment(), WORD: "from outside" },
    input,
    onLine: ({ text }) => {
      lines.push(text);
      onLine(text, () => command.stop(50));
    },
    onErrorLine: ({ text }) => errorLines.push(text),
  });
  return { end: await command.ended, lines, errorLines };
}

describe("a command", () => {
  it("reads its input, says what it has to say, and ends with its code", async () => {
    expect(await runScript('cat; echo "$WORD"; echo no >&2; exit 3', "hello\n")).toEqual({
      end: { type: "exited", exitCode: 3 },
      lines: ["hello", "from outside"],
      errorLines: ["no"],
    });
  });

  it("may leave a large input unread", async () => {
    const { end } = await runScript("exit 0", "x".repeat(10_000_000));
    expect(end).toEqual({ type: "exited", exitCode: 0 });
  });

  it("that is told to end may end in its own way", async () => {
    const script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done";
    const said = await runScript(script, "", (line, stop) => line === "up" && stop());
    expect(said.lines).toEqual(["up", "bye"]);
    expect(said.end).toEqual({ type: "exited", exitCode: 7 });
  });

  it("that does not end is killed", async () => {
    const script = "trap '' TERM; echo up; while :; do sleep 0.01; done";
    const { end } = await runScript(script, "", (line, stop) => line === "up" && stop());
    expect(end).toEqual({ type: "killed", signal: "SIGKILL" });
  });

  it("takes with it what it started and what holds its output open", async () => {
    const { end, lines } = await runScript("sleep 600 & echo $!");
    expect(end).toEqual({ type: "exited", exitCode: 0 });
    expect(lines).toHaveLength(1);
  });

  it("that is not there was not started", async () => {
    const command = startCommand({
      command: "/nowhere/to-be-found",
      words: [],
      environment: {},
      input: "",
      onLine: () => undefined,
      onErrorLine: () => undefined,
    });
    expect(await command.ended).toMatchObject({ type: "not_started" });
  });
});
