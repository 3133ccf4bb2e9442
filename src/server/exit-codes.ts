/** How a process of ours ends. */

/** Codes that a server, or a command that could not reach one, ends with. */
export const EXIT_CODES = {
  ok: 0,
  /** Something unforeseen, or a second signal. */
  failed: 1,
  /** The configuration or the command line cannot be used. */
  usage: 2,
  /** The port cannot be had. */
  portUnavailable: 3,
  /** The database cannot be used: too old, or not to be had on this machine. */
  databaseUnusable: 4,
} as const;
