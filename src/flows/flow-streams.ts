/** The streams that flows work between, and how they are named. */
import { grantsAggregate } from "../core/grants/aggregate.ts";
import type { GrantsCommand, GrantsReply } from "../core/grants/commands.ts";
import type { GrantsEvent } from "../core/grants/events.ts";
import type { GrantsState } from "../core/grants/state.ts";
import { processAggregate } from "../core/process/aggregate.ts";
import { type SessionId, sessionIdOf, type StreamName } from "../core/shared/ids.ts";
import { type RefusalReason, RefusedError } from "../core/shared/refusal.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import type { FoldedCommit } from "../engine/stream-fold.ts";
import { parseStreamName, type StreamAddress, streamName } from "../engine/stream-name.ts";
import type { Streams } from "../engine/streams.ts";

/** Streams of grants, one per session. */
export type GrantsStreams = Streams<GrantsState, GrantsCommand, GrantsEvent, GrantsReply>;

/** One commit of the grants of a session. */
export type GrantsCommit = FoldedCommit<GrantsState, GrantsEvent>;

/** Bytes of a command of a flow without what it carries, near enough. */
const COMMAND_BYTES = 200;

/** The stream of the grants of a session. */
export function grantsStreamOf(namespace: string, sessionId: string): StreamName {
  return streamName(grantsAggregate.kind, namespace, sessionId);
}

/** The stream of a process. */
export function processStreamOf(namespace: string, processId: string): StreamName {
  return streamName(processAggregate.kind, namespace, processId);
}

/** The components of a stream's name. */
export function addressOf(stream: StreamName): StreamAddress {
  const address = parseStreamName(stream);
  if (!address) throw new TypeError(`Not the name of a stream: ${stream}`);
  return address;
}

/** The session whose grants a stream holds. */
export function sessionOf(stream: StreamName): SessionId {
  return sessionIdOf(addressOf(stream).id);
}

/** Whether somebody was refused for one of these reasons. */
export function isRefusedFor(error: unknown, reasons: readonly RefusalReason[]): boolean {
  return error instanceof RefusedError && reasons.includes(error.refusal.reason);
}

/** A command of a flow: it may be repeated, and nobody in particular asks for it. */
export function flowEnvelope<Command extends { readonly type: string }>(
  command: Command,
  carriedBytes = 0,
): CommandEnvelope<Command> {
  return { command, name: command.type, bytes: COMMAND_BYTES + carriedBytes, retrySafe: true };
}
