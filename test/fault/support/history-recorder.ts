// The history of what clients and watchers of this process sent and heard: kept in memory for the
// checker, and in a file for whoever wants to look.
import { openHistoryLog } from "./history-log.ts";
import type { HistoryEntry } from "./history.ts";

/** Notes entries as they happen. */
export interface HistoryRecorder {
  readonly note: (entry: HistoryEntry) => void;
  readonly entries: readonly HistoryEntry[];
  /** Answers to inputs noted so far. */
  readonly answerCount: () => number;
  readonly close: () => void;
}

/** Makes a recorder that writes to a file, too. */
export function makeHistoryRecorder(path: string): HistoryRecorder {
  const log = openHistoryLog(path);
  const entries: HistoryEntry[] = [];
  let answerCount = 0;
  return {
    entries,
    note: (entry) => {
      log.append(entry);
      entries.push(entry);
      if (entry.type === "answered") answerCount += 1;
    },
    answerCount: () => answerCount,
    close: log.close,
  };
}
