/**
 * Tells HTTP/2 from everything else by the first bytes of a connection and puts them back. Only the
 * exact preface of HTTP/2 counts; the parser of HTTP/1.1 judges the rest, garbage included.
 */
import type { Socket } from "node:net";

/** What a connection speaks; `silent`: it said nothing in time or hung up. */
export type SniffedProtocol = "http1" | "http2" | "silent";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The verdict on the bytes so far; undefined while they may become either. */
function judge(bytes: Buffer): "http1" | "http2" | undefined {
  const length = Math.min(bytes.length, PREFACE.length);
  if (!bytes.subarray(0, length).equals(PREFACE.subarray(0, length))) return "http1";
  return length === PREFACE.length ? "http2" : undefined;
}

/** Reads as little as it takes and calls back once; the socket is then as if untouched. */
export function sniffProtocol(
  socket: Socket,
  timeoutMs: number,
  onSniffed: (protocol: SniffedProtocol) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => finish("silent"), timeoutMs);

  function finish(protocol: SniffedProtocol): void {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    socket.off("close", onEnd);
    onSniffed(protocol);
  }

  function onEnd(): void {
    // A few bytes of a preface and then the end: nothing that could be answered.
    finish("silent");
  }

  function onReadable(): void {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const protocol = judge(seen);
    if (!protocol) return;
    socket.unshift(seen);
    finish(protocol);
  }

  socket.on("readable", onReadable);
  socket.once("end", onEnd);
  socket.once("close", onEnd);
}
