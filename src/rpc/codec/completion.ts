/** What waiters are told, on the wire; and what executors report as the outcome of a run. */
import { create } from "@bufbuild/protobuf";
import type {
  InputCompletion as CoreInputCompletion,
  TerminationReason,
} from "../../core/runtime/completion.ts";
import type { RunOutcome, RunResult as CoreRunResult } from "../../core/runtime/input.ts";
import {
  type CallbackPending,
  type InputCompletion,
  InputCompletionSchema,
  type RunResult,
  RunResultSchema,
  RuntimeTerminationReason,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { abandonReasons, inputStates } from "./enums.ts";
import { checkId, checkText, type FieldCheck, violate } from "./field-check.ts";
import { jsonFromProto, jsonToProto } from "./json-value.ts";

const USAGE_ENTRIES_MAX = 64;

const terminationReasons = makeEnumCodec<TerminationReason, RuntimeTerminationReason>({
  retired: RuntimeTerminationReason.RETIRED,
  reset: RuntimeTerminationReason.RESET,
  stopped: RuntimeTerminationReason.STOPPED,
  destroyed: RuntimeTerminationReason.DESTROYED,
  unregistered: RuntimeTerminationReason.UNREGISTERED,
});

/** The result of a run. */
function runResultToProto(result: CoreRunResult): RunResult {
  const { text, structured, usage } = result;
  const amounts = Object.entries(usage ?? {}).flatMap(([name, amount]) =>
    typeof amount === "number" ? [[name, amount] as const] : [],
  );
  return create(RunResultSchema, {
    text,
    ...(structured === undefined ? {} : { structured: jsonToProto(structured) }),
    usage: Object.fromEntries(amounts),
  });
}

/** The result that an executor reports. */
export function runResultFromProto(
  check: FieldCheck,
  result: RunResult,
  field: string,
): CoreRunResult {
  const text = checkText(check, result.text, `${field}.text`);
  const usage = Object.entries(result.usage);
  if (usage.length > USAGE_ENTRIES_MAX) {
    const rule = `at most ${USAGE_ENTRIES_MAX} are allowed`;
    violate(check, `${field}.usage`, `has ${usage.length} entries, ${rule}`);
  }
  for (const [name, amount] of usage) {
    checkId(check, name, `${field}.usage`);
    if (!Number.isFinite(amount)) violate(check, `${field}.usage`, "must hold finite numbers");
  }
  const { structured } = result;
  return {
    text,
    ...(structured === undefined
      ? {}
      : { structured: jsonFromProto(check, structured, `${field}.structured`) }),
    ...(usage.length === 0 ? {} : { usage: Object.fromEntries(usage) }),
  };
}

/** The call of an outside tool that an executor waits for. */
export function callbackFromProto(
  check: FieldCheck,
  callback: CallbackPending,
  field: string,
): Extract<RunOutcome, { readonly type: "callback_pending" }> {
  const toolName = checkId(check, callback.toolName, `${field}.tool_name`);
  const args = jsonFromProto(check, callback.args, `${field}.args`);
  return { type: "callback_pending", toolName, args };
}

/** What a waiter is told. */
export function completionToProto(completion: CoreInputCompletion): InputCompletion {
  switch (completion.type) {
    case "completed": {
      const value = { result: runResultToProto(completion.result) };
      return create(InputCompletionSchema, { outcome: { case: "completed", value } });
    }
    case "completed_without_result":
      return create(InputCompletionSchema, {
        outcome: { case: "completedWithoutResult", value: {} },
      });
    case "callback_pending": {
      const value = { toolName: completion.toolName, args: jsonToProto(completion.args) };
      return create(InputCompletionSchema, { outcome: { case: "callbackPending", value } });
    }
    case "abandoned": {
      const { attempts, detail = "" } = completion;
      const value = { reason: abandonReasons.toProto(completion.reason), detail, attempts };
      return create(InputCompletionSchema, { outcome: { case: "abandoned", value } });
    }
    case "superseded": {
      const value = { byInputId: completion.supersededBy };
      return create(InputCompletionSchema, { outcome: { case: "superseded", value } });
    }
    case "coalesced": {
      const value = { aggregateId: completion.aggregateId };
      return create(InputCompletionSchema, { outcome: { case: "coalesced", value } });
    }
    case "runtime_terminated": {
      const value = { reason: terminationReasons.toProto(completion.reason) };
      return create(InputCompletionSchema, { outcome: { case: "runtimeTerminated", value } });
    }
    case "pending": {
      const value = { state: inputStates.toProto(completion.state) };
      return create(InputCompletionSchema, { outcome: { case: "pending", value } });
    }
  }
}
