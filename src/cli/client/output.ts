/**
 * What a command says: results on stdout, as tables for people or JSON for scripts, and everything
 * else on stderr. Colour and progress are for terminals only.
 */
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { stripVTControlCharacters, styleText } from "node:util";
import { type Cell, type Column, type Paint, renderFacts, renderTable } from "./table.ts";

/** How results are written. */
export type OutputFormat = "table" | "json";

/** Where a command says what it has to say. */
export interface Output {
  readonly isJson: boolean;
  /** Writes a table, with a word instead when there are no rows. */
  readonly table: <Row>(
    columns: readonly Column<Row>[],
    rows: readonly Row[],
    whenEmpty: string,
  ) => void;
  /** Writes names and values. */
  readonly facts: (facts: readonly (readonly [string, Cell | undefined])[]) => void;
  /** Writes a line. */
  readonly line: (text: string) => void;
  /** Writes a message as an indented JSON document. */
  readonly json: <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>) => void;
  /** Writes a message as one line of JSON, for results that come one after the other. */
  readonly jsonLine: <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>) => void;
  /** Says something beside the result. */
  readonly note: (text: string) => void;
  /** Says names and values beside the result. */
  readonly noteFacts: (facts: readonly (readonly [string, Cell | undefined])[]) => void;
  /** Says a table beside the result. */
  readonly noteTable: <Row>(columns: readonly Column<Row>[], rows: readonly Row[]) => void;
  /** Shows how far something is, in place; nothing where nobody watches. */
  readonly progress: (text: string) => void;
  /** Ends the line that shows the progress. */
  readonly progressDone: () => void;
}

const JSON_OPTIONS = { alwaysEmitImplicit: true };

/** Colours only where the stream is a terminal and nobody said NO_COLOR. */
function paintFor(stream: NodeJS.WriteStream): Paint {
  return (text, colour) => styleText(colour, text, { stream });
}

/** Makes the output of a command. */
export function makeOutput(format: OutputFormat): Output {
  let progressWidth = 0;

  function write(text: string): void {
    progressDone();
    process.stdout.write(text);
  }

  function progressDone(): void {
    if (progressWidth > 0) process.stderr.write(`\r${" ".repeat(progressWidth)}\r`);
    progressWidth = 0;
  }

  function say(text: string): void {
    progressDone();
    process.stderr.write(text);
  }

  return {
    isJson: format === "json",
    progressDone,
    table: (columns, rows, whenEmpty) => {
      if (rows.length === 0) say(`${whenEmpty}\n`);
      else write(renderTable(columns, rows, paintFor(process.stdout)));
    },
    facts: (facts) => write(renderFacts(facts, paintFor(process.stdout))),
    line: (text) => write(`${text}\n`),
    json: (schema, message) => {
      write(`${JSON.stringify(toJson(schema, message, JSON_OPTIONS), undefined, 2)}\n`);
    },
    jsonLine: (schema, message) => {
      write(`${JSON.stringify(toJson(schema, message, JSON_OPTIONS))}\n`);
    },
    note: (text) => say(`${text}\n`),
    noteFacts: (facts) => say(renderFacts(facts, paintFor(process.stderr))),
    noteTable: (columns, rows) => say(renderTable(columns, rows, paintFor(process.stderr))),
    progress: (text) => {
      if (!process.stderr.isTTY) return;
      const width = stripVTControlCharacters(text).length;
      process.stderr.write(`\r${text}${" ".repeat(Math.max(0, progressWidth - width))}`);
      progressWidth = width;
    },
  };
}
