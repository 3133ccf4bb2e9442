/** A runtime as people read it: a row of a table, and all there is to know. */
import {
  type CurrentRun,
  DrainExitReason,
  DrainMode,
  DrainPhase,
  ExecutorPresence,
  type PeerIngress,
  type Runtime,
  RuntimeState,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationFromProto } from "../../rpc/codec/time.ts";
import {
  enumWord,
  formatAge,
  formatSpan,
  formatTimeAndAge,
  printable,
  yesNo,
} from "../client/format.ts";
import type { Cell, Colour, Column } from "../client/table.ts";

type Fact = readonly [string, Cell | undefined];

const STATE_COLOURS: Readonly<Partial<Record<RuntimeState, Colour>>> = {
  [RuntimeState.RUNNING]: "green",
  [RuntimeState.ATTACHED]: "cyan",
  [RuntimeState.RETIRED]: "yellow",
  [RuntimeState.STOPPED]: "red",
  [RuntimeState.DESTROYED]: "red",
};

/** The state of a runtime as a word with its colour. */
function stateCell(state: RuntimeState): Cell {
  const text = enumWord(RuntimeState, state);
  const colour = STATE_COLOURS[state];
  return colour === undefined ? text : { text, colour };
}

/** Labels as `name=value`, by name. */
function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => printable(`${name}=${value}`));
  return pairs.toSorted().join(" ");
}

function executorText({ executor }: Runtime): string {
  if (executor === undefined || executor.presence === ExecutorPresence.NONE) return "-";
  const name = printable(executor.executorId);
  if (executor.presence === ExecutorPresence.ATTACHED) return name;
  return `${name} (${enumWord(ExecutorPresence, executor.presence)})`;
}

function liveCount({ inputCounts }: Runtime): bigint {
  if (inputCounts === undefined) return 0n;
  return inputCounts.queued + inputCounts.staged + inputCounts.appliedPendingConsumption;
}

/** The columns of a list of runtimes. */
export const RUNTIME_COLUMNS: readonly Column<Runtime>[] = [
  { title: "RUNTIME", cell: ({ runtimeId }) => printable(runtimeId) },
  { title: "STATE", cell: ({ state }) => stateCell(state) },
  { title: "POOL", cell: ({ config }) => printable(config?.pool ?? "-") },
  { title: "QUEUED", align: "right", cell: ({ inputCounts }) => inputCounts?.queued ?? 0 },
  { title: "LIVE", align: "right", cell: liveCount },
  { title: "DONE", align: "right", cell: ({ inputCounts }) => inputCounts?.consumed ?? 0 },
  { title: "ABANDONED", align: "right", cell: ({ inputCounts }) => inputCounts?.abandoned ?? 0 },
  { title: "EXECUTOR", cell: executorText },
  { title: "REVISION", align: "right", cell: ({ revision }) => revision },
  { title: "UPDATED", align: "right", cell: ({ updatedAt }) => formatAge(updatedAt) },
];

function countsText({ inputCounts }: Runtime): string {
  if (inputCounts === undefined) return "";
  const { accepted, queued, staged, consumed, superseded, coalesced, abandoned } = inputCounts;
  const applied = inputCounts.appliedPendingConsumption;
  const counts = { accepted, queued, staged, applied, consumed, superseded, coalesced, abandoned };
  const shown = Object.entries(counts).filter(([name, count]) => count > 0n || name === "accepted");
  return shown.map(([name, count]) => `${count} ${name}`).join(", ");
}

function runText(run: CurrentRun): string {
  const notes = [
    `attempt ${run.attempt}`,
    `${run.contributingInputIds.length} inputs`,
    `for ${formatAge(run.startedAt)}`,
    ...(run.acknowledged ? [] : ["not acknowledged yet"]),
    ...(run.interruptRequested ? ["interrupt requested"] : []),
  ];
  return `${run.runId} (${notes.join(", ")})`;
}

/** The ingress of a runtime and its drain in one line. */
export function ingressText(ingress: PeerIngress): string {
  const { endpoint, phase, mode, drainSequence, executorId, lastExit } = ingress;
  const notes = [
    ...(mode === undefined || drainSequence === 0n
      ? []
      : [`number ${drainSequence}, ${enumWord(DrainMode, mode)}`]),
    ...(executorId === "" ? [] : [`at ${printable(executorId)}`]),
    ...(lastExit === undefined ? [] : [`last exit ${enumWord(DrainExitReason, lastExit)}`]),
  ];
  const address = endpoint === undefined ? "none" : printable(endpoint.address);
  const drain = `drain ${enumWord(DrainPhase, phase)}`;
  return `ingress ${address}; ${[drain, ...notes].join(", ")}`;
}

function spanText(span: Duration | undefined): string | undefined {
  const spanMs = span === undefined ? undefined : durationFromProto(span);
  return spanMs === undefined ? undefined : formatSpan(spanMs);
}

function configFacts({ config }: Runtime): readonly Fact[] {
  if (config === undefined) return [];
  const { retryBackoff } = config;
  const backoff =
    retryBackoff === undefined
      ? undefined
      : `${spanText(retryBackoff.initial) ?? "-"} to ${spanText(retryBackoff.max) ?? "-"}`;
  return [
    ["labels", labelsText(config.labels)],
    ["pool", config.pool === undefined ? undefined : printable(config.pool)],
    ["queue limit", config.queueLimit],
    ["attempt limit", config.attemptLimit],
    ["retry backoff", backoff],
    ["lease TTL", spanText(config.leaseTtl)],
    ["keep alive", config.keepAlive === undefined ? undefined : yesNo(config.keepAlive)],
  ];
}

function executorFact({ executor }: Runtime): string | undefined {
  if (executor === undefined) return undefined;
  const presence = enumWord(ExecutorPresence, executor.presence);
  if (executor.executorId === "") return presence;
  const name = `${printable(executor.executorId)}, incarnation ${executor.incarnationId}`;
  return `${presence} (${name}, generation ${executor.generation})`;
}

/** Everything about a runtime. */
export function runtimeFacts(runtime: Runtime): readonly Fact[] {
  const { currentRun, runnableSince } = runtime;
  const runnable = runtime.runnable ? `yes, since ${formatTimeAndAge(runnableSince)}` : "no";
  return [
    ["runtime", printable(runtime.runtimeId)],
    ["namespace", printable(runtime.namespace)],
    ["state", stateCell(runtime.state)],
    ["registered", runtime.registered ? undefined : "no; `keelson runtime ensure` brings it back"],
    ["revision", runtime.revision],
    ["epoch", runtime.epochId],
    ["executor", executorFact(runtime)],
    ["run", currentRun === undefined ? undefined : runText(currentRun)],
    ["inputs", countsText(runtime)],
    ["queue lane", runtime.queueDepth],
    ["steer lane", runtime.steerDepth],
    ["silent intents", runtime.silentIntents.map(printable).join(", ")],
    ["intake", runtime.intakeOpen ? "open" : "closed"],
    ["runnable", runnable],
    ["peers", runtime.peerIngress === undefined ? undefined : ingressText(runtime.peerIngress)],
    ...configFacts(runtime),
    ["created", formatTimeAndAge(runtime.createdAt)],
    ["updated", formatTimeAndAge(runtime.updatedAt)],
  ];
}
