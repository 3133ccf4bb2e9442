/**
 * Registration and configuration: a runtime is ensured, any number of times; what is configured
 * stays until the next request names another value. Unregistering keeps everything.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import { type EpochId, epochIdOf, type RuntimeId } from "../shared/ids.ts";
import { refusalOf } from "../shared/refusal.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RecordedConfig, RuntimeEvent } from "./events.ts";
import type { RuntimeConfig, RuntimeState } from "./state.ts";

type EnsureCommand = Extract<RuntimeCommand, { readonly type: "ensure_runtime" }>;
type Registered = Extract<RuntimeEvent, { readonly type: "runtime_registered" }>;

/** Settings of runtimes whose history does not know them yet. */
const LATER_SETTINGS = { operationLimit: 10_000, completedRetention: 256 } as const;

/** A recorded configuration with every setting that there is now. */
export function completeConfig(recorded: RecordedConfig): RuntimeConfig {
  return { ...LATER_SETTINGS, ...recorded };
}

function sameLabels(left: RuntimeConfig["labels"], right: RuntimeConfig["labels"]): boolean {
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length && names.every((name) => left[name] === right[name])
  );
}

function sameConfig(left: RuntimeConfig, right: RuntimeConfig): boolean {
  return (
    sameLabels(left.labels, right.labels) &&
    left.pool === right.pool &&
    left.queueLimit === right.queueLimit &&
    left.attemptLimit === right.attemptLimit &&
    left.retryBackoffInitialMs === right.retryBackoffInitialMs &&
    left.retryBackoffMaxMs === right.retryBackoffMaxMs &&
    left.leaseTtlMs === right.leaseTtlMs &&
    left.keepAlive === right.keepAlive &&
    left.operationLimit === right.operationLimit &&
    left.completedRetention === right.completedRetention
  );
}

/** The event that registers a runtime, or brings an unregistered one back with its epoch. */
export function registrationOf(
  state: RuntimeState,
  runtimeId: RuntimeId,
  patch: Partial<RuntimeConfig>,
  defaults: RuntimeConfig,
  freshEpochId: () => EpochId,
): Registered {
  const returning = state.registration !== "none";
  const kept = returning ? state.config : {};
  return {
    type: "runtime_registered",
    runtimeId,
    epochId: returning ? state.epochId : freshEpochId(),
    config: { ...defaults, ...kept, ...patch },
    returning,
  };
}

/** Decides EnsureRuntime; with nothing to change it is answered as the state is. */
export function decideEnsure(
  state: RuntimeState,
  command: EnsureCommand,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  if (state.phase === "destroyed") {
    return {
      kind: "refuse",
      refusal: refusalOf("RUNTIME_DESTROYED", "The runtime was destroyed; its id stays used", {
        runtimeId: state.runtimeId,
      }),
    };
  }
  if (state.registration !== "registered") {
    const freshEpochId = (): EpochId => epochIdOf(context.freshId());
    const { runtimeId, config: patch, defaults } = command;
    const registered = registrationOf(state, runtimeId, patch, defaults, freshEpochId);
    return { kind: "commit", events: [registered] };
  }
  const config = { ...command.defaults, ...state.config, ...command.config };
  return sameConfig(config, state.config)
    ? { kind: "answer", reply: { type: "ensured", created: false } }
    : { kind: "commit", events: [{ type: "runtime_configured", config }] };
}
