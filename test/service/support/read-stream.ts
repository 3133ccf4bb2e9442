/** Streams of the server, read one message at a time and given up in the middle. */

/** A stream that is being read. */
export interface StreamReading<Message> {
  readonly next: () => Promise<Message>;
  /** Messages up to and including the first one that matches. */
  readonly until: (isLast: (message: Message) => boolean) => Promise<Message[]>;
  readonly giveUp: () => void;
}

/** Opens a stream of responses and reads their messages. */
export function readStream<Message>(
  open: (signal: AbortSignal) => AsyncIterable<{ message: Message }>,
): StreamReading<Message> {
  const giveUp = new AbortController();
  const messages = open(giveUp.signal)[Symbol.asyncIterator]();
  const next = async (): Promise<Message> => {
    const step: IteratorResult<{ message: Message }, unknown> = await messages.next();
    if (step.done === true) throw new Error("the watch is over");
    return step.value.message;
  };
  const until = async (isLast: (message: Message) => boolean): Promise<Message[]> => {
    const seen: Message[] = [];
    for (;;) {
      const message = await next();
      seen.push(message);
      if (isLast(message)) return seen;
    }
  };
  return { next, until, giveUp: () => giveUp.abort() };
}
