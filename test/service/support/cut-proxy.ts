/** A TCP proxy whose connections a test can cut or let fall silent, as networks do. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A proxy in front of a server. */
export interface CutProxy {
  readonly address: string;
  /** Ends all connections without a farewell; new ones are taken. */
  readonly cut: () => void;
  /** Lets all present connections stay open and carry nothing more; new ones work. */
  readonly silence: () => void;
  readonly connectionCount: () => number;
  readonly close: () => void;
}

/** Opens a proxy on a free port of the loopback. */
export async function openCutProxy(targetPort: number): Promise<CutProxy> {
  const sockets = new Set<Socket>();

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  }

  const server = createServer((incoming) => {
    const outgoing = connect({ host: "127.0.0.1", port: targetPort });
    keep(incoming);
    keep(outgoing);
    incoming.pipe(outgoing).pipe(incoming);
    incoming.on("close", () => outgoing.destroy());
    outgoing.on("close", () => incoming.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const listened = server.address();
  if (listened === null || typeof listened === "string") throw new Error("no port");
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const silence = (): void => {
    for (const socket of sockets) socket.unpipe().resume();
  };
  return {
    address: `127.0.0.1:${listened.port}`,
    cut,
    silence,
    connectionCount: () => sockets.size / 2,
    close: () => {
      cut();
      server.close();
    },
  };
}
