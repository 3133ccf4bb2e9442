/** Events from storage: a type that this build does not know needs a newer server. */
import { isJsonObject, type Json } from "../shared/json.ts";
import type { GrantsEvent, GrantsEventType } from "./events.ts";

const KNOWN = {
  handle_granted: true,
  handle_revoked: true,
  handles_moved: true,
  transfer_begun: true,
  transfer_accepted: true,
  transfer_declined: true,
  transfer_finished: true,
  transfer_rolled_back: true,
  holds_acquired: true,
  holds_released: true,
  processes_gone: true,
  session_deleted: true,
  work_deferred: true,
} as const satisfies Record<GrantsEventType, true>;

/** Every event type that this build can fold. */
export const GRANTS_EVENT_TYPES: readonly string[] = Object.keys(KNOWN);

/** The event that stored JSON holds, or `unknown` when this build cannot fold it. */
export function eventFromJson(json: Json): GrantsEvent | "unknown" {
  if (!isJsonObject(json) || typeof json["type"] !== "string") return "unknown";
  return Object.hasOwn(KNOWN, json["type"]) ? (json as unknown as GrantsEvent) : "unknown";
}
