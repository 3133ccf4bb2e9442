/** The one place that reads the environment of the process. */
import type { Environment } from "./config.ts";

/** The variables of this process, as they are now. */
export function processEnvironment(): Environment {
  return { ...process.env };
}
