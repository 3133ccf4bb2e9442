// The inputs of a fault run: of several kinds and lanes, each carrying as its text what the
// executor is to do with it. The text is also what the checker compares.
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { type Input, InputSchema } from "../../../gen/keelson/runtime/v1/messages_pb.ts";

/** What an executor does with a run that contains an input with this word. */
export type Directive = "complete" | "fail_once" | "poison" | "fatal" | "steps" | "wait";

/** What becomes of an input in the queues. */
export type InputShape = "prompt" | "event" | "steer" | "superseding" | "progress" | "operation";

/** One input to be made. */
export interface InputPlan {
  readonly shape: InputShape;
  readonly key: string;
  readonly text: string;
  /** What superseding and coalescing inputs replace each other by. */
  readonly scope: string;
}

/** From the strongest to the weakest. */
const DIRECTIVES: readonly Directive[] = ["poison", "fatal", "fail_once", "wait", "steps"];

/** Text for an input. */
export function textFor(directive: Directive, name: string): string {
  return `${name} #${directive}`;
}

/** The strongest directive in the texts of a run. */
export function directiveIn(texts: readonly string[]): Directive {
  const found = DIRECTIVES.find((directive) => {
    return texts.some((text) => text.endsWith(`#${directive}`));
  });
  return found ?? "complete";
}

function kindOf({ shape, text, scope }: InputPlan): JsonObject {
  const event = { eventType: "fault.event", payload: { body: text } };
  switch (shape) {
    case "prompt":
      return { prompt: { text } };
    case "event":
      return { externalEvent: event };
    case "steer":
      return { externalEvent: { ...event, handlingMode: "HANDLING_MODE_STEER" } };
    case "superseding":
      return { externalEvent: event, supersessionKey: scope };
    case "progress": {
      const phase = "PEER_RESPONSE_PHASE_IN_PROGRESS";
      const convention = { responseProgress: { peerRequestId: scope, phase } };
      return { peer: { body: text, convention }, supersessionKey: scope };
    }
    case "operation": {
      const started = { kind: "OP_KIND_TOOL_CALL" };
      return { operation: { operationId: text, event: { started } }, source: { system: {} } };
    }
  }
}

/** Makes the input of a plan. */
export function makeInput(plan: InputPlan): Input {
  return fromJson(InputSchema, { idempotencyKey: plan.key, ...kindOf(plan) });
}

/** The text that an input was made with. */
export function textOf({ kind }: Input): string {
  switch (kind.case) {
    case "prompt":
      return kind.value.text;
    case "externalEvent": {
      const payload = kind.value.payload?.kind;
      const body = payload?.case === "structValue" ? payload.value.fields["body"]?.kind : undefined;
      return body?.case === "stringValue" ? body.value : "";
    }
    case "peer":
      return kind.value.body;
    case "operation":
      return kind.value.operationId;
    default:
      return "";
  }
}
