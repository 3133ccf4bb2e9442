// Draws the machines of the core from their own tables, so that the pictures cannot be wrong.
import { GRANTS_COMMANDS, HOLD_STEPS, TRANSFER_STEPS } from "../src/core/grants/table.ts";
import { DESIRED_DRAIN_MODES, DRAIN_STEPS } from "../src/core/runtime/drain-table.ts";
import { PROCESS_LEASE_STEPS } from "../src/core/process/lease-table.ts";
import { PROCESS_ACTIONS, type ProcessCell } from "../src/core/process/table.ts";
import {
  INPUT_LIFECYCLE,
  type InputLifecycleStep,
  isTerminal,
} from "../src/core/runtime/input-lifecycle.ts";
import {
  hasEnded,
  OPERATION_STEPS,
  type OperationStepState,
} from "../src/core/runtime/operation-table.ts";
import { LEASE_STEPS } from "../src/core/runtime/lease-table.ts";
import { RUN_STEPS } from "../src/core/runtime/run-table.ts";
import type { Step } from "../src/core/shared/step.ts";
import { type ActionCell, RUNTIME_ACTIONS, type Situation } from "../src/core/runtime/table.ts";

const SITUATIONS = Object.keys(RUNTIME_ACTIONS.retire);

/** Where a cell of the table of actions leads; `open` stands for two states. */
function targetsOf(cell: ActionCell): readonly string[] {
  if (cell.to === "same") return [];
  return cell.to === "open" ? ["idle", "attached"] : [cell.to];
}

/** A cell as text: the verdict, and the situation it leads to where that is another one. */
function cellText(cell: { readonly verdict: string; readonly to: string }): string {
  const { verdict, to } = cell;
  return to === "same" ? `\`${verdict}\`` : `\`${verdict}\` → ${to}`;
}

/** Arrows of a diagram: those between the same two states are drawn as one. */
function arrows(edges: readonly (readonly [from: string, to: string, label: string])[]): string[] {
  const labels = new Map<string, string[]>();
  for (const [from, to, label] of edges) {
    if (from === to) continue;
    const arrow = `  ${from} --> ${to}`;
    labels.set(arrow, [...(labels.get(arrow) ?? []), label]);
  }
  return [...labels].map(([arrow, names]) => `${arrow}: ${names.join(", ")}`);
}

function diagram(lines: readonly string[]): string {
  return ["```mermaid", "stateDiagram-v2", ...lines, "```"].join("\n");
}

function runtimeDiagram(): string {
  const edges = Object.entries(RUNTIME_ACTIONS).flatMap(([action, row]) =>
    Object.entries<ActionCell>(row).flatMap(([situation, cell]) =>
      targetsOf(cell).map((target) => [situation, target, action] as const),
    ),
  );
  return diagram(["  [*] --> idle: ensure_runtime", ...arrows(edges)]);
}

function runtimeTable(): string {
  const rows = Object.entries(RUNTIME_ACTIONS).map(([action, row]) => {
    const cells: Readonly<Record<Situation, ActionCell>> = row;
    return `| ${action} | ${Object.values(cells).map(cellText).join(" | ")} |`;
  });
  const header = `| action | ${SITUATIONS.join(" | ")} |`;
  return [header, `|${"---|".repeat(SITUATIONS.length + 1)}`, ...rows].join("\n");
}

function processDiagram(): string {
  const edges = Object.entries(PROCESS_ACTIONS).flatMap(([action, row]) =>
    Object.entries<ProcessCell>(row).flatMap(([situation, cell]) =>
      cell.to === "same" ? [] : [[situation, cell.to, action] as const],
    ),
  );
  return diagram(["  [*] --> unregistered", ...arrows(edges)]);
}

function processTable(): string {
  const situations = Object.keys(PROCESS_ACTIONS.register_process);
  const rows = Object.entries(PROCESS_ACTIONS).map(([action, row]) => {
    const cells = Object.values<ProcessCell>(row).map(cellText);
    return `| ${action} | ${cells.join(" | ")} |`;
  });
  const header = `| action | ${situations.join(" | ")} |`;
  return [header, `|${"---|".repeat(situations.length + 1)}`, ...rows].join("\n");
}

function inputDiagram(): string {
  const steps: Readonly<Record<string, InputLifecycleStep>> = INPUT_LIFECYCLE;
  const edges = Object.entries(steps).flatMap(([step, { from, to }]) =>
    from.map((state) => [state, to, step] as const),
  );
  const ends = new Set(Object.values(steps).map(({ to }) => to));
  const endings = [...ends]
    .filter((state) => isTerminal(state))
    .map((state) => `  ${state} --> [*]`);
  return diagram(["  [*] --> accepted", ...arrows(edges), ...endings]);
}

/** The diagram of a sub-machine; steps that keep the state are left out. */
function stepDiagram(
  start: string,
  steps: Readonly<Record<string, { readonly from: readonly string[]; readonly to: string }>>,
): string {
  const edges = Object.entries(steps).flatMap(([step, { from, to }]) =>
    to === "same" ? [] : from.map((state) => [state, to, step] as const),
  );
  return diagram([`  [*] --> ${start}`, ...arrows(edges)]);
}

/** The machine of an operation, from its registration to its ends. */
function operationDiagram(): string {
  const steps: Readonly<Record<string, Step<OperationStepState>>> = OPERATION_STEPS;
  const edges = Object.entries(steps).flatMap(([step, { from, to }]) =>
    to === "same" ? [] : from.map((state) => [state, to, step] as const),
  );
  const living = edges.filter(([from]) => from !== "absent");
  const ends = new Set(living.map(([, to]) => to).filter((to) => to !== "absent" && hasEnded(to)));
  const endings = [...ends].map((status) => `  ${status} --> [*]`);
  return diagram(["  [*] --> provisioning: operation_registered", ...arrows(living), ...endings]);
}

function desiredDrainTable(): string {
  const rows = Object.entries(DESIRED_DRAIN_MODES).map(([state, modes]) => {
    return `| ${state} | ${modes.kept_alive} | ${modes.not_kept_alive} |`;
  });
  return ["| state | kept alive | not kept alive |", "|---|---|---|", ...rows].join("\n");
}

/** The machines of processes. */
function processSections(): string {
  return `## Process

What calls do to a process. \`free\` and \`leased\` are both live: nobody holds it, or a worker
does. An event of a type that is declared terminal ends a process like \`complete_process\` does; so
does the wish to abandon an owner-bound process, once its worker is gone.

${processDiagram()}

Every action in every situation. \`allow\`: done. \`no_op\`: answered, nothing changes.
\`same_only\`: answered when it repeats what is there, else refused. \`holder_only\`: only for
whoever holds the lease. In capitals: the reason of a refusal.

${processTable()}

## Process lease

A worker's hold on a process. Every new hold has a higher generation; the event that ends the
process ends the hold.

${stepDiagram("free", PROCESS_LEASE_STEPS)}
`;
}

function grantsTable(): string {
  const rows = Object.entries(GRANTS_COMMANDS).map(([command, { open, deleted }]) => {
    return `| ${command} | \`${open}\` | \`${deleted}\` |`;
  });
  return ["| command | open | deleted |", "|---|---|---|", ...rows].join("\n");
}

function grantsSections(): string {
  return `## Grants

What commands to the grants of a session meet while it is there and once it was deleted.
\`allow\`: done. \`no_op\`: answered, nothing changes. In capitals: the reason of a refusal.

${grantsTable()}

## Hold

A session's hold on a process, taken with its first grant of the process in any scope and let go
with the last one. The process is told of both; a hold that is wanted again gets a new mark.

${stepDiagram("none", HOLD_STEPS)}

## Transfer

Grants on their way to another session, as the session that gives them sees it: \`left\` once the
other one has them, \`returned\` when that one was deleted before.

${stepDiagram("none", TRANSFER_STEPS)}
`;
}

/** The text of docs/generated/state-machines.md. */
export function stateMachines(): string {
  return `# State machines

Made by \`npm run generate\` from the tables in \`src/core\`. Do not edit.

## Runtime

What the actions of clients, operators and executors do. \`draining\` is a retired runtime whose
run is still in flight. A run starts when an executor takes work (attached to running) and its end
leads back; both follow from the lanes and the lease and are not actions.

${runtimeDiagram()}

Every action in every situation. \`allow\`: done. \`no_op\`: answered, nothing changes. \`fence\`:
the executor is cut off first. \`fence_on_request\`: the same, when the caller asks for it, else
\`RUN_IN_FLIGHT\`. \`reject\`: an outcome, not an error. In capitals: the reason of a refusal.
\`open\` is idle, or attached when an executor holds a live lease.

${runtimeTable()}

## Lease

An executor's hold on the runtime: \`pooled\` for a run, \`named\` until it is given back, lapses
or is fenced. Every new hold has a higher generation.

${stepDiagram("free", LEASE_STEPS)}

## Run

The one run in flight. \`assigned\` until its executor shows that it holds it; only then the
attempt counts.

${stepDiagram("none", RUN_STEPS)}

## Drain

The task at an executor that takes what the peers of a runtime send. \`starting\` waits for an
executor that can drain, \`exited_respawnable\` failed and waits for another try.

${stepDiagram("inactive", DRAIN_STEPS)}

The drain that a runtime with a peer endpoint is to have, by its state and by whether it is kept
alive:

${desiredDrainTable()}

## Input

\`accepted\` and \`applied\` are passed through within one commit; no stored state rests in them.

${inputDiagram()}

## Operation

Work that runs beside a runtime's loop. \`operation_peer_ready\` and \`operation_progressed\` are
possible while running or retiring and change no status.

${operationDiagram()}

${processSections()}
${grantsSections()}`;
}
