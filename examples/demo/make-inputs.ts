/**
 * Makes `inputs.jsonl`: a few hundred text-processing jobs for a dozen desks, the same on every run.
 * Some are sent twice under one key, some replace each other, some fold into one, and some are
 * poisonous: their job always fails.
 *
 *   node examples/demo/make-inputs.ts > examples/demo/inputs.jsonl
 */

const DESKS = 12;
const JOBS = 300;

/** Sentences of which the texts are made. */
const SENTENCES = [
  "The harbour was quiet before the boats came home.",
  "A keel keeps a ship upright when the wind turns.",
  "Nobody had written the letter, and yet it arrived.",
  "She counted the lanterns twice and found one missing.",
  "Rain fell on the roof as if it had been asked to.",
  "The clock in the hall was right two times a day.",
  "Every rope on the pier had its own old knot.",
  "He sold maps of places that did not exist yet.",
  "The market opened at six and was empty by nine.",
  "Salt dries on wood and leaves a pale, thin line.",
] as const;

const OPERATIONS = ["count-words", "longest-word", "reverse-words", "title-case", "histogram"];

/** One line of the file, in the JSON of the contract. */
interface InputLine {
  readonly runtimeId: string;
  readonly input: {
    readonly idempotencyKey: string;
    readonly supersessionKey?: string;
    readonly prompt?: { readonly text: string };
    readonly externalEvent?: {
      readonly eventType: string;
      readonly payload: { readonly body: string };
    };
    readonly source?: { readonly peer: { readonly peerId: string } };
    readonly peer?: {
      readonly convention: {
        readonly responseProgress: { readonly peerRequestId: string; readonly phase: string };
      };
      readonly body: string;
    };
  };
}

function textOf(job: number): string {
  const count = 2 + (job % 5);
  return Array.from({ length: count }, (_, index) => {
    return SENTENCES[(job * 7 + index * 3) % SENTENCES.length] ?? "";
  }).join(" ");
}

function jobLine(job: number): InputLine {
  const runtimeId = `desk-${(job % DESKS) + 1}`;
  const idempotencyKey = `job-${job}`;
  const operation = OPERATIONS[job % OPERATIONS.length] ?? "count-words";
  const text = `${operation}: ${textOf(job)}`;
  if (job % 43 === 17) {
    return { runtimeId, input: { idempotencyKey, prompt: { text: `explode: ${textOf(job)}` } } };
  }
  if (job % 11 === 4) {
    const supersessionKey = `draft-${runtimeId}`;
    return { runtimeId, input: { idempotencyKey, supersessionKey, prompt: { text } } };
  }
  if (job % 13 === 6) {
    const responseProgress = {
      peerRequestId: `request-${job % DESKS}`,
      phase: "PEER_RESPONSE_PHASE_IN_PROGRESS",
    };
    return {
      runtimeId,
      input: {
        idempotencyKey,
        supersessionKey: `progress-${runtimeId}`,
        source: { peer: { peerId: "press-room" } },
        peer: { convention: { responseProgress }, body: text },
      },
    };
  }
  if (job % 7 === 3) {
    const externalEvent = { eventType: "note.arrived", payload: { body: text } };
    return { runtimeId, input: { idempotencyKey, externalEvent } };
  }
  return { runtimeId, input: { idempotencyKey, prompt: { text } } };
}

const lines: InputLine[] = [];
for (let job = 0; job < JOBS; job += 1) {
  const line = jobLine(job);
  lines.push(line);
  if (job % 9 === 2) lines.push(line);
}
// Passive progress waits for a run; a last prompt per desk takes along what is still waiting.
for (let desk = 1; desk <= DESKS; desk += 1) {
  const text = "count-words: That is all for today.";
  lines.push({
    runtimeId: `desk-${desk}`,
    input: { idempotencyKey: `closing-${desk}`, prompt: { text } },
  });
}
for (const line of lines) process.stdout.write(`${JSON.stringify(line)}\n`);
