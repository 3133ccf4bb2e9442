/** Asks the server how it would run a command that the storage sent. */
import type { Db, Document } from "mongodb";

/** How a command would be run. */
export interface QueryPlan {
  /** Stages without an index, such as COLLSCAN, and in-memory sorts. */
  readonly offences: readonly string[];
  /** Names of the indexes used. */
  readonly indexes: readonly string[];
}

const explainable: Readonly<Record<string, readonly string[]>> = {
  find: ["find", "filter", "projection", "sort", "hint", "min", "limit"],
  update: ["update", "updates"],
  delete: ["delete", "deletes"],
  findAndModify: ["findAndModify", "query", "update", "upsert", "new"],
};

const offendingStages = new Set(["COLLSCAN", "SORT"]);

/** The parts of a command that can be explained; undefined when it does not look anything up. */
export function explainableOf(command: Document): Document | undefined {
  const name = Object.keys(command)[0] ?? "";
  const members = explainable[name];
  if (members === undefined) return undefined;
  const entries = members.filter((member) => member in command);
  return Object.fromEntries(entries.map((member) => [member, firstOf(member, command[member])]));
}

/** Only one statement of a write command can be explained. */
function firstOf(member: string, value: unknown): unknown {
  const isList = (member === "updates" || member === "deletes") && Array.isArray(value);
  return isList ? value.slice(0, 1) : value;
}

/** The names of fields and operators in a command, without values: equal for equal queries. */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== "object" || value === null || "_bsontype" in value) return "value";
  if (value instanceof Date || ArrayBuffer.isView(value)) return "value";
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]));
}

function collect(node: unknown, plan: { offences: Set<string>; indexes: Set<string> }): void {
  if (typeof node !== "object" || node === null) return;
  const { stage, indexName }: { stage?: unknown; indexName?: unknown } = node;
  if (typeof stage === "string" && offendingStages.has(stage)) plan.offences.add(stage);
  if (stage === "IDHACK" || stage === "EXPRESS_IXSCAN") plan.indexes.add("_id_");
  if (typeof indexName === "string") plan.indexes.add(indexName);
  for (const [name, inner] of Object.entries(node)) {
    if (name !== "rejectedPlans") collect(inner, plan);
  }
}

/** Explains a command on a database. */
export async function explain(database: Db, command: Document): Promise<QueryPlan> {
  const answer: unknown = await database.command({ explain: command, verbosity: "queryPlanner" });
  const plan = { offences: new Set<string>(), indexes: new Set<string>() };
  collect(answer, plan);
  return { offences: [...plan.offences], indexes: [...plan.indexes].toSorted() };
}
