/** Registrations, events and outputs of processes, as short as a case needs them. */
import {
  fromJson,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Process,
  ProcessDisposition,
  type ProcessEventTypeSchema,
  type ProcessOutputSchema,
  type ProcessRegistrationSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";

/** The fields of a registration. */
type Registration = Exclude<
  MessageInitShape<typeof ProcessRegistrationSchema>,
  MessageShape<typeof ProcessRegistrationSchema>
>;
type EventType = MessageInitShape<typeof ProcessEventTypeSchema>;
type Output = MessageInitShape<typeof ProcessOutputSchema>;

/** JSON on the wire. */
export function json(value: JsonValue): Value {
  return fromJson(ValueSchema, value);
}

/** A process that somebody outside works on, unless changed. */
export function external(processId: string, changes: Registration = {}): Registration {
  return {
    processId,
    input: { kind: { case: "external", value: { metadata: json({ title: "a thing" }) } } },
    provenance: { originator: { case: "host", value: { scope: "suite" } } },
    disposition: ProcessDisposition.EXTERNALLY_OWNED,
    ...changes,
  };
}

/** A process that workers work on. */
export function engine(processId: string, changes: Registration = {}): Registration {
  return {
    processId,
    input: { kind: { case: "engine", value: { kind: "indexer", payload: json({ path: "/" }) } } },
    provenance: {
      originator: { case: "session", value: { sessionId: "session-1" } },
      causedBy: {
        cause: { case: "run", value: { runtimeId: "session-1", runId: "r1", callId: "c1" } },
      },
    },
    disposition: ProcessDisposition.RERUNNABLE,
    envRef: "sandbox",
    ...changes,
  };
}

/** A type of events that mean nothing further. */
export function plainType(name: string, payloadSchema?: JsonValue): EventType {
  return { name, ...(payloadSchema === undefined ? {} : { payloadSchema: json(payloadSchema) }) };
}

/** A type of events that wake, with the text at `/text`. */
export function wakeType(name: string): EventType {
  const input = { selector: { case: "pointer", value: "/text" } } as const;
  return { name, semantics: { wake: { input } } };
}

/** The output of a process that ended well. */
export function success(value: JsonValue): Output {
  return { output: { case: "success", value: { value: json(value) } } };
}

/** The output of a process that failed. */
export function failure(code: string, message = ""): Output {
  return { output: { case: "failure", value: { failureClass: "internal", code, message } } };
}

/** The word of the owner outside. */
export function ownerWord(grantedTo = "owner") {
  const authority = { case: "externalOwner", value: { grantedTo } } as const;
  return { case: "authority", value: { authority } } as const;
}

/** Registers a process. */
export async function register(
  { processes }: CaseClients,
  registration: Registration,
): Promise<Process> {
  const { process } = await processes.registerProcess({ registration });
  if (process === undefined) throw new Error("the registration was answered without the process");
  return process;
}

/** The process as it is. */
export async function readProcess({ processes }: CaseClients, processId: string): Promise<Process> {
  const { process } = await processes.getProcess({ processId });
  if (process === undefined) throw new Error("the read was answered without the process");
  return process;
}

/** The sequences and types of all events of a process. */
export async function historyOf(
  { processes }: CaseClients,
  processId: string,
): Promise<readonly (readonly [sequence: number, eventType: string])[]> {
  const { events } = await processes.listEvents({ processId });
  return events.map((event) => [Number(event.sequence), event.eventType]);
}
