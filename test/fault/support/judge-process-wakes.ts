// Judges wakes: each event that wakes a runtime is one input there, nowhere else, and in order.
import type { ProcessHistory } from "./process-history.ts";
import type { ProcessBlame } from "./process-violation.ts";
import { grouped } from "./violation.ts";

const WAKE_KEY = /^process:(.+):event:(\d+):wake$/;

interface Wake {
  readonly processId: string;
  readonly sequence: number;
}

function wakeIn(key: string): readonly Wake[] {
  const [, processId, sequence] = WAKE_KEY.exec(key) ?? [];
  return processId === undefined ? [] : [{ processId, sequence: Number(sequence) }];
}

/** Judges the wakes of all processes. */
export function judgeWakes({ processes, inboxes }: ProcessHistory, blame: ProcessBlame): void {
  const wanted = new Map<string, Wake & { readonly runtimeId: string }>();
  for (const { processId, events } of processes) {
    for (const { sequence, wakeRuntimeId: runtimeId } of events) {
      if (runtimeId === "") continue;
      wanted.set(`${processId} ${sequence} ${runtimeId}`, { processId, sequence, runtimeId });
    }
  }
  for (const { runtimeId, keys } of inboxes) {
    const came = keys.flatMap(wakeIn);
    for (const { processId, sequence } of came) {
      if (wanted.delete(`${processId} ${sequence} ${runtimeId}`)) continue;
      blame("wake_doubled", processId, `of event ${sequence} at ${runtimeId}`);
    }
    for (const [processId, wakes] of grouped(came, (wake) => wake.processId)) {
      const sequences = wakes.map(({ sequence }) => sequence);
      const isInOrder = sequences.every((sequence, index) => {
        return sequence >= (sequences[index - 1] ?? 0);
      });
      if (!isInOrder) {
        blame("wake_out_of_order", processId, `${sequences.join()} at ${runtimeId}`);
      }
    }
  }
  for (const { processId, sequence, runtimeId } of wanted.values()) {
    blame("wake_lost", processId, `of event ${sequence} at ${runtimeId}`);
  }
}
