/** The memory that requests may hold at once, and who waits for some of it. */

/** Counts bytes of requests in flight against a limit. */
export interface ByteBudget {
  readonly take: (bytes: number) => void;
  readonly release: (bytes: number) => void;
  readonly room: () => Promise<void> | undefined;
  readonly isExhausted: () => boolean;
  readonly inFlightBytes: () => number;
}

/** Makes a budget. Taking is never refused: whoever takes asked `isExhausted` or `room` before. */
export function makeByteBudget(bytesMax: number): ByteBudget {
  let heldBytes = 0;
  let waiting: { readonly promise: Promise<void>; readonly open: () => void } | undefined;

  const isExhausted = (): boolean => heldBytes >= bytesMax;

  function room(): Promise<void> | undefined {
    if (!isExhausted()) return undefined;
    if (!waiting) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = { promise, open: resolve };
    }
    return waiting.promise;
  }

  return {
    take: (bytes) => {
      heldBytes += bytes;
    },
    release: (bytes) => {
      heldBytes -= bytes;
      if (isExhausted() || !waiting) return;
      waiting.open();
      waiting = undefined;
    },
    room,
    isExhausted,
    inFlightBytes: () => heldBytes,
  };
}
