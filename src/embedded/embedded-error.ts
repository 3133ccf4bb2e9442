// The one error the embedded database throws. Its reason is what callers and tests decide by; its
// message is written for the person who reads it on a terminal and always says what to do next.

/** Why the embedded database could not be had, one word per cause. */
export const embeddedErrorReasons = [
  "package_missing",
  "platform_unsupported",
  "glibc_too_old",
  "directory_unusable",
  "directory_in_use",
  "socket_path_too_long",
  "start_failed",
  "start_timed_out",
  "stop_timed_out",
] as const;

/** One of the causes in {@link embeddedErrorReasons}. */
export type EmbeddedErrorReason = (typeof embeddedErrorReasons)[number];

/** The embedded database could not be started, reached or stopped. */
export class EmbeddedError extends Error {
  override readonly name = "EmbeddedError";
  readonly reason: EmbeddedErrorReason;

  constructor(reason: EmbeddedErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
