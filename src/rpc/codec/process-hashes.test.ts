import { expect, test } from "vitest";
import { completeRegistration } from "../../core/process/core-types.ts";
import { declared, described } from "../../core/process/testing/story.ts";
import { runtimeIdOf } from "../../core/shared/ids.ts";
import { eventBodyHash, registrationHash, wakeIdOf } from "./process-hashes.ts";

// Computed once with another implementation of RFC 8785 and SHA-256; never to be changed.
const VECTORS = {
  plain: "b6af96dd262728f1cb59495155a8e0e9c2f1990fd55a7520d855c6d1a1442c63",
  full: "2118ef153c2f3fab080a690384b0d8e02aeb7cd9e4de5caf7918264cbd3f8914",
  event: "bda5117cee43f87d83110c76f276823eab7c95d96f3970e4f15c5fda7e23aae7",
  wake: "wake:cd9f3727b515c28ad18a3e5fb48706c0e3ca3e8eb5f4c86b94c205c2b8ad72a3",
};

const FULL = {
  eventTypes: [
    declared("woke", {
      wake: {
        when: { type: "present", pointer: "/who" },
        input: { type: "template", template: "{who}", fields: { who: { type: "payload" } } },
        dedupe: { type: "fixed", value: "é" },
      },
    }),
    {
      name: "rows",
      payloadSchema: { type: "object", properties: { n: { maximum: 1e21 } } },
      semantics: {},
    },
  ],
  labels: { b: "2", a: "1" },
  attemptsMax: 3,
  identity: { kind: "index", label: "docs", definition: "v2" },
};

test("the hash of a registration is pinned, and so are those of events and wakes", () => {
  const { disposition } = described();
  expect(disposition).toBe("rerunnable");
  expect({
    plain: registrationHash(completeRegistration(described())),
    full: registrationHash(completeRegistration(described(FULL))),
    event: eventBodyHash("progress", { b: [1, 2.5, null], a: "\u20ac" }),
    wake: wakeIdOf(runtimeIdOf("session-1"), "process-1:7"),
  }).toEqual(VECTORS);
});

test("the order of members and of declared types changes nothing, anything else does", () => {
  const hashOf = (traits: Parameters<typeof described>[0]) =>
    registrationHash(completeRegistration(described(traits)));
  const reordered = {
    ...FULL,
    eventTypes: FULL.eventTypes.toReversed(),
    labels: { a: "1", b: "2" },
  };
  expect(hashOf(reordered)).toBe(hashOf(FULL));
  const others = [
    { ...FULL, labels: { a: "1" } },
    { ...FULL, attemptsMax: 4 },
    { ...FULL, eventTypes: [] },
    { ...FULL, disposition: "owner_bound" as const },
    { ...FULL, input: { type: "engine" as const, kind: "indexer", payload: {} } },
  ];
  expect(new Set([FULL, ...others].map(hashOf)).size).toBe(6);
});
