// Commands whose reader goes away, as `head` does, before they have said everything.
import { expect, it } from "vitest";
import { startCli } from "./support/cli.ts";

it.each([
  [["--help"]],
  [["runtime", "ingest", "--help"]],
  [["--version"]],
  [["serve", "--in-memory", "--print-config"]],
])("a reader that is gone ends keelson %j without a word of complaint", async (words) => {
  const command = startCli(words);
  command.child.stdout?.destroy();
  expect([await command.ended, command.stderr()]).toEqual([0, ""]);
});

it("a wrong command line ends with its code, also where nobody reads why", async () => {
  const command = startCli(["runtime", "no-such-command"]);
  command.child.stderr?.destroy();
  expect(await command.ended).toBe(2);
});
