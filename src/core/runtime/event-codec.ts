/**
 * Events from storage: a type or a policy row that this build does not know needs a newer server.
 */
import { isJsonObject, type Json } from "../shared/json.ts";
import type { RuntimeEvent, RuntimeEventType } from "./events.ts";
import { POLICY_REFERENCES } from "./policy.ts";

const KNOWN = {
  runtime_registered: true,
  runtime_configured: true,
  runtime_unregistered: true,
  input_admitted: true,
  input_superseded: true,
  input_coalesced: true,
  lease_granted: true,
  lease_released: true,
  lease_lapsed: true,
  lease_fenced: true,
  run_started: true,
  run_acknowledged: true,
  boundary_committed: true,
  run_completed: true,
  run_failed: true,
  run_cancelled: true,
  run_returned: true,
  run_interrupted: true,
  runtime_retired: true,
  runtime_recycled: true,
  runtime_reset: true,
  runtime_recovered: true,
  runtime_stopped: true,
  runtime_destroyed: true,
  queue_abandoned: true,
  inputs_cancelled: true,
  silent_intents_set: true,
  peer_ingress_updated: true,
  drain_started: true,
  drain_spawned: true,
  drain_exited: true,
  drain_aborted: true,
  event_published: true,
  operation_registered: true,
  operation_provisioned: true,
  operation_peer_ready: true,
  operation_progressed: true,
  operation_retire_requested: true,
  operation_provisioning_failed: true,
  operation_provisioning_aborted: true,
  operation_completed: true,
  operation_failed: true,
  operation_cancelled: true,
  operation_retired: true,
  operations_terminated: true,
  operations_collected: true,
  completions_observed: true,
} as const satisfies Record<RuntimeEventType, true>;

/** Every event type that this build can fold. */
export const RUNTIME_EVENT_TYPES: readonly string[] = Object.keys(KNOWN);

const KNOWN_POLICIES: ReadonlySet<string> = new Set(POLICY_REFERENCES);

/** The event that stored JSON holds, or `unknown` when this build cannot fold it. */
export function eventFromJson(json: Json): RuntimeEvent | "unknown" {
  if (!isJsonObject(json) || typeof json["type"] !== "string") return "unknown";
  if (!Object.hasOwn(KNOWN, json["type"])) return "unknown";
  const event = json as unknown as RuntimeEvent;
  if (event.type === "input_admitted" && !KNOWN_POLICIES.has(event.policy)) return "unknown";
  return event;
}
