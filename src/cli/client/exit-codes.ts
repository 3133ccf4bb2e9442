/** What the client commands end with; the same numbers in docs/cli.md. */
import { Code } from "@connectrpc/connect";

/** Codes of the client commands. */
export const CLIENT_EXIT_CODES = {
  ok: 0,
  /** Refused, failed, declined, or an outcome that is not a good one. */
  failed: 1,
  /** The command line, or a field made of it, is wrong whatever the state. */
  usage: 2,
  /** Nobody answers, or the server cannot now: try again later. */
  unavailable: 3,
  /** What was named is not there. */
  notFound: 4,
  /** The state does not allow it. */
  precondition: 5,
  /** Something changed in between: look again. */
  conflict: 6,
  /** The change may or may not have been made. */
  outcomeUnknown: 7,
  /** It was waited for and is not over yet. */
  notOver: 8,
} as const;

/** One of the codes. */
export type ClientExitCode = (typeof CLIENT_EXIT_CODES)[keyof typeof CLIENT_EXIT_CODES];

const BY_STATUS: Readonly<Partial<Record<Code, ClientExitCode>>> = {
  [Code.InvalidArgument]: CLIENT_EXIT_CODES.usage,
  [Code.OutOfRange]: CLIENT_EXIT_CODES.usage,
  [Code.Unavailable]: CLIENT_EXIT_CODES.unavailable,
  [Code.DeadlineExceeded]: CLIENT_EXIT_CODES.unavailable,
  [Code.ResourceExhausted]: CLIENT_EXIT_CODES.unavailable,
  [Code.NotFound]: CLIENT_EXIT_CODES.notFound,
  [Code.FailedPrecondition]: CLIENT_EXIT_CODES.precondition,
  [Code.AlreadyExists]: CLIENT_EXIT_CODES.precondition,
  [Code.Aborted]: CLIENT_EXIT_CODES.conflict,
  [Code.Unknown]: CLIENT_EXIT_CODES.outcomeUnknown,
};

/** The exit code for a call that ended with this status. */
export function exitCodeOfStatus(code: Code): ClientExitCode {
  return BY_STATUS[code] ?? CLIENT_EXIT_CODES.failed;
}
