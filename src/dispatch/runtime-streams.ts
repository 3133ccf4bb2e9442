/** The streams of runtimes and their commits, as dispatch sees them. */
import type { RuntimeCommand, RuntimeReply } from "../core/runtime/commands.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { FoldedCommit } from "../engine/stream-fold.ts";
import type { Streams } from "../engine/streams.ts";

/** Streams of runtimes. */
export type RuntimeStreams = Streams<RuntimeState, RuntimeCommand, RuntimeEvent, RuntimeReply>;

/** One commit of a runtime with the states around it. */
export type RuntimeCommit = FoldedCommit<RuntimeState, RuntimeEvent>;
