/** A caller's command on its way to a stream: who asked, by which request id, how large it is. */
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import type { Caller } from "./caller.ts";
import { checkOptionalId, type FieldCheck } from "./codec/field-check.ts";

/** The idempotency of a call: its id and the hash of its content. */
export interface RequestMark {
  readonly requestId: string;
  readonly bodyHash: string;
}

/** The mark of a call; undefined for one without a request id. */
export function checkRequestMark(
  check: FieldCheck,
  requestId: string,
  hashOf: () => string,
): RequestMark | undefined {
  const checked = checkOptionalId(check, requestId, "request_id");
  return checked === undefined ? undefined : { requestId: checked, bodyHash: hashOf() };
}

/** The envelope of a caller's command. */
export function callerEnvelope<Command extends { readonly type: string }>(
  caller: Pick<Caller, "actor">,
  command: Command,
  mark: RequestMark | undefined,
  terms: Pick<CommandEnvelope<Command>, "bytes" | "retrySafe">,
): CommandEnvelope<Command> {
  return {
    command,
    name: command.type,
    ...(caller.actor === undefined ? {} : { actor: caller.actor }),
    ...mark,
    ...terms,
  };
}
