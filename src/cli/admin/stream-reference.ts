/** How commands name a stream: the kind, and the name of the thing. */
import { type Command, Option } from "commander";

/** What the option says. */
export interface StreamFlags {
  readonly kind: string;
}

/** Adds the argument and the option that name a stream. */
export function withStream(command: Command): Command {
  return command
    .argument("<id>", "name of the thing, such as a runtime")
    .addOption(new Option("--kind <kind>", "kind of the thing").default("runtime"));
}
