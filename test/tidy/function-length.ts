// Measures functions in the syntax tree. A function inside a function counts for itself and not for
// the one around it, so a factory is as long as its own statements, not as all it returns.
import { parseSync } from "@swc/core";
import type { SourceFile } from "./source-file.ts";

const FUNCTION_LINES_MAX = 70;
const FUNCTION_NODES = new Set([
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
  "ClassMethod",
  "PrivateMethod",
  "Constructor",
  "MethodProperty",
]);

/** Where a function stands, with 0-based line numbers. */
interface FunctionLines {
  readonly firstLine: number;
  readonly ownLines: number;
}

/** Translates the parser's offsets to 0-based line numbers. */
interface LineIndex {
  lineAt(offset: number): number;
}

/** Functions with more lines of their own than allowed. */
export function longFunctions(file: SourceFile): string[] {
  const tree: unknown = parseSync(file.text, { syntax: "typescript", target: "es2024" });
  const lines = indexLines(file.text);
  const found: FunctionLines[] = [];
  collect(tree, lines, found);
  return found.flatMap(({ firstLine, ownLines }) =>
    ownLines > FUNCTION_LINES_MAX ? [`${firstLine + 1}: ${ownLines} lines`] : [],
  );
}

/** Collects the functions below a node; answers how many lines the outermost ones take. */
function collect(node: unknown, lines: LineIndex, found: FunctionLines[]): number {
  if (Array.isArray(node)) {
    return node.reduce((total: number, item) => total + collect(item, lines, found), 0);
  }
  if (typeof node !== "object" || node === null) return 0;
  const nestedLines = Object.values(node).reduce(
    (total: number, child) => total + collect(child, lines, found),
    0,
  );
  const span = spanOf(node);
  if (span === undefined || !("type" in node) || !FUNCTION_NODES.has(String(node.type))) {
    return nestedLines;
  }
  const firstLine = lines.lineAt(span.start);
  const allLines = lines.lineAt(span.end) - firstLine + 1;
  found.push({ firstLine, ownLines: allLines - nestedLines });
  return allLines;
}

/** Span of a syntax node, in the parser's own byte offsets. */
function spanOf(node: unknown): { readonly start: number; readonly end: number } | undefined {
  if (typeof node !== "object" || node === null || !("span" in node)) return undefined;
  const { span } = node;
  if (typeof span !== "object" || span === null || !("start" in span && "end" in span)) {
    return undefined;
  }
  const { start, end } = span;
  return typeof start === "number" && typeof end === "number" ? { start, end } : undefined;
}

/** Finds lines by the parser's offsets: bytes of UTF-8, the first of which is number 1. */
function indexLines(text: string): LineIndex {
  const lineEnds: number[] = [];
  Buffer.from(text, "utf8").forEach((byte, position) => {
    if (byte === 0x0a) lineEnds.push(position + 1);
  });
  return {
    lineAt: (offset) => {
      const line = lineEnds.findIndex((lineEnd) => lineEnd >= offset);
      return line < 0 ? lineEnds.length : line;
    },
  };
}
