/** Turns what the engine tells into metrics and log lines. */
import type { Logger } from "pino";
import type { EngineObserver } from "../engine/observer.ts";
import type { Metrics } from "./metrics.ts";

const MS_PER_SECOND = 1000;

/** Makes the observer of an engine. */
export function makeEngineObserver(metrics: Metrics, logger: Logger): EngineObserver {
  return {
    batchStored: (commits, bytes, durationMs) => {
      metrics.batchCommits.observe(commits);
      metrics.batchBytes.inc(bytes);
      metrics.batchSeconds.observe(durationMs / MS_PER_SECOND);
    },
    batchRetried: (commits, attempt, error) => {
      metrics.batchRetries.inc();
      logger.warn({ commits, attempt, err: error }, "write to the journal is sent again");
    },
    conflict: (stream) => {
      metrics.conflicts.inc();
      logger.debug({ stream }, "another replica committed first");
    },
    streamBroken: (stream, error) => {
      metrics.brokenStreams.inc();
      logger.error({ stream, err: error }, "stream is refused from now on");
    },
    streamRepaired: (stream) => {
      metrics.repairedStreams.inc();
      logger.info({ stream }, "view of a stream was behind and is written again");
    },
    backgroundFailed: (task, error) => {
      metrics.backgroundFailures.inc({ task });
      logger.warn({ task, err: error }, "background work failed and is tried again");
    },
    checkpointStored: (stream, rows, bytes) => {
      metrics.checkpoints.inc();
      metrics.checkpointBytes.inc(bytes);
      logger.debug({ stream, rows, bytes }, "checkpoint stored");
    },
    streamLoaded: (stream, commits, durationMs) => {
      metrics.loadCommits.observe(commits);
      metrics.loadSeconds.observe(durationMs / MS_PER_SECOND);
      logger.debug({ stream, commits, durationMs }, "stream loaded");
    },
  };
}
