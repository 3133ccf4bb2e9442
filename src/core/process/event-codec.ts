/** Events from storage: a type that this build does not know needs a newer server. */
import { isJsonObject, type Json } from "../shared/json.ts";
import type { ProcessStreamEvent, ProcessStreamEventType } from "./events.ts";

const KNOWN = {
  process_registered: true,
  process_event_appended: true,
  external_ref_set: true,
  process_wait_set: true,
  process_wait_cleared: true,
  abandon_requested: true,
  process_lease_claimed: true,
  process_lease_extended: true,
  process_lease_released: true,
  process_lease_lapsed: true,
  holder_added: true,
  holder_removed: true,
  wake_acknowledged: true,
  wake_settled: true,
  wake_deferred: true,
  task_reported: true,
  task_abort_scheduled: true,
  task_notice_settled: true,
  task_transferred: true,
  process_pruned: true,
  process_affirmed: true,
} as const satisfies Record<ProcessStreamEventType, true>;

/** Every event type that this build can fold. */
export const PROCESS_EVENT_TYPES: readonly string[] = Object.keys(KNOWN);

/** The event that stored JSON holds, or `unknown` when this build cannot fold it. */
export function eventFromJson(json: Json): ProcessStreamEvent | "unknown" {
  if (!isJsonObject(json) || typeof json["type"] !== "string") return "unknown";
  return Object.hasOwn(KNOWN, json["type"]) ? (json as unknown as ProcessStreamEvent) : "unknown";
}
