// Which jobs the demo has, in which order: a few hundred lines that are the same on every machine.
// Most are jobs of their own. Some are sent twice under one key, some replace an earlier draft of
// the same document, some are progress notes that are merged while they wait, and some can never
// succeed.
import type { TaskName } from "../text-job/tasks.ts";
import { PASSAGES } from "./passages.ts";

/** One line of `inputs.jsonl`: an item as IngestBatch takes it. */
interface InputLine {
  readonly runtimeId: string;
  readonly input: {
    readonly idempotencyKey: string;
    readonly supersessionKey?: string;
    readonly prompt?: { readonly text: string };
    readonly source?: { readonly peer: { readonly peerId: string } };
    readonly peer?: { readonly body: string; readonly convention: object };
  };
}

/** Runtimes of the demo; each has a closing line at the end of the file. */
export const DESKS = 12;
const TASKS: readonly TaskName[] = ["count", "frequency", "longest", "tidy", "headline"];
const ROUNDS = 10;
const DRAFTS = 3;
const NOTES = 3;

function deskOf(number: number): string {
  return `desk-${String((number % DESKS) + 1).padStart(2, "0")}`;
}

function passage(number: number): string {
  return PASSAGES[number % PASSAGES.length] ?? "";
}

function job(key: string, desk: number, task: TaskName, text: string): InputLine {
  const prompt = { text: JSON.stringify({ task, text }) };
  return { runtimeId: deskOf(desk), input: { idempotencyKey: key, prompt } };
}

/** Drafts of one document: each replaces the one before, where that one still waits. */
function drafts(round: number): readonly InputLine[] {
  const desk = round * 5;
  return Array.from({ length: DRAFTS }, (_draft, index) => {
    const text = `${passage(round)} Draft ${index + 1}.`;
    const line = job(`draft-${round}-${index + 1}`, desk, "headline", text);
    return { ...line, input: { ...line.input, supersessionKey: `document-${round}` } };
  });
}

/** Progress notes of one peer request: those that still wait are taken into the next one. */
function notes(round: number): readonly InputLine[] {
  const request = `request-${round}`;
  const phase = "PEER_RESPONSE_PHASE_IN_PROGRESS";
  return Array.from({ length: NOTES }, (_note, index) => {
    const convention = { responseProgress: { peerRequestId: request, phase } };
    const body = `Proof reading of page ${index + 1} of round ${round} is done.`;
    return {
      runtimeId: deskOf(round * 7 + 3),
      input: {
        idempotencyKey: `note-${round}-${index + 1}`,
        supersessionKey: request,
        source: { peer: { peerId: "proof-reader" } },
        peer: { body, convention },
      },
    };
  });
}

/** A text whose encoding is cut off in the middle: no attempt can decode it. */
function poison(round: number): InputLine {
  return job(`broken-${round}`, round * 5 + 2, "decode", `%E2%80%9CPage ${round}%E2%80`);
}

function lines(round: number): readonly InputLine[] {
  const jobs = PASSAGES.map((text, index) => {
    const number = round * PASSAGES.length + index;
    const task = TASKS[(round + index) % TASKS.length] ?? "count";
    return job(`job-${String(number + 1).padStart(3, "0")}`, number, task, text);
  });
  const again = jobs.filter((_job, index) => (index + round) % 6 === 0);
  const middle = jobs.length / 2;
  return [
    ...jobs.slice(0, middle),
    ...drafts(round),
    ...jobs.slice(middle),
    ...notes(round),
    ...(round % 2 === 0 ? [poison(round)] : []),
    ...again,
  ];
}

/** The last job of each desk; it also wakes those where only notes wait. */
function closings(): readonly InputLine[] {
  return Array.from({ length: DESKS }, (_desk, index) => {
    return job(`closing-${index + 1}`, index, "count", "The day is done.");
  });
}

/** All lines of the demo, in the order in which they are sent; the closings are the last ones. */
function planInputs(): readonly InputLine[] {
  return [...Array.from({ length: ROUNDS }, (_round, index) => lines(index)).flat(), ...closings()];
}

/** The lines as the file holds them. */
export function inputsFile(): string {
  return planInputs()
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");
}
