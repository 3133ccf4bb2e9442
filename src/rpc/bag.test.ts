import fc from "fast-check";
import { expect, test } from "vitest";
import { makeBag } from "./bag.ts";

test("a bag holds what was added and not taken out again, also when that is tried twice", () => {
  const step = fc.record({ takes: fc.boolean(), which: fc.nat({ max: 40 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const bag = makeBag<number>();
      const expected = new Set<number>();
      const takeOut: (() => void)[] = [];
      for (const { takes, which } of steps) {
        const known = which % (takeOut.length + 1);
        if (takes && known < takeOut.length) {
          takeOut[known]?.();
          expected.delete(known);
        } else {
          expected.add(takeOut.length);
          takeOut.push(bag.add(takeOut.length));
        }
      }
      expect(bag.members().toSorted((a, b) => a - b)).toEqual(
        [...expected].toSorted((a, b) => a - b),
      );
    }),
  );
});
