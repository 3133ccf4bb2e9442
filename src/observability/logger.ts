/**
 * The log of a process: one JSON object per line, or lines for people on a terminal. Messages are
 * constant, what varies is in fields; a boundary (engine, rpc, embedded, server) has a child of its
 * own. Payloads, tokens and headers have no field to be in, and errors pass through `errorFacts`.
 */
import { pino, type DestinationStream, type Logger } from "pino";
import { PinoPretty } from "pino-pretty";
import { errorFacts } from "./error-facts.ts";

/** How a process logs. */
export interface LoggerOptions {
  readonly level: string;
  readonly format: "json" | "pretty";
  /** Where lines go; standard output unless given. */
  readonly destination?: DestinationStream;
}

/** The part of the server that writes a line. */
export type Boundary = "server" | "engine" | "rpc" | "embedded" | "listener";

/** Makes the logger of a process. */
export function makeLogger(options: LoggerOptions): Logger {
  const { level, format, destination } = options;
  const stream =
    destination ??
    (format === "pretty"
      ? PinoPretty({
          colorize: true,
          ignore: "pid,hostname,service,boundary",
          singleLine: true,
          translateTime: "HH:MM:ss.l",
        })
      : pino.destination({ dest: 1, sync: true }));
  return pino(
    {
      level,
      base: { service: "keelson" },
      serializers: { err: (error: unknown) => errorFacts(error) },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    stream,
  );
}

/** The logger of one boundary. */
export function loggerOf(logger: Logger, boundary: Boundary): Logger {
  return logger.child({ boundary });
}
