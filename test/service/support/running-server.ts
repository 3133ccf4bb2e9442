/** Servers in this process, on free ports, each with a log that can be read. */
import { Writable } from "node:stream";
import { type Environment, type Flags, readConfig } from "../../../src/config/config.ts";
import { makeLogger } from "../../../src/observability/logger.ts";
import {
  type RunningServer,
  type ServerOptions,
  startServer,
} from "../../../src/server/compose.ts";

/** A server with its log. */
export interface ObservedServer extends RunningServer {
  /** Every line logged so far, as text. */
  readonly logLines: readonly string[];
}

/** How a server is started; in memory and on a free port unless told otherwise. */
export interface ServerSetup {
  readonly environment?: Environment;
  readonly flags?: Flags;
  readonly logLevel?: string;
  readonly wrapStorage?: ServerOptions["wrapStorage"];
}

/** Starts a server; it may not serve yet. */
export async function startObservedServer(setup: ServerSetup = {}): Promise<ObservedServer> {
  const logLines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      logLines.push(chunk.toString());
      done();
    },
  });
  const config = readConfig({
    command: "dev",
    environment: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...setup.environment },
    flags: { port: "0", ...(setup.flags ?? { inMemory: true }) },
  });
  const logger = makeLogger({ level: setup.logLevel ?? "debug", format: "json", destination });
  const { wrapStorage } = setup;
  const server = await startServer(config, {
    logger,
    onProgress: () => undefined,
    ...(wrapStorage === undefined ? {} : { wrapStorage }),
  });
  return { ...server, logLines };
}
