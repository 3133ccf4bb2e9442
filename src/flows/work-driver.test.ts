// A driver does what is open once, again when more came meanwhile, and not too much at a time.
import { expect, test } from "vitest";
import { type StreamName, streamNameOf } from "../core/shared/ids.ts";
import { silentObserver } from "../engine/observer.ts";
import { makeWorkDriver } from "./work-driver.ts";

const A = streamNameOf("grants/default/a");

/** A driver whose drives the test ends. */
function drivenByHand() {
  const begun: StreamName[] = [];
  const open: PromiseWithResolvers<void>[] = [];
  const logged: unknown[] = [];
  const driver = makeWorkDriver({
    task: "work",
    observer: { ...silentObserver, backgroundFailed: (_task, error) => void logged.push(error) },
    drive: (stream) => {
      begun.push(stream);
      const end = Promise.withResolvers<void>();
      open.push(end);
      return end.promise;
    },
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { driver, begun, open, logged, turn };
}

test("whoever comes during a drive waits for the next one", async () => {
  const { driver, begun, open, turn } = drivenByHand();
  const first = driver.settle(A);
  await turn();
  const later = [driver.settle(A), driver.settle(A)];
  open[0]?.resolve();
  await first;
  await turn();
  expect(begun).toEqual([A, A]);
  open[1]?.resolve();
  await Promise.all(later);
  expect(begun).toHaveLength(2);
});

test("a failure is told to those who wait, and only logged after a kick", async () => {
  const { driver, open, logged, turn } = drivenByHand();
  const settled = driver.settle(A);
  await turn();
  open[0]?.reject(new Error("away"));
  await expect(settled).rejects.toThrow("away");
  driver.kick(A);
  await turn();
  open[1]?.reject(new Error("still away"));
  await turn();
  expect(logged).toEqual([new Error("still away")]);
  driver.kick(A);
  await turn();
  expect(open).toHaveLength(3);
});

test("streams beyond the limit wait for a turn", async () => {
  const { driver, begun, open, turn } = drivenByHand();
  for (let index = 0; index < 70; index += 1) driver.kick(streamNameOf(`grants/default/${index}`));
  await turn();
  expect(begun).toHaveLength(64);
  open[0]?.resolve();
  open[1]?.resolve();
  await turn();
  expect(begun).toHaveLength(66);
});
