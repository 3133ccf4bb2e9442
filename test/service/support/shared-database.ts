/**
 * One database in memory and servers over it: one after the other, as after a restart, or side by
 * side. Writes to its journal can be held back, and those of one server can be lost for good.
 */
import { systemClock } from "../../../src/server/system-clock.ts";
import { makeMemoryDatabase } from "../../../src/storage/memory/database.ts";
import type { MemoryScheduler } from "../../../src/storage/memory/gate.ts";
import { type CaseClients, clientsOf } from "./deployment.ts";
import { type ObservedServer, startObservedServer } from "./running-server.ts";

/** A server over the shared database, with clients in the namespace of the case. */
export interface SharedServer extends CaseClients {
  readonly server: ObservedServer;
  /** From now on nothing that it writes to the journal arrives. */
  readonly cutOff: () => void;
}

/** A database and its servers. */
export interface SharedDatabase {
  /** Starts one more server. */
  readonly serve: (environment?: Readonly<Record<string, string>>) => Promise<SharedServer>;
  /** Stops all servers that run and starts a new one. */
  readonly restart: () => Promise<SharedServer>;
  /** Holds writes to the journal back; resolves once so many have arrived meanwhile. */
  readonly hold: (count?: number) => Promise<void>;
  /** Lets the writes land that were held back, and those to come. */
  readonly release: () => void;
  readonly close: () => Promise<void>;
}

/** Opens an empty database. */
export function openSharedDatabase(): SharedDatabase {
  const running: ObservedServer[] = [];
  const lost = new Set<string>();
  let gate: { readonly opened: Promise<void>; readonly arrived: () => void } | undefined;
  let open: () => void = () => undefined;
  let connections = 0;
  let namespace: string | undefined;

  const scheduler: MemoryScheduler = async (operation, apply) => {
    const isWrite = operation.port === "journal" && operation.method === "append";
    if (isWrite) {
      gate?.arrived();
      await gate?.opened;
      if (lost.has(operation.connection)) return "lost";
    }
    apply();
    return "answered";
  };
  const database = makeMemoryDatabase({ clock: systemClock, scheduler });

  function release(): void {
    gate = undefined;
    open();
  }

  async function stopAll(): Promise<void> {
    release();
    lost.clear();
    await Promise.all(running.splice(0).map((server) => server.stop()));
  }

  async function serve(environment: Readonly<Record<string, string>> = {}): Promise<SharedServer> {
    connections += 1;
    const label = `server-${connections}`;
    const storage = database.connect(label);
    const server = await startObservedServer({
      environment,
      logLevel: "fatal",
      wrapStorage: () => storage,
    });
    running.push(server);
    await server.serving;
    const clients = clientsOf(server.url, "grpc", namespace);
    ({ namespace } = clients);
    return { ...clients, server, cutOff: () => lost.add(label) };
  }

  return {
    serve,
    restart: async () => {
      await stopAll();
      return await serve();
    },
    hold: (count = 1) => {
      let missing = count;
      const opened = Promise.withResolvers<void>();
      const arrived = Promise.withResolvers<void>();
      open = opened.resolve;
      const arrive = (): void => {
        missing -= 1;
        if (missing === 0) arrived.resolve();
      };
      gate = { opened: opened.promise, arrived: arrive };
      return arrived.promise;
    },
    release,
    close: stopAll,
  };
}
