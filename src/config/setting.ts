/**
 * The building blocks of settings: a schema that reads the text of a variable or flag, together
 * with the facts that documents and errors are made of.
 */
import { z } from "zod";

/** What is known about a setting besides how to read it. */
export interface SettingFacts {
  /** Environment variable. */
  readonly variable: string;
  /** Option of the command line, where there is one. */
  readonly flag?: string;
  /** The default as people read it; absent where the setting is unset by default. */
  readonly byDefault?: string;
  /** The smallest and the largest value, for numbers. */
  readonly range?: string;
  /** True when the value must never be shown. */
  readonly isSecret?: boolean;
  /** What it does and why it is as it is, in sentences. */
  readonly why: string;
}

/** The facts of every setting, by its schema. */
export const settingFacts = z.registry<SettingFacts>();

/** What a whole number needs to be a setting. */
export interface NumberFacts {
  readonly variable: string;
  readonly flag?: string;
  readonly byDefault: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
}

/** A whole number within bounds; `_BYTES`, `_MS` or `_MAX` in the variable's name is its unit. */
export function numberSetting(facts: NumberFacts) {
  const { byDefault, min, max, ...rest } = facts;
  const shown = { byDefault: String(byDefault), range: `${min} to ${max}` };
  return z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], "must be a whole number")
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(byDefault)
    .register(settingFacts, { ...rest, ...shown });
}

/** A switch: `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`; off unless told otherwise. */
export function switchSetting(facts: Omit<SettingFacts, "byDefault">) {
  return z
    .union([z.boolean(), z.stringbool()], "must be true or false")
    .default(false)
    .register(settingFacts, { ...facts, byDefault: "false" });
}

/** A text that may be left out. */
export function textSetting(facts: Omit<SettingFacts, "byDefault">) {
  return z.string().optional().register(settingFacts, facts);
}

/** One of a few words. */
export function choiceSetting<const Words extends readonly [string, ...string[]]>(
  words: Words,
  facts: Omit<SettingFacts, "range" | "byDefault"> & { readonly byDefault: Words[number] },
) {
  return z
    .enum(words, `must be one of ${words.join(", ")}`)
    .default(facts.byDefault)
    .register(settingFacts, { ...facts, range: words.join(", ") });
}
