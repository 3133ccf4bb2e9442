// What the demo's command can do with a text. Pure, so that the audit at the end can compute what
// each result has to be and compare.

/** One job: what to do with which text. */
export interface TextJob {
  readonly task: TaskName;
  readonly text: string;
}

/** What a job may ask for. */
export type TaskName = "count" | "frequency" | "longest" | "tidy" | "headline" | "decode";

/** The result of a job: flat, and the same whenever it is computed. */
export type TaskResult = Readonly<Record<string, string | number>>;

const FREQUENT_WORDS = 3;
const HEADLINE_WORDS = 6;

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/\p{L}+(?:['’]\p{L}+)*/gu) ?? [];
}

function count(text: string): TaskResult {
  const sentences = text.match(/[.!?]+(?:\s|$)/g) ?? [];
  return { words: wordsOf(text).length, characters: text.length, sentences: sentences.length };
}

function frequency(text: string): TaskResult {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const ranked = [...counts].toSorted(([left, many], [right, more]) => {
    return more - many || left.localeCompare(right, "en");
  });
  return Object.fromEntries(ranked.slice(0, FREQUENT_WORDS));
}

function longest(text: string): TaskResult {
  const ranked = wordsOf(text).toSorted((left, right) => right.length - left.length);
  return { word: ranked[0] ?? "", letters: ranked[0]?.length ?? 0 };
}

function tidy(text: string): TaskResult {
  return { tidied: text.normalize("NFC").replaceAll(/\s+/g, " ").trim() };
}

function headline(text: string): TaskResult {
  const words = wordsOf(text).slice(0, HEADLINE_WORDS);
  const capitals = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return { headline: capitals.join(" ") };
}

/** Throws URIError for a text that is not well encoded. */
function decode(text: string): TaskResult {
  return { decoded: decodeURIComponent(text) };
}

const TASKS: Readonly<Record<TaskName, (text: string) => TaskResult>> = {
  count,
  frequency,
  longest,
  tidy,
  headline,
  decode,
};

function isTaskName(task: unknown): task is TaskName {
  return typeof task === "string" && Object.hasOwn(TASKS, task);
}

/** The job that the text of an input asks for; a text that is no job is counted. */
export function jobOf(inputText: string): TextJob {
  if (!inputText.startsWith("{")) return { task: "count", text: inputText };
  const job: unknown = JSON.parse(inputText);
  if (typeof job === "object" && job !== null && "task" in job && "text" in job) {
    const { task, text } = job;
    if (isTaskName(task) && typeof text === "string") return { task, text };
  }
  throw new Error("a job has a known task and a text");
}

/** Does a job. Throws when it cannot be done. */
export function perform(job: TextJob): TaskResult {
  return TASKS[job.task](job.text);
}
