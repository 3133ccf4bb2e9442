// Compares the contract with the one of the last release tag, where there is one: a published
// field, name or number never changes its meaning.
import { runCommand, runOrThrow } from "./processes.ts";

const tag = await runCommand("git", ["describe", "--tags", "--abbrev=0", "--match", "v*"]);
if (tag.exitCode === 0) {
  const against = `.git#tag=${tag.output.trim()}`;
  console.log(await runOrThrow("buf", ["breaking", "--against", against]));
} else {
  console.log("no release tag: nothing to compare with");
}
