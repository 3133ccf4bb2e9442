/** How the process ends: politely at the first signal, at once at the second. */
import type { Logger } from "pino";
import type { RunningServer } from "./compose.ts";
import { EXIT_CODES } from "./exit-codes.ts";

/** Ends the process, with its last lines written. */
export function endProcess(logger: Logger, code: number): never {
  logger.flush();
  process.exit(code);
}

/** Ties the life of the process to signals and to what nobody caught. */
export function watchProcess(server: RunningServer, logger: Logger): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) {
      logger.warn({ signal }, "second signal, the process ends at once");
      endProcess(logger, EXIT_CODES.failed);
    }
    isStopping = true;
    logger.info({ signal }, "signal received");
    void server.stop().then(() => endProcess(logger, EXIT_CODES.ok));
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  const onUncaught = (error: unknown): void => {
    logger.fatal({ err: error }, "uncaught error, the process ends");
    endProcess(logger, EXIT_CODES.failed);
  };
  process.on("uncaughtException", onUncaught);
  process.on("unhandledRejection", onUncaught);
}
