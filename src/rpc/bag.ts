/**
 * What comes and goes thousands of times a second and has to be found while it is there, in no
 * order. A `Set` would do, but for the collector: its outgrown tables refer to the next one and to
 * what they held. One such table among the old objects keeps all later ones, with everything that
 * hangs on their members, until the next full collection.
 */

/** Members in no order. */
export interface Bag<Member> {
  /** Adds a member; the answer takes it out again, once. */
  readonly add: (member: Member) => () => void;
  readonly members: () => readonly Member[];
}

/** Makes an empty bag. */
export function makeBag<Member>(): Bag<Member> {
  const places: { readonly member: Member; index: number }[] = [];
  return {
    add: (member) => {
      const place = { member, index: places.length };
      places.push(place);
      return () => {
        if (places[place.index] !== place) return;
        const last = places.pop();
        if (last === undefined || last === place) return;
        last.index = place.index;
        places[place.index] = last;
      };
    },
    members: () => places.map(({ member }) => member),
  };
}
