// Makes the engine keep the promise of `w: "majority", j: true`.
//
// Embedded, the engine answers such a write before it is in the journal (seen by killing it: some
// acknowledged writes were gone), while with `w: 1, j: true` it does wait. One node is its own
// majority, so both ask for the same, and every write is passed on in the form that is kept.
import type { WireEngine } from "./awaiting-engine.ts";
import { commandName, withMajorityOfOne } from "./wire-messages.ts";

/** Puts the translation of write concerns in front of an engine. */
export function makeSingleNodeEngine(engine: WireEngine): WireEngine {
  return {
    roundTrip(message) {
      const isReadable = commandName(message) !== undefined;
      return engine.roundTrip(isReadable ? withMajorityOfOne(message) : message);
    },
  };
}
