// Judges what clients were told about their inputs: nothing acknowledged is lost or altered, a key
// names one input for ever, order holds, and whoever waited was told what really happened.
import {
  entriesOf,
  type EntryOf,
  type FinalInput,
  type FinalRuntime,
  type HistoryEntry,
} from "./history.ts";
import { type Blame, grouped } from "./violation.ts";

type Answered = EntryOf<"answered">;

/** The inputs of a runtime by what they can be found by. */
interface InputIndex {
  readonly byId: ReadonlyMap<string, FinalInput>;
  readonly byKey: ReadonlyMap<string, FinalInput>;
}

function indexOf(runtime: FinalRuntime, blame: Blame): InputIndex {
  const byId = new Map<string, FinalInput>();
  const byKey = new Map<string, FinalInput>();
  for (const input of runtime.inputs) {
    if (byId.has(input.inputId)) blame("admitted_twice", `id ${input.inputId}`);
    byId.set(input.inputId, input);
    if (input.key === "") continue;
    const other = byKey.get(input.key);
    if (other === undefined) byKey.set(input.key, input);
    else blame("admitted_twice", `key ${input.key} as ${other.inputId} and ${input.inputId}`);
  }
  return { byId, byKey };
}

function judgeAnswer(answer: Answered, inputs: InputIndex, blame: Blame): void {
  const { outcome, key, content } = answer;
  if (outcome.kind === "rejected") return;
  const inputId = outcome.kind === "accepted" ? outcome.inputId : outcome.existingId;
  const input = inputs.byId.get(inputId);
  if (input === undefined) {
    blame("acknowledged_and_lost", `key ${key} as ${inputId}, ${outcome.kind}`);
    return;
  }
  if (input.key !== key) {
    blame("wrong_dedup_answer", `key ${key} was answered with ${inputId} of key ${input.key}`);
    return;
  }
  if (outcome.kind === "accepted") {
    if (input.content !== content) blame("content_altered", `${inputId} of key ${key}`);
    if (input.admittedRevision !== outcome.revision) {
      const told = `told revision ${outcome.revision}, is ${input.admittedRevision}`;
      blame("acknowledged_and_lost", `${inputId} of key ${key}: ${told}`);
    }
  } else if ((input.content === content) !== outcome.sameContent) {
    blame("wrong_dedup_answer", `key ${key}: sameContent ${outcome.sameContent} is wrong`);
  }
}

/** A key is accepted once; every other answer says that it is known. */
function judgeKey(key: string, answers: readonly Answered[], blame: Blame): void {
  const ids = new Set<string>();
  let acceptedCount = 0;
  for (const { outcome } of answers) {
    if (outcome.kind === "accepted") {
      acceptedCount += 1;
      ids.add(outcome.inputId);
    } else if (outcome.kind === "deduplicated") {
      ids.add(outcome.existingId);
    }
  }
  if (acceptedCount > 1) {
    blame("wrong_dedup_answer", `key ${key} was accepted ${acceptedCount} times`);
  }
  if (ids.size > 1) blame("wrong_dedup_answer", `key ${key} names ${[...ids].join(" and ")}`);
}

/**
 * What one client pipelined to one runtime was admitted in the order of its sending. A key that was
 * once sent without a place, because its item failed alone, has lost its place.
 */
function judgeOrder(entries: readonly HistoryEntry[], runtime: FinalRuntime, blame: Blame): void {
  const place = new Map(runtime.inputs.map((input, index) => [input.key, index]));
  const sent = entriesOf(entries, "sent");
  const loose = new Set(sent.filter((send) => send.order === null).map((send) => send.key));
  const ordered = sent.filter((send) => !loose.has(send.key));
  for (const [client, sends] of grouped(ordered, (send) => send.client)) {
    const first = new Map(sends.toReversed().map((send) => [send.key, send.order ?? 0]));
    const keys = [...first].toSorted((left, right) => left[1] - right[1]).map(([key]) => key);
    let before = { place: -1, key: "" };
    for (const key of keys) {
      const here = place.get(key);
      if (here === undefined) continue;
      if (here < before.place) blame("order_broken", `${client}: ${key} before ${before.key}`);
      else before = { place: here, key };
    }
  }
}

function completionFits(input: FinalInput, awaited: EntryOf<"awaited">): boolean {
  const { completion } = awaited;
  switch (completion.kind) {
    case "completed":
      return input.state === "consumed" && completion.text.startsWith(`${input.consumedByRunId}:`);
    case "completed_without_result":
    case "callback_pending":
      return input.state === "consumed";
    case "abandoned":
      return input.state === "abandoned" && input.abandonReason === completion.reason;
    case "superseded":
      return input.state === "superseded" && input.replacedByInputId === completion.byInputId;
    case "coalesced":
      return input.state === "coalesced" && input.replacedByInputId === completion.aggregateId;
    case "runtime_terminated":
      return input.state === "abandoned";
  }
}

/** Judges the answers about the inputs of one runtime. */
export function judgeInputs(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  const inputs = indexOf(runtime, blame);
  const answers = entriesOf(entries, "answered");
  for (const answer of answers) judgeAnswer(answer, inputs, blame);
  for (const [key, told] of grouped(answers, (answer) => answer.key)) judgeKey(key, told, blame);
  judgeOrder(entries, runtime, blame);
  for (const awaited of entriesOf(entries, "awaited")) {
    const input = inputs.byKey.get(awaited.key);
    if (input === undefined) {
      blame("acknowledged_and_lost", `key ${awaited.key} was awaited and answered`);
    } else if (!completionFits(input, awaited)) {
      const { kind } = awaited.completion;
      blame("wrong_completion", `key ${awaited.key}: told ${kind}, is ${input.state}`);
    }
  }
}
