// The choices of a simulation, taken from a list of numbers that fast-check makes and shrinks. A
// tape that is used up answers zero for ever, and zero always means that nothing goes wrong: so a
// shorter tape is a simpler story.
import fc from "fast-check";

/** Draws choices. */
export interface Tape {
  /** True in about `perMille` of a thousand draws. */
  readonly chance: (perMille: number) => boolean;
  /** A number from 0 to `count - 1`. */
  readonly pick: (count: number) => number;
}

/** A tape with the given choices, each from 0 to 65535. */
export function makeTape(choices: readonly number[]): Tape {
  let position = 0;
  function draw(): number {
    const choice = choices[position] ?? 0;
    position += 1;
    return choice;
  }
  return {
    chance: (perMille) => draw() % 1000 >= 1000 - perMille,
    pick: (count) => draw() % Math.max(1, count),
  };
}

/** Tapes long enough for a whole story, and shorter ones. */
export const storyTapes = fc.array(fc.nat(65_535), {
  minLength: 100,
  maxLength: 6000,
  size: "max",
});
