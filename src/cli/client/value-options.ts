/**
 * Readers of option values that several commands share: words of enums, labels, positions, JSON.
 */
import { fromJsonString } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { type EnumNames, enumValue, enumWords } from "./format.ts";

/** A reader of one word of an enum. */
export function enumOption<Wire extends number>(names: EnumNames<Wire>): (text: string) => Wire {
  return (text) => {
    const value = enumValue(names, text.trim());
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`It must be one of ${enumWords(names).join(", ")}.`);
  };
}

/** A reader of words of an enum, separated by commas or given again and again. */
export function enumsOption<Wire extends number>(
  names: EnumNames<Wire>,
): (text: string, before: readonly Wire[] | undefined) => readonly Wire[] {
  return (text, before = []) => {
    return [...before, ...text.split(",").map(enumOption(names))];
  };
}

/** Reads `name=value`, given once or more. */
export function labelOption(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const split = text.indexOf("=");
  if (split < 1) throw new InvalidArgumentError("Write it as name=value.");
  return { ...before, [text.slice(0, split)]: text.slice(split + 1) };
}

/** Reads JSON. */
export function jsonOption(text: string): Value {
  try {
    return fromJsonString(ValueSchema, text);
  } catch {
    throw new InvalidArgumentError("It must be JSON; a text needs quotes of its own.");
  }
}
