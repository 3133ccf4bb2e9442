/**
 * What a process leaves behind for those who await it. It stands in the payload of the event that
 * ended the process, where the declared type of the event says.
 */
import { isJsonObject, type Json, type JsonObject } from "../shared/json.ts";
import {
  type IncarnationId,
  incarnationIdOf,
  type OwnerId,
  ownerIdOf,
  type TimeMs,
} from "../shared/ids.ts";
import type { DeclaredEventType } from "./registration.ts";
import { select } from "./selector.ts";
import type { TerminalStatus } from "./terms.ts";

/** Who found that nobody will ever end a process. */
export type AbandonWriter =
  | "owner_drain"
  | "sweep"
  | "reconciled_request"
  /** Its worker gave up after as many attempts as it may have. */
  | "engine_gave_up";

/** How a process ended; the tag says which terminal status it leads to. */
export type AwaitOutput =
  | { readonly type: "success"; readonly value: Json; readonly control?: Json }
  | {
      readonly type: "failure";
      readonly class: string;
      readonly code: string;
      readonly message: string;
      readonly raw?: Json;
      readonly control?: Json;
    }
  | {
      readonly type: "cancelled";
      readonly message: string;
      readonly raw?: Json;
      readonly control?: Json;
    }
  | {
      readonly type: "abandoned";
      readonly writer: AbandonWriter;
      /** The worker that had it. */
      readonly owner?: { readonly ownerId: OwnerId; readonly incarnationId: IncarnationId };
      /** When it was found; the time of the event when absent. */
      readonly foundAt?: TimeMs;
    };

/** The terminal status that each kind of output leads to. */
export const STATUS_OF_OUTPUT = {
  success: "completed",
  failure: "failed",
  cancelled: "cancelled",
  abandoned: "abandoned",
} as const satisfies Record<AwaitOutput["type"], TerminalStatus>;

const ABANDON_WRITERS: readonly AbandonWriter[] = [
  "owner_drain",
  "sweep",
  "reconciled_request",
  "engine_gave_up",
];

function textAt(json: JsonObject, name: string): string | undefined {
  const value = json[name];
  return typeof value === "string" ? value : undefined;
}

/** The members `raw` and `control`, as far as they are there. */
function extras(json: JsonObject): { readonly raw?: Json; readonly control?: Json } {
  const { raw, control } = json;
  return {
    ...(raw === undefined ? {} : { raw }),
    ...(control === undefined ? {} : { control }),
  };
}

function ownerFromJson(json: Json | undefined) {
  if (json === undefined || !isJsonObject(json)) return undefined;
  const ownerId = textAt(json, "ownerId");
  const incarnationId = textAt(json, "incarnationId");
  if (ownerId === undefined || incarnationId === undefined) return undefined;
  return { ownerId: ownerIdOf(ownerId), incarnationId: incarnationIdOf(incarnationId) };
}

function abandonedFromJson(json: JsonObject): AwaitOutput | undefined {
  const writer = ABANDON_WRITERS.find((name) => name === json["writer"]);
  if (writer === undefined) return undefined;
  const owner = ownerFromJson(json["owner"]);
  const { foundAt } = json;
  return {
    type: "abandoned",
    writer,
    ...(owner === undefined ? {} : { owner }),
    ...(typeof foundAt === "number" ? { foundAt } : {}),
  };
}

/** The output that JSON of an event's payload holds; undefined when it is none. */
function outputFromJson(json: Json): AwaitOutput | undefined {
  if (!isJsonObject(json)) return undefined;
  const message = textAt(json, "message");
  switch (json["type"]) {
    case "success": {
      const { control } = json;
      const value = json["value"] ?? null;
      return { type: "success", value, ...(control === undefined ? {} : { control }) };
    }
    case "failure": {
      const failureClass = textAt(json, "class");
      const code = textAt(json, "code");
      if (failureClass === undefined || code === undefined || message === undefined) {
        return undefined;
      }
      return { type: "failure", class: failureClass, code, message, ...extras(json) };
    }
    case "cancelled":
      if (message === undefined) return undefined;
      return { type: "cancelled", message, ...extras(json) };
    case "abandoned":
      return abandonedFromJson(json);
    default:
      return undefined;
  }
}

/** Why no output can be read from a payload. */
export interface OutputProblem {
  readonly type: "problem";
  /** The pointer that leads nowhere; absent where it leads to something that is no output. */
  readonly pointer?: string;
}

/**
 * The output of a terminal event. What is selected counts as an output when it has the form of one
 * that leads to the declared status; a completed process may leave any other value, too.
 */
export function outputOf(
  declared: DeclaredEventType,
  payload: Json,
): AwaitOutput | OutputProblem | undefined {
  const { terminal } = declared.semantics;
  if (terminal === undefined) return undefined;
  const selection = select(terminal.output ?? { type: "payload" }, payload);
  if (!selection.found) return { type: "problem", pointer: selection.pointer };
  const output = outputFromJson(selection.value);
  if (output !== undefined && STATUS_OF_OUTPUT[output.type] === terminal.status) return output;
  if (terminal.status !== "completed") return { type: "problem" };
  return { type: "success", value: selection.value };
}
