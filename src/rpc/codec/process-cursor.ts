/** Cursors of a watch over processes: opaque to clients, the same at every replica. */
import type { TimeMs } from "../../core/shared/ids.ts";
import { countPositionOf, pageTokenOf } from "./page-token.ts";

function filterOf(namespace: string) {
  return { list: "changes of processes", namespace };
}

/** The cursor behind everything with an earlier time. */
export function cursorOf(namespace: string, until: TimeMs): string {
  return pageTokenOf(filterOf(namespace), String(until));
}

/** The time that a cursor stands for. Throws PAGE_TOKEN_INVALID. */
export function cursorTimeOf(namespace: string, cursor: string): TimeMs {
  return countPositionOf(filterOf(namespace), cursor);
}
