/** A queue between those who produce messages as they come and the one stream that sends them. */

/** Messages on their way out. */
export interface Outbox<Item> {
  readonly push: (item: Item) => void;
  /** Ends the stream after what was pushed. */
  readonly end: () => void;
  /** Ends the stream with an error after what was pushed. */
  readonly fail: (error: unknown) => void;
  readonly size: () => number;
  /** True once it was ended or failed. */
  readonly isOver: () => boolean;
  /** The messages in order; to be read once. */
  readonly items: () => AsyncGenerator<Item>;
}

/** Makes an empty outbox. */
export function makeOutbox<Item>(): Outbox<Item> {
  let items: Item[] = [];
  let waiting = 0;
  let ending: { readonly error?: unknown } | null = null;
  let ring: () => void = () => undefined;

  function finish(how: { readonly error?: unknown }): void {
    ending ??= how;
    ring();
  }

  async function* read(): AsyncGenerator<Item> {
    for (;;) {
      while (items.length > 0) {
        const batch = items;
        items = [];
        for (const item of batch) {
          waiting -= 1;
          yield item;
        }
      }
      if (ending !== null) break;
      await new Promise<void>((resolve) => {
        ring = resolve;
      });
    }
    if ("error" in ending) throw ending.error;
  }

  return {
    push: (item) => {
      if (ending !== null) return;
      items.push(item);
      waiting += 1;
      ring();
    },
    end: () => finish({}),
    fail: (error) => finish({ error }),
    size: () => waiting,
    isOver: () => ending !== null,
    items: read,
  };
}
