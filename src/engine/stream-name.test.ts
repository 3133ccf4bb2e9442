import { expect, test } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { commitKey, parseStreamName, shardOf, streamName } from "./stream-name.ts";

test.each(["plain", "a/b", "a:b", "a%b", "%2F", "a/b:c%d/", "ü€", " "])(
  "the id %j survives its stream name",
  (id) => {
    const name = streamName("runtime", "team/one", id);
    expect(parseStreamName(name)).toEqual({ kind: "runtime", namespace: "team/one", id });
  },
);

test("no two addresses share a name", () => {
  const names = [
    streamName("runtime", "a", "b/c"),
    streamName("runtime", "a/b", "c"),
    streamName("runtime", "a", "b%2Fc"),
    streamName("runtime", "a%2Fb", "c"),
  ];
  expect(new Set(names).size).toBe(names.length);
  expect(names[0]).toBe("runtime/a/b%2Fc");
});

test.each(["", "runtime", "runtime/a", "runtime/a/", "runtime/a/b/c", "runtime/a/b:c", "//"])(
  "%j is no stream name",
  (text) => {
    expect(parseStreamName(text)).toBeUndefined();
  },
);

test("the key of a commit begins with the shard and sorts by revision", () => {
  const stream = streamNameOf("runtime/default/a%2Fb");
  // The first 16 digits of the SHA-256 of the name, computed by coreutils.
  expect(shardOf(stream)).toBe("8a54e58a912bc8c5");
  expect(commitKey(stream, 7)).toBe("8a54e58a912bc8c5:runtime/default/a%2Fb:000000000007");
  expect(commitKey(stream, 9) < commitKey(stream, 10)).toBe(true);
});
