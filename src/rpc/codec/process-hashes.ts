/**
 * Hashes of the process registry, all SHA-256 over canonical JSON (RFC 8785). They are part of what
 * is stored and compared for ever: test vectors pin them.
 */
import { createHash } from "node:crypto";
import type { ProcessRegistration } from "../../core/process/registration.ts";
import type { RuntimeId } from "../../core/shared/ids.ts";
import type { Json } from "../../core/shared/json.ts";
import { canonicalText } from "../../engine/commit-codec.ts";

function hexOf(value: unknown): string {
  return createHash("sha256").update(canonicalText(value)).digest("hex");
}

/** Hash of a complete registration: tells a repeated one from another one. */
export function registrationHash(registration: ProcessRegistration): string {
  return hexOf(registration);
}

/** Hash of an event's type and payload: tells a replay from another event under the same key. */
export function eventBodyHash(eventType: string, payload: Json): string {
  return hexOf([eventType, payload]);
}

/** Name of a wake: the same for the same runtime and dedupe key, also across processes. */
export function wakeIdOf(runtimeId: RuntimeId, dedupeKey: string): string {
  return `wake:${hexOf([`session:${runtimeId}`, dedupeKey])}`;
}
