/** Cuts the bytes of a pipe into lines of bounded length. */

/** One line of a command's output. */
export interface OutputLine {
  /** Without its line break; at most the limit long. */
  readonly text: string;
  /** True when the line was longer than the limit and its end is missing. */
  readonly isCut: boolean;
}

/** Takes bytes and gives lines. */
export interface LineSplitter {
  readonly push: (chunk: Uint8Array) => void;
  /** Gives the last line when it has no line break. */
  readonly end: () => void;
}

/** Makes a splitter; `charactersMax` bounds what is kept of one line. */
export function makeLineSplitter(
  charactersMax: number,
  onLine: (line: OutputLine) => void,
): LineSplitter {
  const decoder = new TextDecoder();
  let text = "";
  let isCut = false;

  function add(part: string): void {
    const room = charactersMax - text.length;
    if (part.length > room) isCut = true;
    text += part.slice(0, room);
  }

  function finishLine(): void {
    onLine({ text: text.endsWith("\r") ? text.slice(0, -1) : text, isCut });
    text = "";
    isCut = false;
  }

  function take(decoded: string): void {
    const parts = decoded.split("\n");
    for (const [index, part] of parts.entries()) {
      if (index > 0) finishLine();
      add(part);
    }
  }

  return {
    push: (chunk) => take(decoder.decode(chunk, { stream: true })),
    end: () => {
      take(decoder.decode());
      if (text !== "") finishLine();
    },
  };
}
