// Gives a replica its embedded database: finds the host of a data directory, or starts one.
import type { EmbeddedDatabase, EmbeddedOptions } from "./embedded-database.ts";
import { chooseSocketPath, prepareHostPaths } from "./host-files.ts";
import { HostKeeper } from "./host-keeper.ts";

/** Finds or starts the host of a data directory and watches over it. Throws EmbeddedError. */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const paths = await prepareHostPaths(options.dataDirectory);
  const socketPath = await chooseSocketPath(paths, options.runtimeDirectory);
  const keeper = new HostKeeper(options, paths, socketPath);
  await keeper.start();
  return {
    uri: uriOfSocket(socketPath),
    socketPath,
    dataDirectory: options.dataDirectory,
    pid: () => keeper.pid(),
    leave: () => keeper.leave(),
    stop: () => keeper.stop(),
  };
}

function uriOfSocket(socketPath: string): string {
  return `mongodb://${encodeURIComponent(socketPath)}/?directConnection=true&retryWrites=false`;
}
