/** Enums on the wire and names within: one table serves both directions. */
import { type FieldCheck, violate } from "./field-check.ts";

/** Translates the names of one enum. */
export interface EnumCodec<Name extends string, Wire extends number> {
  readonly toProto: (name: Name) => Wire;
  /** The name; undefined for zero and for numbers that this build does not know. */
  readonly fromProto: (wire: number) => Name | undefined;
  /** Every name that there is. */
  readonly names: readonly Name[];
}

/** Makes a codec of a complete table from names to wire numbers. */
export function makeEnumCodec<Name extends string, Wire extends number>(
  table: Readonly<Record<Name, Wire>>,
): EnumCodec<Name, Wire> {
  const names = Object.keys(table) as Name[];
  const byWire = new Map<number, Name>(names.map((name) => [table[name], name]));
  return {
    toProto: (name) => table[name],
    fromProto: (wire) => byWire.get(wire),
    names,
  };
}

/** The name of a value that must be known; notes a violation otherwise. */
export function checkEnum<Name extends string>(
  check: FieldCheck,
  codec: EnumCodec<Name, number>,
  wire: number,
  field: string,
): Name | undefined {
  const name = codec.fromProto(wire);
  if (name === undefined) {
    violate(check, field, `must be one of ${codec.names.join(", ").toUpperCase()}`);
  }
  return name;
}

/** The name of a value that may be absent; zero and unknown numbers are violations. */
export function checkOptionalEnum<Name extends string>(
  check: FieldCheck,
  codec: EnumCodec<Name, number>,
  wire: number | undefined,
  field: string,
): Name | undefined {
  return wire === undefined ? undefined : checkEnum(check, codec, wire, field);
}

/** The names of a list without zero and unknown numbers; undefined when the list is empty. */
export function checkEnums<Name extends string>(
  check: FieldCheck,
  codec: EnumCodec<Name, number>,
  wires: readonly number[],
  field: string,
): readonly Name[] | undefined {
  if (wires.length === 0) return undefined;
  return wires.flatMap((wire, index) => checkEnum(check, codec, wire, `${field}[${index}]`) ?? []);
}
