/** What a process leaves for those who await it, on the wire and within. */
import { create } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import type { AwaitOutput } from "../../core/process/await-output.ts";
import type { CompletionAuthority as CoreAuthority } from "../../core/process/commands.ts";
import type { Json } from "../../core/shared/json.ts";
import {
  type CompletionAuthority,
  CompletionAuthoritySchema,
  type ProcessAbandoned,
  type ProcessFailure,
  type ProcessOutput,
  ProcessOutputSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkEnum } from "./enum-codec.ts";
import { checkBoundedText, checkId, type FieldCheck, violate } from "./field-check.ts";
import { jsonFromProto, jsonToProto } from "./json-value.ts";
import { abandonWriters } from "./process-enums.ts";
import { ownerFromProto } from "./process-provenance.ts";
import { timestampFromProto, timestampToProto } from "./time.ts";

/** Most bytes of a message for people. */
const MESSAGE_BYTES_MAX = 64 * 1024;

const NOTHING: AwaitOutput = { type: "success", value: null };

/** Members that are left out when they were not given; null is a value. */
function given(
  check: FieldCheck,
  members: Readonly<Record<string, Value | undefined>>,
  field: string,
): Record<string, Json> {
  const present: Record<string, Json> = {};
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) present[name] = jsonFromProto(check, value, `${field}.${name}`);
  }
  return present;
}

function messageText(check: FieldCheck, text: string, field: string): string {
  return checkBoundedText(check, text, `${field}.message`, MESSAGE_BYTES_MAX) ?? "";
}

function failureFromProto(check: FieldCheck, value: ProcessFailure, field: string): AwaitOutput {
  return {
    type: "failure",
    class: checkId(check, value.failureClass, `${field}.failure_class`),
    code: checkId(check, value.code, `${field}.code`),
    message: messageText(check, value.message, field),
    ...given(check, { raw: value.raw, control: value.control }, field),
  };
}

function abandonedFromProto(
  check: FieldCheck,
  value: ProcessAbandoned,
  field: string,
): AwaitOutput {
  const writer = checkEnum(check, abandonWriters, value.writer, `${field}.writer`);
  const owner = value.owner && ownerFromProto(check, value.owner, `${field}.owner`);
  const foundAt = value.foundAt && timestampFromProto(value.foundAt);
  if (value.foundAt && foundAt === undefined) {
    violate(check, `${field}.found_at`, "must be a time of the years 1 to 9999");
  }
  return {
    type: "abandoned",
    writer: writer ?? "owner_drain",
    ...(owner && { owner }),
    ...(foundAt === undefined ? {} : { foundAt }),
  };
}

/** How a process is to end. */
export function outputFromProto(
  check: FieldCheck,
  message: ProcessOutput | undefined,
): AwaitOutput {
  const output = message?.output;
  switch (output?.case) {
    case "success": {
      const { value, control } = output.value;
      return {
        type: "success",
        value: jsonFromProto(check, value, "output.success.value"),
        ...given(check, { control }, "output.success"),
      };
    }
    case "failure":
      return failureFromProto(check, output.value, "output.failure");
    case "cancelled": {
      const { message: text, raw, control } = output.value;
      return {
        type: "cancelled",
        message: messageText(check, text, "output.cancelled"),
        ...given(check, { raw, control }, "output.cancelled"),
      };
    }
    case "abandoned":
      return abandonedFromProto(check, output.value, "output.abandoned");
    case undefined:
      violate(check, "output", "is required: success, failure, cancelled or abandoned");
      return NOTHING;
  }
}

function shown(json: Json | undefined): Value | undefined {
  return json === undefined ? undefined : jsonToProto(json);
}

/** How a process ended, on the wire. */
export function outputToProto(output: AwaitOutput): ProcessOutput {
  const control = output.type === "abandoned" ? undefined : shown(output.control);
  const controlled = control === undefined ? {} : { control };
  switch (output.type) {
    case "success": {
      const value = { value: jsonToProto(output.value), ...controlled };
      return create(ProcessOutputSchema, { output: { case: "success", value } });
    }
    case "failure": {
      const { class: failureClass, code, message } = output;
      const raw = shown(output.raw);
      const value = {
        failureClass,
        code,
        message,
        ...(raw === undefined ? {} : { raw }),
        ...controlled,
      };
      return create(ProcessOutputSchema, { output: { case: "failure", value } });
    }
    case "cancelled": {
      const raw = shown(output.raw);
      const value = {
        message: output.message,
        ...(raw === undefined ? {} : { raw }),
        ...controlled,
      };
      return create(ProcessOutputSchema, { output: { case: "cancelled", value } });
    }
    case "abandoned": {
      const { writer, owner, foundAt } = output;
      const value = {
        writer: abandonWriters.toProto(writer),
        ...(owner && { owner: { ...owner } }),
        ...(foundAt === undefined ? {} : { foundAt: timestampToProto(foundAt) }),
      };
      return create(ProcessOutputSchema, { output: { case: "abandoned", value } });
    }
  }
}

/** On whose word a process is to end. */
export function authorityFromProto(
  check: FieldCheck,
  message: CompletionAuthority,
  field: string,
): CoreAuthority {
  const { authority } = message;
  switch (authority.case) {
    case "externalOwner": {
      const grantedTo = checkId(
        check,
        authority.value.grantedTo,
        `${field}.external_owner.granted_to`,
      );
      return { type: "external_owner", grantedTo };
    }
    case "reconciledAbandon":
      return { type: "reconciled_abandon" };
    case undefined:
      violate(check, field, "is required: external_owner or reconciled_abandon");
      return { type: "reconciled_abandon" };
  }
}

/** On whose word a process ended, on the wire. */
export function authorityToProto(authority: CoreAuthority): CompletionAuthority {
  return create(CompletionAuthoritySchema, {
    authority:
      authority.type === "external_owner"
        ? { case: "externalOwner", value: { grantedTo: authority.grantedTo } }
        : { case: "reconciledAbandon", value: {} },
  });
}
