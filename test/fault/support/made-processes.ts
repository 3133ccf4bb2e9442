// The processes of a fault run: what they are registered as, and what a worker is to do with them.
import { fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { z } from "zod";
import {
  type Process,
  ProcessDisposition,
  type ProcessOutput,
  type ProcessOutputSchema,
  type ProcessRegistrationSchema,
  type ProcessState,
  ProcessStateSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";

/** The kind that workers claim. */
export const JOB_KIND = "job";

/** What a worker does with a job. */
const jobSchema = z.object({
  /** Events that it appends, one after the other. */
  steps: z.int().positive(),
  /** How long it works after them, unless it is to cancel. */
  workMs: z.int().nonnegative(),
  /** Whether its first holder gives it back half-way, and then goes on as if it had it. */
  yields: z.boolean(),
  /** The runtime that is told of the result. */
  runtimeId: z.string(),
});

/** See {@link jobSchema}. */
export type Job = z.infer<typeof jobSchema>;

type Registration = MessageInitShape<typeof ProcessRegistrationSchema>;
type Output = MessageInitShape<typeof ProcessOutputSchema>;

const EVENT_TYPES = [
  { name: "step" },
  {
    name: "news",
    semantics: { wake: { input: { selector: { case: "payload", value: {} } } } },
  },
] as const;

/** JSON on the wire. */
export function valueOf(json: JsonValue): Value {
  return fromJson(ValueSchema, json);
}

/** JSON of the wire as a text that can be compared. */
export function contentOf(value: Value | undefined): string {
  return value === undefined ? "null" : JSON.stringify(toJson(ValueSchema, value));
}

/** A process that workers run. */
export function jobOf(processId: string, job: Job): Registration {
  const payload = valueOf(job);
  return {
    processId,
    input: { kind: { case: "engine", value: { kind: JOB_KIND, payload } } },
    identity: { kind: JOB_KIND },
    eventTypes: [...EVENT_TYPES],
    provenance: { originator: { case: "host", value: {} } },
    disposition: ProcessDisposition.RERUNNABLE,
    envRef: "none",
  };
}

/** A process that its client runs by itself. */
export function externalOf(processId: string): Registration {
  return {
    processId,
    input: { kind: { case: "external", value: {} } },
    eventTypes: [...EVENT_TYPES],
    provenance: { originator: { case: "host", value: {} } },
    disposition: ProcessDisposition.EXTERNALLY_OWNED,
  };
}

/** What a worker is to do with a process. */
export function jobIn({ processId, input }: Process): Job {
  if (input?.kind.case !== "engine") throw new Error(`${processId} is no job`);
  return jobSchema.parse(JSON.parse(contentOf(input.kind.value.payload)));
}

/** An output that names who made it. */
export function outputBy(name: string, isCancelled: boolean): Output {
  return isCancelled
    ? { output: { case: "cancelled", value: { message: name } } }
    : { output: { case: "success", value: { value: valueOf(name) } } };
}

/** An output as a text that can be compared. */
export function outputText(output: ProcessOutput | undefined): string {
  switch (output?.output.case) {
    case "success":
      return contentOf(output.output.value.value);
    case "cancelled":
      return JSON.stringify(output.output.value.message);
    default:
      return output?.output.case ?? "";
  }
}

/** Name of a state as the contract has it. */
export function stateName(state: ProcessState | undefined): string {
  return state === undefined ? "" : (ProcessStateSchema.value[state]?.name ?? "");
}
