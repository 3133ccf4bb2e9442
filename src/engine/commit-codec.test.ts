import { expect, test } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import {
  canonicalText,
  chainHash,
  commitText,
  decodeCommit,
  encodeCommit,
  GENESIS_HASH,
} from "./commit-codec.ts";

// The texts below are written by hand after RFC 8785; the hashes were computed by coreutils over
// the bytes of the hash before (32 zero bytes at first) followed by the text.
const FIRST_TEXT =
  '{"at":1700000000000,"commands":[{"bodyHash":"ab","command":"ingest","events":1,' +
  '"requestId":"r-1"}],"commitId":"01900000-0000-7000-8000-000000000001",' +
  '"events":[{"amount":1,"text":"€ \\"quoted\\"","type":"item_added"}],"revision":1,' +
  '"stream":"runtime/default/a%2Fb"}';
const FIRST_HASH = "8cfda38e91468f14ac5f126145bf1ab38b53fa57739d7d48ae69bbd5bcddd6ff";
const SECOND_HASH = "4e844ceebe7e3341bfee2af76735aa0ec09fa3bfb131d6a499e8a3572f4c95b6";

const stream = streamNameOf("runtime/default/a%2Fb");
const first = encodeCommit({
  stream,
  revision: 1,
  at: 1_700_000_000_000,
  commitId: "01900000-0000-7000-8000-000000000001",
  commands: [{ requestId: "r-1", events: 1, command: "ingest", bodyHash: "ab" }],
  events: [{ type: "item_added", text: '€ "quoted"', amount: 1 }],
  previousHash: GENESIS_HASH,
});

test("the text of a commit is canonical JSON, whatever the order of members", () => {
  expect(commitText(first)).toBe(FIRST_TEXT);
  expect(canonicalText(JSON.parse(FIRST_TEXT))).toBe(FIRST_TEXT);
});

test("members in another order than their names', numbers among them, are put in order", () => {
  const sorted = '{"10":1,"9":{"a":[{"b":1,"c":2}],"d":null},"é":"\\u0001","\uE000":true}';
  expect(canonicalText(JSON.parse(sorted))).toBe(sorted);
  expect(canonicalText({ b: { d: 1, c: [{ f: 2, e: 3 }] }, a: undefined })).toBe(
    '{"b":{"c":[{"e":3,"f":2}],"d":1}}',
  );
  expect(() => canonicalText({ a: Number.NaN })).toThrow(Error);
});

test("hashes chain from 32 zero bytes on", () => {
  expect(Buffer.from(first.hash).toString("hex")).toBe(FIRST_HASH);
  const second = encodeCommit({
    stream,
    revision: 2,
    at: 1_700_000_000_005,
    commitId: "01900000-0000-7000-8000-000000000002",
    commands: [],
    events: [],
    previousHash: first.hash,
  });
  expect(Buffer.from(second.hash).toString("hex")).toBe(SECOND_HASH);
});

test("every part of a commit changes its hash", () => {
  const changes = [
    { stream: streamNameOf("runtime/default/a%2Fc") },
    { revision: 2 },
    { at: 1_700_000_000_001 },
    { commitId: "01900000-0000-7000-8000-000000000009" },
    { commandsText: "[]" },
    { eventsText: "[]" },
  ];
  const hashes = changes.map((change) =>
    Buffer.from(chainHash(GENESIS_HASH, { ...first, ...change })).toString("hex"),
  );
  expect(new Set([...hashes, FIRST_HASH]).size).toBe(changes.length + 1);
});

test("what was encoded is decoded, with members in canonical order", () => {
  expect(decodeCommit(first)).toMatchObject({
    commands: [{ command: "ingest", events: 1, requestId: "r-1", bodyHash: "ab" }],
    events: [{ type: "item_added", text: '€ "quoted"', amount: 1 }],
  });
});

test("a value without JSON form is refused", () => {
  expect(() => canonicalText(undefined)).toThrow(TypeError);
});
