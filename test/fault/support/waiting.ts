// Waiting: on a condition with a deadline, and for a length of time where the length itself is the
// matter, as in the pause of a process.

const POLL_MS = 20;

/** Resolves after a time, or when the signal fires. */
export function pauseFor(durationMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    signal?.addEventListener("abort", done);
  });
}

/** Asks until the answer is true; answers whether it was so by the deadline. */
export async function happensWithin(
  deadlineMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) return false;
    await pauseFor(POLL_MS);
  }
  return true;
}

/** Asks until the answer is true; throws when it is not by the deadline. */
export async function eventually(
  what: string,
  deadlineMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  if (!(await happensWithin(deadlineMs, condition))) {
    throw new Error(`not within ${deadlineMs} ms: ${what}`);
  }
}
