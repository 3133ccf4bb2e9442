/** Readers of option values that several commands share: words of enums, labels, positions, JSON. */
import { InvalidArgumentError } from "commander";
import type { Json } from "../../core/shared/json.ts";
import { type EnumNames, enumValue, enumWords } from "./format.ts";

/** A reader of words of an enum, separated by commas or given again and again. */
export function enumsOption<Value extends number>(
  names: EnumNames<Value>,
): (text: string, before: readonly Value[] | undefined) => readonly Value[] {
  return (text, before = []) => {
    const values = text.split(",").map((word) => {
      const value = enumValue(names, word.trim());
      if (value !== undefined) return value;
      throw new InvalidArgumentError(`It must be one of ${enumWords(names).join(", ")}.`);
    });
    return [...before, ...values];
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
export function jsonOption(text: string): Json {
  try {
    const json: Json = JSON.parse(text);
    return json;
  } catch {
    throw new InvalidArgumentError("It must be JSON; a text needs quotes of its own.");
  }
}
