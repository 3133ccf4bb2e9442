/** What the requests of all actions have in common: preconditions, a reason, an idempotency id. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Preconditions, RuntimeCommand, RuntimeReply } from "../core/runtime/commands.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { epochIdOf, type Revision, type StreamName, type TimeMs } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import type { Caller } from "./caller.ts";
import { checkOptionalEnum } from "./codec/enum-codec.ts";
import { runtimeStates } from "./codec/enums.ts";
import {
  checkBoundedText,
  checkCount,
  checkOptionalId,
  type FieldCheck,
  finish,
  REASON_BYTES_MAX,
} from "./codec/field-check.ts";
import { callerEnvelope, checkRequestMark } from "./command-envelope.ts";
import { requestHash } from "./codec/request-hash.ts";

/** Bytes of an action without what it names, near enough. */
const ACTION_BYTES = 500;

/** Fields that the requests of all actions have. */
export interface ActionRequest {
  readonly runtimeId: string;
  readonly expectedRevision?: bigint | undefined;
  readonly expectedEpochId: string;
  readonly expectedState?: number | undefined;
  readonly validateOnly: boolean;
  readonly reason: string;
  readonly requestId: string;
}

/** What an action's command takes of its request. */
export interface ActionTerms extends Preconditions {
  readonly reason?: string;
}

/** The preconditions and the reason of a request. */
export function actionTermsOf(check: FieldCheck, request: ActionRequest): ActionTerms {
  const epochId = checkOptionalId(check, request.expectedEpochId, "expected_epoch_id");
  const wire = request.expectedState;
  const expectedState = checkOptionalEnum(check, runtimeStates, wire, "expected_state");
  const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
  return {
    ...(epochId === undefined ? {} : { expectedEpochId: epochIdOf(epochId) }),
    ...(expectedState === undefined ? {} : { expectedState }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Checks the rest of a request and makes its envelope. Throws INVALID_FIELD. */
export function actionEnvelopeOf<Desc extends DescMessage>(
  check: FieldCheck,
  caller: Caller,
  schema: Desc,
  request: MessageShape<Desc> & ActionRequest,
  command: RuntimeCommand,
  namedBytes = 0,
): CommandEnvelope<RuntimeCommand> {
  const { expectedRevision: expected } = request;
  const hashOf = (): string => requestHash(schema, request);
  const checked = checkRequestMark(check, request.requestId, hashOf);
  const mark = request.validateOnly ? undefined : checked;
  const revision: Revision | undefined =
    expected === undefined ? undefined : checkCount(check, expected, "expected_revision");
  finish(check);
  const terms = { bytes: ACTION_BYTES + namedBytes, retrySafe: mark !== undefined };
  const envelope = callerEnvelope(caller, command, mark, terms);
  return revision === undefined ? envelope : { ...envelope, expectedRevision: revision };
}

/** What an action did, or would do. */
export interface ActionDone {
  readonly reply: RuntimeReply;
  readonly events: readonly RuntimeEvent[];
  /** The runtime afterwards; as it is when the action was only validated. */
  readonly shown: RuntimeState;
  readonly revision: Revision;
  /** The state that the action leads to, also when it was only validated. */
  readonly after: RuntimeState;
  readonly at: TimeMs;
}

/** Carries an action out, or only looks at what it would do. */
export async function carryOut(
  streams: RuntimeStreams,
  stream: StreamName,
  envelope: CommandEnvelope<RuntimeCommand>,
  validateOnly: boolean,
): Promise<ActionDone> {
  if (!validateOnly) {
    const { reply, events, state, revision, at } = await streams.submit(stream, envelope);
    return { reply, events, shown: state, revision, after: state, at };
  }
  const preview = await streams.preview(stream, envelope);
  if (preview.kind === "refuse") throw new RefusedError(preview.refusal);
  const { reply } = preview;
  const { state: shown, revision, at } = preview.before;
  return preview.kind === "commit"
    ? { reply, events: preview.events, shown, revision, after: preview.after, at: preview.at }
    : { reply, events: [], shown, revision, after: shown, at };
}
