/**
 * The frame of all lifecycle commands: show what would happen, ask, and do it only if the runtime
 * is still what was shown.
 */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  type Workplace,
} from "../client/client-command.ts";
import { confirm, type ConfirmFlags, withConfirmation } from "../client/confirmation.ts";
import { enumWord, printable } from "../client/format.ts";
import { RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { PLANNED_COLUMNS } from "./event-view.ts";
import type { ActionOutcome, ActionRequest, LifecycleAction } from "./lifecycle-actions.ts";
import { runtimeFacts } from "./runtime-view.ts";

/** Planned events that are shown; the count says how many there are. */
const PLANNED_SHOWN_MAX = 20;

/** What the options say. */
interface LifecycleFlags extends ClientFlags, ConfirmFlags {
  readonly dryRun?: boolean;
  readonly reason?: string;
  readonly expectedRevision?: bigint;
  readonly fence?: boolean;
  readonly abandonIfUnattached?: boolean;
}

function showPlan({ output }: Workplace, action: LifecycleAction, plan: ActionOutcome): void {
  const { runtime, report, plannedEvents } = plan;
  output.note(action.effect);
  output.note("\nThe runtime now:");
  if (runtime !== undefined) output.noteFacts(runtimeFacts(runtime));
  output.note("\nWhat would be done:");
  output.noteFacts(report);
  if (plannedEvents.length === 0) {
    output.note("no events: there is nothing to do\n");
    return;
  }
  output.noteTable(PLANNED_COLUMNS, plannedEvents.slice(0, PLANNED_SHOWN_MAX));
  const more = plannedEvents.length - PLANNED_SHOWN_MAX;
  output.note(more > 0 ? `and ${more} more events\n` : "");
}

/** Does a dry run, shows it and asks; answers what the runtime must still be. */
async function agree(
  workplace: Workplace,
  action: LifecycleAction,
  request: ActionRequest,
): Promise<Pick<ActionRequest, "expectedState" | "expectedEpochId">> {
  const plan = await action.call(workplace.connection, { ...request, validateOnly: true });
  showPlan(workplace, action, plan);
  await confirm(`${action.name} ${printable(request.runtimeId)}?`);
  if (plan.runtime === undefined) return {};
  const { state, epochId } = plan.runtime;
  return { expectedState: state, expectedEpochId: epochId };
}

async function perform(
  workplace: Workplace,
  action: LifecycleAction,
  runtimeId: string,
  flags: LifecycleFlags,
): Promise<void> {
  const { connection, output } = workplace;
  const { expectedRevision } = flags;
  const request: ActionRequest = {
    runtimeId,
    validateOnly: flags.dryRun ?? false,
    reason: flags.reason ?? "",
    requestId: flags.dryRun ? "" : randomUUID(),
    fenceExecutor: flags.fence ?? false,
    abandonIfUnattached: flags.abandonIfUnattached ?? false,
    ...(expectedRevision === undefined ? {} : { expectedRevision }),
  };
  const asks = flags.yes !== true && flags.dryRun !== true;
  const expected = asks ? await agree(workplace, action, request) : {};
  const outcome = await action.call(connection, { ...request, ...expected });
  if (output.isJson) outcome.writeJson(output);
  else if (flags.dryRun) showPlan(workplace, action, outcome);
  else {
    const { runtime, revision, report } = outcome;
    const state = enumWord(RuntimeState, runtime?.state ?? 0);
    output.line(`${action.done} ${printable(runtimeId)}: ${state} at revision ${revision}`);
    output.facts(report);
  }
}

/** Makes the command of one lifecycle action. */
export function makeLifecycleCommand(action: LifecycleAction): Command {
  const { name, description } = action;
  const command = withConfirmation(makeClientCommand(name, description))
    .argument("<runtime>", "name of the runtime")
    .option("--dry-run", "only show what would be done")
    .option("--reason <text>", "why, for the history")
    .option("--expected-revision <number>", "only if it is at this revision", bigCountOption);
  if (action.canFence) command.option("--fence", "take a run in flight away from its executor");
  if (action.canAbandonIfUnattached) {
    command.option("--abandon-if-unattached", "give up what is queued if nobody is attached");
  }
  return command
    .addHelpText(
      "after",
      `
${action.effect}
Shows first what would be done, and asks; what is done then is done only if state and epoch are
still those that were shown (6 otherwise).
${examples(
  [`keelson runtime ${name} agent-1`, "show, ask, do"],
  [`keelson runtime ${name} agent-1 --dry-run`, "only show"],
  [`keelson runtime ${name} agent-1 --yes --reason 'as agreed'`, "at once, for scripts"],
)}`,
    )
    .action(async (runtimeId: string, flags: LifecycleFlags) => {
      await runClient(flags, async (workplace) => {
        await perform(workplace, action, runtimeId, flags);
        return undefined;
      });
    });
}
