/**
 * What a call over many streams is going to do, recorded before it is done. With a request id every
 * step is settled once: a repetition goes by the same steps, so it does what the first call did not
 * come to, nothing besides, and answers the same.
 */
import type { Namespace, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { RecordStore, StoredRecord } from "../engine/ports.ts";
import { recordBody } from "../engine/record-codec.ts";
import { streamName } from "../engine/stream-name.ts";
import type { RequestMark } from "./command-envelope.ts";

/** Record class of the steps; the ordinal is the step of its call, from 1. */
export const CALL_STEPS_CLASS = "call_steps";

/** A step as it is recorded, with the hash of the call that it belongs to. */
interface RecordedStep<Step> {
  readonly step: Step;
  readonly bodyHash: string;
}

/** The step that the first call with a mark took, or that this one is going to take. */
export type SettleStep = <Step>(
  namespace: Namespace,
  mark: RequestMark,
  ordinal: number,
  make: () => Promise<Step>,
) => Promise<Step>;

/** Not the name of a stream of commits: only its steps are kept under it. */
function callName(namespace: Namespace, { requestId }: RequestMark): StreamName {
  return streamName(CALL_STEPS_CLASS, namespace, requestId);
}

function stepFromRecord<Step>(row: StoredRecord, mark: RequestMark): Step {
  // Written by this file alone.
  const recorded = recordBody(row) as unknown as RecordedStep<Step>;
  if (recorded.bodyHash === mark.bodyHash) return recorded.step;
  const message =
    "The request id was used for a different call; use a fresh one for every new call";
  throw new RefusedError(refusalOf("REQUEST_ID_REUSED", message, { requestId: mark.requestId }));
}

/** Makes the settling of steps. Steps are made of JSON. Refuses REQUEST_ID_REUSED. */
export function makeSettleStep(records: Pick<RecordStore, "insert" | "list">): SettleStep {
  return async <Step>(
    namespace: Namespace,
    mark: RequestMark,
    ordinal: number,
    make: () => Promise<Step>,
  ): Promise<Step> => {
    const stream = callName(namespace, mark);
    const recordOf = (step: Step): StoredRecord => {
      const recorded: RecordedStep<Step> = { step, bodyHash: mark.bodyHash };
      return {
        stream,
        recordClass: CALL_STEPS_CLASS,
        ordinal,
        lookups: [],
        revision: 0,
        bodyText: JSON.stringify(recorded),
      };
    };
    const stored = async (): Promise<StoredRecord | undefined> => {
      const [row] = await records.list(stream, CALL_STEPS_CLASS, ordinal - 1, 1);
      return row;
    };
    const present = await stored();
    // One that is visible may not be durable yet; once it is inserted again, it is.
    await records.insert([present ?? recordOf(await make())]);
    const row = await stored();
    if (!row) throw new TypeError("a record that was inserted is not there");
    return stepFromRecord(row, mark);
  };
}
