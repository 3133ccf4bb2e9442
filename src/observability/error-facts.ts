/**
 * What of an error may be logged. Errors of libraries quote what they choke on (a parser its input,
 * a driver the document), so only errors whose words are ours or the system's keep their message;
 * of all others remain the kind, the code and the place.
 */

/** An error as it is logged. */
export interface ErrorFacts {
  readonly type: string;
  readonly message?: string;
  readonly code?: string | number;
  readonly reason?: string;
  /** Frames only; the first line of a stack repeats the message. */
  readonly frames?: readonly string[];
  readonly cause?: ErrorFacts;
}

const OWN_WORDS: ReadonlySet<string> = new Set([
  "ConfigError",
  "EmbeddedError",
  "FoldError",
  "RangeError",
  "ReferenceError",
  "RefusedError",
  "StorageError",
  "TypeError",
]);
const FRAMES_MAX = 12;
const CAUSES_MAX = 4;
const SYSTEM_CODE = /^(E[A-Z0-9_]+|HPE_[A-Z_]+)$/;

function codeOf(error: object): string | number | undefined {
  if (!("code" in error)) return undefined;
  const { code } = error;
  return typeof code === "string" || typeof code === "number" ? code : undefined;
}

function reasonOf(error: object): string | undefined {
  if ("refusal" in error && typeof error.refusal === "object" && error.refusal !== null) {
    return reasonOf(error.refusal);
  }
  return "reason" in error && typeof error.reason === "string" ? error.reason : undefined;
}

function framesOf(error: Error): readonly string[] {
  const lines = (error.stack ?? "").split("\n").map((line) => line.trim());
  return lines.filter((line) => line.startsWith("at ")).slice(0, FRAMES_MAX);
}

/** Turns anything thrown into what may be logged. */
export function errorFacts(error: unknown, depth = 0): ErrorFacts {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = codeOf(error);
  const isSystem = typeof code === "string" && SYSTEM_CODE.test(code);
  const reason = reasonOf(error);
  const hasCause = error.cause !== undefined && depth < CAUSES_MAX;
  return {
    type: error.name,
    ...(OWN_WORDS.has(error.name) || isSystem ? { message: error.message } : {}),
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
    frames: framesOf(error),
    ...(hasCause ? { cause: errorFacts(error.cause, depth + 1) } : {}),
  };
}
