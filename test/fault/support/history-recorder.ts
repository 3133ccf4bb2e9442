// The history of what clients and watchers of this process sent and heard: kept in memory for the
// checker, and in a file for whoever wants to look.
import { openHistoryLog } from "./history-log.ts";
import type { HistoryEntry } from "./history.ts";

/** Notes entries as they happen. */
export interface HistoryRecorder<Entry = HistoryEntry> {
  readonly note: (entry: Entry) => void;
  readonly entries: readonly Entry[];
  /** Answers to what clients sent, noted so far. */
  readonly answerCount: () => number;
  readonly close: () => void;
}

/** Makes a recorder that writes to a file, too; entries of the types given are answers. */
export function makeHistoryRecorder<Entry extends { readonly type: string } = HistoryEntry>(
  path: string,
  answerTypes: readonly Entry["type"][],
): HistoryRecorder<Entry> {
  const log = openHistoryLog<Entry>(path);
  const entries: Entry[] = [];
  let answerCount = 0;
  return {
    entries,
    note: (entry) => {
      log.append(entry);
      entries.push(entry);
      if (answerTypes.includes(entry.type)) answerCount += 1;
    },
    answerCount: () => answerCount,
    close: log.close,
  };
}
