// Gives the engine a cache that fits the machine. It opens with 256 MiB, of which a twentieth may
// wait to be written: at ten thousand commits a second that is reached every second, and pages that
// the next commits change again are written again and again. The journal makes commits durable, not
// these writes, so they may wait for the engine's checkpoint, once a minute: two fifths less
// processor time for a commit once there are some hundred thousand.
import { totalmem } from "node:os";
import type { WireEngine } from "./awaiting-engine.ts";
import { commandMessage, isAcknowledged } from "./wire-messages.ts";

const mebibyte = 1024 * 1024;
const cacheMebibytesMin = 256;
const cacheMebibytesMax = 1024;
/** Of the memory there is. */
const cacheShare = 1 / 8;
/** Percent of the cache: from the targets on the engine writes, at the triggers callers wait. */
const evictionSettings = [
  "eviction_dirty_target=40",
  "eviction_dirty_trigger=60",
  "eviction_updates_target=30",
  "eviction_updates_trigger=50",
];

/** Mebibytes of cache on a machine, or in a container, with so much memory. */
export function cacheMebibytes(memoryBytes: number): number {
  const share = Math.floor((memoryBytes * cacheShare) / mebibyte);
  return Math.min(cacheMebibytesMax, Math.max(cacheMebibytesMin, share));
}

/** Memory that this process may use, in bytes; a container's limit where there is one. */
export function usableMemoryBytes(): number {
  const limitBytes = process.constrainedMemory();
  return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem();
}

/** Sets the cache of an open engine; false when it refuses, which leaves it as it is. */
export async function setCache(engine: WireEngine, mebibytes: number): Promise<boolean> {
  const { response } = await engine.roundTrip(
    commandMessage({
      setParameter: 1,
      wiredTigerEngineRuntimeConfig: [`cache_size=${mebibytes}M`, ...evictionSettings].join(","),
      $db: "admin",
    }),
  );
  return isAcknowledged(response);
}
