/** Declared event types and their selectors, on the wire and within. */
import { create } from "@bufbuild/protobuf";
import type {
  DeclaredEventType,
  DedupeKey,
  EventSemantics,
} from "../../core/process/registration.ts";
import type { Selector } from "../../core/process/selector.ts";
import { isJsonObject, type JsonObject } from "../../core/shared/json.ts";
import {
  type ProcessEventSemantics,
  type ProcessEventType,
  ProcessEventTypeSchema,
  type ProcessSelector,
  ProcessSelectorSchema,
  type SelectorTemplate,
  type WakeDedupe,
  WakeDedupeSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkEnum } from "./enum-codec.ts";
import { checkBoundedText, checkId, checkText, type FieldCheck, violate } from "./field-check.ts";
import { jsonFromProto, jsonToProto } from "./json-value.ts";
import { terminalStates } from "./process-enums.ts";

const TEMPLATE_BYTES_MAX = 64 * 1024;
const TEMPLATE_FIELDS_MAX = 64;
const POINTER = /^(?:\/(?:[^~]|~[01])*)?$/u;

const WHOLE: Selector = { type: "payload" };

function pointerFromProto(check: FieldCheck, pointer: string, field: string): string {
  checkText(check, pointer, field);
  if (!POINTER.test(pointer)) violate(check, field, "must be a JSON Pointer, such as /text");
  return pointer;
}

function templateFromProto(
  check: FieldCheck,
  { template, fields }: SelectorTemplate,
  field: string,
): Selector {
  const entries = Object.entries(fields);
  if (entries.length > TEMPLATE_FIELDS_MAX) {
    const description = `has ${entries.length}, at most ${TEMPLATE_FIELDS_MAX} are allowed`;
    violate(check, `${field}.fields`, description);
    return WHOLE;
  }
  const text = checkBoundedText(check, template, `${field}.template`, TEMPLATE_BYTES_MAX);
  const pointers = entries.map(([name, pointer]) => {
    checkId(check, name, `${field}.fields`);
    const checked = pointerFromProto(check, pointer, `${field}.fields.${name}`);
    return [name, { type: "pointer", pointer: checked }] as const;
  });
  return { type: "template", template: text ?? "", fields: Object.fromEntries(pointers) };
}

/** A selector that must be there. */
function selectorFromProto(
  check: FieldCheck,
  message: ProcessSelector | undefined,
  field: string,
): Selector {
  const selector = message?.selector;
  switch (selector?.case) {
    case "payload":
      return WHOLE;
    case "pointer":
      return { type: "pointer", pointer: pointerFromProto(check, selector.value, field) };
    case "present":
      return { type: "present", pointer: pointerFromProto(check, selector.value, field) };
    case "fixed":
      return { type: "fixed", value: jsonFromProto(check, selector.value, field) };
    case "template":
      return templateFromProto(check, selector.value, `${field}.template`);
    case undefined:
      violate(check, field, "is required: payload, pointer, fixed, template or present");
      return WHOLE;
  }
}

function selectorToProto(selector: Selector): ProcessSelector {
  switch (selector.type) {
    case "payload":
      return create(ProcessSelectorSchema, { selector: { case: "payload", value: {} } });
    case "pointer": {
      const { pointer: value } = selector;
      return create(ProcessSelectorSchema, { selector: { case: "pointer", value } });
    }
    case "present": {
      const { pointer: value } = selector;
      return create(ProcessSelectorSchema, { selector: { case: "present", value } });
    }
    case "fixed": {
      const value = jsonToProto(selector.value);
      return create(ProcessSelectorSchema, { selector: { case: "fixed", value } });
    }
    case "template": {
      const fields = Object.fromEntries(
        Object.entries(selector.fields).map(([name, field]) => [
          name,
          // Nothing but pointers comes in.
          field.type === "pointer" ? field.pointer : "",
        ]),
      );
      const value = { template: selector.template, fields };
      return create(ProcessSelectorSchema, { selector: { case: "template", value } });
    }
  }
}

function dedupeFromProto(
  check: FieldCheck,
  message: WakeDedupe | undefined,
  field: string,
): DedupeKey {
  if (message === undefined) return { type: "event_identity" };
  const { key } = message;
  switch (key.case) {
    case "eventIdentity":
      return { type: "event_identity" };
    case "selector":
      return {
        type: "selector",
        selector: selectorFromProto(check, key.value, `${field}.selector`),
      };
    case "fixed":
      return { type: "fixed", value: checkId(check, key.value, `${field}.fixed`) };
    case undefined:
      violate(check, field, "is required: event_identity, selector or fixed");
      return { type: "event_identity" };
  }
}

function dedupeToProto(dedupe: DedupeKey): WakeDedupe {
  switch (dedupe.type) {
    case "event_identity":
      return create(WakeDedupeSchema, { key: { case: "eventIdentity", value: {} } });
    case "selector": {
      const value = selectorToProto(dedupe.selector);
      return create(WakeDedupeSchema, { key: { case: "selector", value } });
    }
    case "fixed":
      return create(WakeDedupeSchema, { key: { case: "fixed", value: dedupe.value } });
  }
}

function terminalFromProto(
  check: FieldCheck,
  { terminal }: ProcessEventSemantics,
  field: string,
): EventSemantics["terminal"] {
  if (terminal === undefined) return undefined;
  const status = checkEnum(check, terminalStates, terminal.state, `${field}.state`);
  const { output } = terminal;
  return {
    status: status ?? "completed",
    ...(output && { output: selectorFromProto(check, output, `${field}.output`) }),
  };
}

function wakeFromProto(
  check: FieldCheck,
  { wake }: ProcessEventSemantics,
  field: string,
): EventSemantics["wake"] {
  if (wake === undefined) return undefined;
  const { when, input, dedupe } = wake;
  return {
    ...(when && { when: selectorFromProto(check, when, `${field}.when`) }),
    input: input ? selectorFromProto(check, input, `${field}.input`) : WHOLE,
    dedupe: dedupeFromProto(check, dedupe, `${field}.dedupe`),
  };
}

function schemaFromProto(
  check: FieldCheck,
  { payloadSchema }: ProcessEventType,
  field: string,
): JsonObject | boolean {
  if (payloadSchema === undefined) return true;
  const schema = jsonFromProto(check, payloadSchema, field);
  if (typeof schema === "boolean" || isJsonObject(schema)) return schema;
  violate(check, field, "must be a JSON Schema: an object, true or false");
  return true;
}

/** A declared event type. */
export function eventTypeFromProto(
  check: FieldCheck,
  message: ProcessEventType,
  field: string,
): DeclaredEventType {
  const name = checkId(check, message.name, `${field}.name`);
  const payloadSchema = schemaFromProto(check, message, `${field}.payload_schema`);
  const { semantics } = message;
  if (semantics === undefined) return { name, payloadSchema, semantics: {} };
  const terminal = terminalFromProto(check, semantics, `${field}.semantics.terminal`);
  const wake = wakeFromProto(check, semantics, `${field}.semantics.wake`);
  return {
    name,
    payloadSchema,
    semantics: { ...(terminal && { terminal }), ...(wake && { wake }) },
  };
}

/** A declared event type on the wire. */
export function eventTypeToProto(type: DeclaredEventType): ProcessEventType {
  const { name, payloadSchema, semantics } = type;
  const { terminal, wake } = semantics;
  return create(ProcessEventTypeSchema, {
    name,
    payloadSchema: jsonToProto(payloadSchema),
    semantics: {
      ...(terminal && {
        terminal: {
          state: terminalStates.toProto(terminal.status),
          ...(terminal.output && { output: selectorToProto(terminal.output) }),
        },
      }),
      ...(wake && {
        wake: {
          ...(wake.when && { when: selectorToProto(wake.when) }),
          input: selectorToProto(wake.input),
          dedupe: dedupeToProto(wake.dedupe),
        },
      }),
    },
  });
}
