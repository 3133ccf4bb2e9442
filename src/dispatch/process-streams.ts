/** The streams of processes and their commits, as the rest of the server sees them. */
import type { ProcessCommand, ProcessReply } from "../core/process/commands.ts";
import type { ProcessStreamEvent } from "../core/process/events.ts";
import type { ProcessState } from "../core/process/state.ts";
import type { FoldedCommit, StreamFold } from "../engine/stream-fold.ts";
import type { Streams } from "../engine/streams.ts";

/** Streams of processes. */
export type ProcessStreams = Streams<
  ProcessState,
  ProcessCommand,
  ProcessStreamEvent,
  ProcessReply
>;

/** One commit of a process with the states around it. */
export type ProcessCommit = FoldedCommit<ProcessState, ProcessStreamEvent>;

/** A process's folded state at a revision. */
export type ProcessFold = StreamFold<ProcessState>;
