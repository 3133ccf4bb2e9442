/**
 * One HTTP/2 connection to a server, kept alive by pings and opened anew when it is lost. The
 * protocol library brings a keep-alive of its own that can end the process: it lets a lost session
 * emit its error with nobody listening, and pings sessions that are gone. Here every session has a
 * listener from its first moment to its last, and only living ones are pinged.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";

/** How a connection is kept. */
export interface KeptConnectionOptions {
  /** Silence after which the server is pinged. */
  readonly pingIntervalMs: number;
  /** Time for the answer to a ping, and for opening a connection; longer means it is lost. */
  readonly answerTimeoutMs: number;
  /** Whether a connection without calls is pinged too, so that its loss is known early. */
  readonly isPingedWhenIdle: boolean;
}

/** A connection as the transports of the protocol library use it. */
export interface KeptConnection {
  /** Origin of the server's URL. */
  readonly authority: string;
  /** Begins a call; opens or checks the connection first. Rejects with what the network said. */
  readonly request: (
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ) => Promise<ClientHttp2Stream>;
  /** Called for every piece of an answer: the server lives. */
  readonly notifyResponseByteRead: (stream: ClientHttp2Stream) => void;
  /** Ends the connection and every call on it; a later call opens another. */
  readonly abort: () => void;
}

/** One session from its opening to its loss. */
interface Line {
  readonly session: ClientHttp2Session;
  /** Resolves when it can carry calls; rejects when it could not be opened. */
  readonly opened: Promise<void>;
  openCalls: number;
  /** When the server last showed that it lives, on a clock that only goes forward. */
  aliveAtMs: number;
  /** The ping under way; all who want to know wait for the same one. */
  check: Promise<void> | undefined;
}

// A session can end between being found alive and carrying the call; more often is an outage.
const REQUEST_TRIES = 3;

/** Whether new calls may begin on it: it is neither lost nor told to go away. */
function isUsable({ session }: Line): boolean {
  return !session.closed && !session.destroyed;
}

function lose({ session }: Line, message: string): void {
  session.destroy(new ConnectError(message, Code.Unavailable), constants.NGHTTP2_CANCEL);
}

/** Resolves when a session is open; rejects when it ends before that. */
function opening(session: ClientHttp2Session): Promise<void> {
  const opened = new Promise<void>((resolve, reject) => {
    session.once("connect", () => resolve());
    session.once("error", reject);
    session.once("close", () => {
      reject(new ConnectError("the connection was closed", Code.Unavailable));
    });
  });
  // Whoever opened it may have given up; those who still wait see the rejection all the same.
  opened.catch(() => undefined);
  return opened;
}

/** Pings a line once; afterwards it is known to live, or it is destroyed. */
function ping(line: Line, answerTimeoutMs: number): Promise<void> {
  const { session } = line;
  return new Promise((resolve) => {
    const late = setTimeout(() => lose(line, "the server answers no ping"), answerTimeoutMs);
    session.once("close", settle);
    function settle(): void {
      clearTimeout(late);
      session.off("close", settle);
      resolve();
    }
    session.ping((error) => {
      if (error === null) line.aliveAtMs = performance.now();
      settle();
    });
  });
}

/** Makes the connection to the server of a URL; nothing is opened before the first call. */
export function makeKeptConnection(url: string, options: KeptConnectionOptions): KeptConnection {
  const { pingIntervalMs, answerTimeoutMs, isPingedWhenIdle } = options;
  const authority = new URL(url).origin;
  let current: Line | undefined;

  /** Makes sure that a line which was silent for long is alive, or destroys it. */
  async function check(line: Line): Promise<void> {
    if (!isUsable(line) || performance.now() - line.aliveAtMs < pingIntervalMs) return;
    line.check ??= ping(line, answerTimeoutMs).finally(() => {
      line.check = undefined;
    });
    await line.check;
  }

  function open(): Line {
    const session = connect(authority);
    const line: Line = {
      session,
      opened: opening(session),
      openCalls: 0,
      aliveAtMs: performance.now(),
      check: undefined,
    };
    const late = setTimeout(() => lose(line, "the server cannot be reached"), answerTimeoutMs);
    const pings = setInterval(() => {
      if (!session.connecting && (line.openCalls > 0 || isPingedWhenIdle)) void check(line);
    }, pingIntervalMs);
    // An idle connection does not keep the process alive, and neither does looking after it.
    pings.unref();
    session.once("connect", () => {
      clearTimeout(late);
      line.aliveAtMs = performance.now();
      if (line.openCalls === 0) session.unref();
    });
    // The calls on a session are told by their streams; its own error only must be heard.
    session.on("error", () => undefined);
    session.once("close", () => {
      clearTimeout(late);
      clearInterval(pings);
    });
    return line;
  }

  async function usableLine(): Promise<Line> {
    if (current !== undefined) await check(current);
    if (current === undefined || !isUsable(current)) current = open();
    const line = current;
    await line.opened;
    return line;
  }

  function countCall(line: Line, stream: ClientHttp2Stream): void {
    line.openCalls += 1;
    if (line.openCalls === 1) line.session.ref();
    stream.once("close", () => {
      line.openCalls -= 1;
      if (line.openCalls === 0) line.session.unref();
    });
  }

  return {
    authority,
    request: async (method, path, headers, requestOptions) => {
      for (let triesLeft = REQUEST_TRIES - 1; ; triesLeft -= 1) {
        const line = await usableLine();
        try {
          const stream = line.session.request(
            { ...headers, ":method": method, ":path": path },
            requestOptions,
          );
          countCall(line, stream);
          return stream;
        } catch (error) {
          if (isUsable(line) || triesLeft === 0) throw error;
        }
      }
    },
    notifyResponseByteRead: ({ session }) => {
      if (current !== undefined && session === current.session) {
        current.aliveAtMs = performance.now();
      }
    },
    abort: () => {
      const line = current;
      current = undefined;
      line?.session.destroy(
        new ConnectError("connection aborted", Code.Canceled),
        constants.NGHTTP2_CANCEL,
      );
    },
  };
}
