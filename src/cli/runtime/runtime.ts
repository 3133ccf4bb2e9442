/** `keelson runtime`: the commands about runtimes, for people and scripts. */
import { Command } from "commander";
import { makeAwaitCommand } from "./await.ts";
import { makeCancelInputsCommand } from "./cancel-inputs.ts";
import { makeDrainCommand } from "./drain.ts";
import { makeEnsureCommand } from "./ensure.ts";
import { makeExplainCommand } from "./explain.ts";
import { makeGetCommand } from "./get.ts";
import { makeIngestCommand } from "./ingest.ts";
import { makeInputsCommand } from "./inputs.ts";
import { makeInterruptCommand } from "./interrupt.ts";
import { makeLifecycleCommand } from "./lifecycle.ts";
import { LIFECYCLE_ACTIONS } from "./lifecycle-actions.ts";
import { makeListCommand } from "./list.ts";
import { makePublishCommand } from "./publish.ts";
import { makeReceiptsCommand } from "./receipts.ts";
import { makeRunCommand } from "./run.ts";
import { makeSetSilentIntentsCommand } from "./set-silent-intents.ts";
import { makeVerifyCommand } from "./verify.ts";
import { makeWatchCommand } from "./watch.ts";

/** Makes the group of commands. */
export function makeRuntimeCommand(): Command {
  const group = new Command("runtime").description(
    "look at runtimes, feed them and move them through their lives",
  );
  const commands = [
    makeListCommand(),
    makeGetCommand(),
    makeExplainCommand(),
    makeEnsureCommand(),
    makeIngestCommand(),
    makeRunCommand(),
    makeAwaitCommand(),
    makeInputsCommand(),
    makeCancelInputsCommand(),
    makeWatchCommand(),
    makePublishCommand(),
    makeSetSilentIntentsCommand(),
    ...LIFECYCLE_ACTIONS.map(makeLifecycleCommand),
    makeInterruptCommand(),
    makeDrainCommand(),
    makeReceiptsCommand(),
    makeVerifyCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
