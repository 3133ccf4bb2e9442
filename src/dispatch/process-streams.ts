/** The streams of processes and their commits, as dispatch sees them. */
import type { ProcessCommand, ProcessReply } from "../core/process/commands.ts";
import type { ProcessStreamEvent } from "../core/process/events.ts";
import type { ProcessState } from "../core/process/state.ts";
import type { Streams } from "../engine/streams.ts";

/** Streams of processes. */
export type ProcessStreams = Streams<
  ProcessState,
  ProcessCommand,
  ProcessStreamEvent,
  ProcessReply
>;
