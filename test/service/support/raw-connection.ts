/** A bare TCP connection, for what no well-behaved client does. */
import { connect, type Socket } from "node:net";
import { once } from "node:events";

/** A connection and everything that came back on it. */
export interface RawConnection {
  readonly socket: Socket;
  /** Resolves with the text received once the other side has closed. */
  readonly closed: Promise<string>;
}

/** Connects and sends bytes; nothing is interpreted. */
export async function connectRaw(port: number, bytes: string | Buffer): Promise<RawConnection> {
  const socket = connect({ host: "127.0.0.1", port });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => socket.destroy());
  const closed = new Promise<string>((resolve) => {
    socket.once("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
  await once(socket, "connect");
  if (bytes.length > 0) socket.write(bytes);
  return { socket, closed };
}
