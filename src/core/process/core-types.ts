/**
 * The event types that every process has, and what a registration must keep to. A completed
 * registration is what is hashed: the core types are in it, types stand by name, the identity is
 * filled in.
 */
import { isJsonObject, type Json, type JsonObject } from "../shared/json.ts";
import type { FieldViolation } from "../shared/refusal.ts";
import type {
  DeclaredEventType,
  ProcessIdentity,
  ProcessInput,
  ProcessRegistration,
} from "./registration.ts";
import type { TerminalStatus } from "./terms.ts";

/** Type of the event that asks whoever works on a process to cancel it. */
export const CANCEL_REQUESTED = "process.cancel_requested";

/** The core type of each end. */
export const TERMINAL_EVENT_TYPES = {
  completed: "process.completed",
  failed: "process.failed",
  cancelled: "process.cancelled",
  abandoned: "process.abandoned",
} as const satisfies Record<TerminalStatus, string>;

/** Most event types that a registration may declare. */
export const DECLARED_TYPES_MAX = 64;

/** Names below `process.` that clients may declare. */
const DECLARABLE = ["process.yield", "process.wake", "process.signal"];

const TERMINAL_SCHEMA: JsonObject = {
  type: "object",
  required: ["await_output"],
  properties: { await_output: { type: "object" } },
};

function terminalType(status: TerminalStatus): DeclaredEventType {
  return {
    name: TERMINAL_EVENT_TYPES[status],
    payloadSchema: TERMINAL_SCHEMA,
    semantics: { terminal: { status, output: { type: "pointer", pointer: "/await_output" } } },
  };
}

const CORE_TYPES: readonly DeclaredEventType[] = [
  {
    name: CANCEL_REQUESTED,
    payloadSchema: {
      type: "object",
      required: ["reason"],
      properties: { reason: { type: ["string", "null"] } },
    },
    semantics: {},
  },
  terminalType("completed"),
  terminalType("failed"),
  terminalType("cancelled"),
  terminalType("abandoned"),
];

function labelOfMetadata(metadata: Json): string | undefined {
  if (!isJsonObject(metadata)) return undefined;
  const { label, name, title } = metadata;
  return [label, name, title].find((text) => typeof text === "string");
}

/** What a process is called that nobody named. */
function identityOf(input: ProcessInput): ProcessIdentity {
  switch (input.type) {
    case "tool_call":
      return { kind: "tool", label: input.toolName };
    case "engine":
      return { kind: input.kind };
    case "session_turn": {
      const label = input.purpose ?? input.sessionId;
      return { kind: "session_turn", ...(label === undefined ? {} : { label }) };
    }
    case "external": {
      const label = labelOfMetadata(input.metadata);
      return { kind: "external", ...(label === undefined ? {} : { label }) };
    }
  }
}

/** A registration as a client describes it. */
export type DescribedProcess = Omit<ProcessRegistration, "identity"> & {
  readonly identity?: ProcessIdentity;
};

/** The registration as it is stored and hashed. */
export function completeRegistration(described: DescribedProcess): ProcessRegistration {
  const eventTypes = [...described.eventTypes, ...CORE_TYPES].toSorted((left, right) =>
    left.name < right.name ? -1 : 1,
  );
  return { ...described, identity: described.identity ?? identityOf(described.input), eventTypes };
}

function nameProblem(name: string, earlier: readonly string[]): string | undefined {
  if (name.trim() === "") return "must not be blank";
  if (earlier.includes(name)) return "is declared twice";
  if (name.startsWith("process.") && !DECLARABLE.includes(name)) {
    return `is reserved; below "process." only ${DECLARABLE.join(", ")} may be declared`;
  }
  return undefined;
}

function typeViolations(types: readonly DeclaredEventType[]): readonly FieldViolation[] {
  return types.flatMap(({ name, semantics }, index): readonly FieldViolation[] => {
    const field = `registration.event_types[${index}]`;
    const problem = nameProblem(
      name,
      types.slice(0, index).map((type) => type.name),
    );
    const violations =
      problem === undefined ? [] : [{ field: `${field}.name`, description: problem }];
    const { terminal } = semantics;
    const isOpen = terminal !== undefined && terminal.output === undefined;
    if (!isOpen || terminal.status === "completed") return violations;
    const description = `is required for an event that ends the process ${terminal.status}`;
    return [...violations, { field: `${field}.semantics.terminal.output`, description }];
  });
}

/** What is wrong with a description, whatever the state; field paths as in the contract. */
export function registrationViolations(described: DescribedProcess): readonly FieldViolation[] {
  const { input, eventTypes, environmentRef } = described;
  const violations = [...typeViolations(eventTypes)];
  if (eventTypes.length > DECLARED_TYPES_MAX) {
    const description = `has ${eventTypes.length} types, at most ${DECLARED_TYPES_MAX} are allowed`;
    violations.push({ field: "registration.event_types", description });
  }
  const needsEnvironment = input.type === "tool_call" || input.type === "engine";
  if (needsEnvironment && environmentRef === undefined) {
    const description = "is required for a tool call and for an engine";
    violations.push({ field: "registration.env_ref", description });
  }
  if (!needsEnvironment && environmentRef !== undefined) {
    const description = "is only allowed for a tool call and for an engine";
    violations.push({ field: "registration.env_ref", description });
  }
  return violations;
}
