// A gate between a server and its database: every message passes, until a case has it stop at one.
// So a server can be killed between two steps of its own, wherever it writes something between
// them, and the case knows that it was there.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import {
  commandName,
  insertNamespace,
  makeMessageAssembler,
} from "../../../src/embedded/wire-messages.ts";

/** Whether a message to the database is the one that a case waits for. */
export type Sought = (message: Buffer) => boolean;

/** `before` the database gets the message, or `after` it did what was asked, the answer unheard. */
export type Place = "before" | "after";

/** A place that a server is to be stopped at. */
export interface Stop {
  /** Resolves with the message once a server stands there; every later one like it stands, too. */
  readonly reached: Promise<Buffer>;
  readonly isReached: () => boolean;
  /** Lets those that stand there go on, and stops nobody any more. */
  readonly lift: () => void;
}

/** The gate of one database. */
export interface DatabaseGate {
  /** Where servers find the database. */
  readonly uri: string;
  readonly stopAt: (place: Place, sought: Sought) => Stop;
  /** Ends all connections: what a dead server had sent arrives no more. */
  readonly cut: () => void;
  readonly close: () => void;
}

interface OpenStop {
  readonly place: Place;
  readonly sought: Sought;
  readonly reach: (message: Buffer) => void;
  /** Those that stand here, and how each goes on. */
  readonly held: (() => void)[];
}

const REQUEST_ID_OFFSET = 4;
const ANSWERED_ID_OFFSET = 8;

/** Messages that put an event of this type into the journal of a runtime. */
export function committed(runtimeId: string, eventType: string): Sought {
  const words = [`runtime/default/${runtimeId}`, `"type":"${eventType}"`];
  return (message) => {
    const isInsert = commandName(message) === "insert";
    const isJournal = isInsert && insertNamespace(message)?.endsWith(".journal") === true;
    return isJournal && words.every((word) => message.includes(word));
  };
}

/** Messages with this command that name all of these words. */
export function commanded(command: string, ...words: readonly string[]): Sought {
  return (message) => {
    return commandName(message) === command && words.every((word) => message.includes(word));
  };
}

/** Calls back with every whole message that arrives. */
function onMessages(socket: Socket, take: (message: Buffer) => void): void {
  const assembler = makeMessageAssembler();
  socket.on("data", (chunk: Buffer) => {
    assembler.push(chunk);
    for (let next = assembler.take(); next; next = assembler.take()) take(next);
  });
}

/** Ends both ends of a connection with either. */
function tie(one: Socket, other: Socket): void {
  for (const [socket, opposite] of [
    [one, other],
    [other, one],
  ] as const) {
    socket.on("error", () => socket.destroy());
    socket.on("close", () => opposite.destroy());
  }
}

/** Opens a gate on a free port of the loopback, in front of the database at a socket. */
export async function openDatabaseGate(socketPath: string): Promise<DatabaseGate> {
  const stops = new Set<OpenStop>();
  const sockets = new Set<Socket>();

  function stopFor(message: Buffer): OpenStop | undefined {
    return [...stops].find(({ sought }) => sought(message));
  }

  function pass(server: Socket): void {
    const database = connect(socketPath);
    const awaited = new Map<number, [stop: OpenStop, message: Buffer]>();
    tie(server, database);
    for (const socket of [server, database]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    onMessages(server, (message) => {
      const stop = stopFor(message);
      if (stop?.place === "before") {
        stop.held.push(() => database.write(message));
        stop.reach(message);
        return;
      }
      if (stop) awaited.set(message.readInt32LE(REQUEST_ID_OFFSET), [stop, message]);
      database.write(message);
    });
    onMessages(database, (answer) => {
      const id = answer.readInt32LE(ANSWERED_ID_OFFSET);
      const [stop, message] = awaited.get(id) ?? [];
      awaited.delete(id);
      const isDone = !answer.includes("writeErrors");
      if (!stop || !message || !stops.has(stop) || !isDone) {
        server.write(answer);
        return;
      }
      stop.held.push(() => server.write(answer));
      stop.reach(message);
    });
  }

  function cut(): void {
    for (const socket of sockets) socket.destroy();
  }

  const listener = createServer(pass);
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("a gate without a port");
  return {
    uri: `mongodb://127.0.0.1:${address.port}/?directConnection=true&retryWrites=false`,
    stopAt: (place, sought) => {
      const { promise: reached, resolve } = Promise.withResolvers<Buffer>();
      let isReached = false;
      const reach = (message: Buffer): void => {
        isReached = true;
        resolve(message);
      };
      const stop: OpenStop = { place, sought, reach, held: [] };
      stops.add(stop);
      const lift = (): void => {
        stops.delete(stop);
        for (const goOn of stop.held.splice(0)) goOn();
      };
      return { reached, isReached: () => isReached, lift };
    },
    cut,
    close: () => {
      listener.close();
      cut();
    },
  };
}
