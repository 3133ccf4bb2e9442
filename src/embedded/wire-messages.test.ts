import { expect, test } from "vitest";
import {
  awaitedData,
  commandName,
  framedAnswer,
  insertNamespace,
  isEmptyOpenBatch,
  makeMessageAssembler,
  withMajorityOfOne,
} from "./wire-messages.ts";

type Value =
  | string
  | number
  | bigint
  | boolean
  | readonly Value[]
  | { readonly [name: string]: Value };

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** BSON of the few types these tests need: numbers as 32-bit integers, bigints as 64-bit ones. */
function bson(document: { readonly [name: string]: Value }): Buffer {
  const fields = Object.entries(document).map(([name, value]) => {
    const [type, bytes] = typed(value);
    return Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), bytes]);
  });
  const body = Buffer.concat([...fields, Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

function typed(value: Value): readonly [number, Buffer] {
  if (typeof value === "string") {
    const text = Buffer.from(`${value}\0`);
    return [2, Buffer.concat([int32(text.length), text])];
  }
  if (typeof value === "number") {
    return [16, int32(value)];
  }
  if (typeof value === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return [18, bytes];
  }
  if (typeof value === "boolean") {
    return [8, Buffer.from([value ? 1 : 0])];
  }
  return Array.isArray(value)
    ? [4, bson(Object.fromEntries(value.entries()))]
    : [3, bson(value as { readonly [name: string]: Value })];
}

function opMessage(
  document: { readonly [name: string]: Value },
  sections = Buffer.alloc(0),
): Buffer {
  const body = bson(document);
  const length = int32(21 + body.length + sections.length);
  const header = Buffer.concat([length, int32(7), int32(0), int32(2013), int32(0)]);
  return Buffer.concat([header, Buffer.from([0]), body, sections]);
}

const ping = opMessage({ ping: 1, $db: "admin" });

test("messages come out whole however the stream is cut", () => {
  const stream = Buffer.concat([ping, opMessage({ hello: 1, $db: "admin" }), ping]);
  for (let cutBytes = 1; cutBytes <= stream.length; cutBytes += 1) {
    const assembler = makeMessageAssembler();
    const names: (string | undefined)[] = [];
    for (let offset = 0; offset < stream.length; offset += cutBytes) {
      assembler.push(stream.subarray(offset, offset + cutBytes));
      for (let next = assembler.take(); next !== undefined; next = assembler.take()) {
        names.push(commandName(next));
      }
    }
    expect(names).toEqual(["ping", "hello", "ping"]);
  }
});

test("a length no driver sends is refused", () => {
  for (const length of [-1, 0, 15, 48_000_001]) {
    const assembler = makeMessageAssembler();
    assembler.push(Buffer.concat([int32(length), Buffer.alloc(12)]));
    expect(() => assembler.take()).toThrow(RangeError);
  }
});

test("only a message with a readable body has a command", () => {
  expect(commandName(ping)).toBe("ping");
  const query = Buffer.from(ping);
  query.writeInt32LE(2004, 12);
  expect(commandName(query)).toBeUndefined();
  expect(commandName(ping.subarray(0, 21))).toBeUndefined();
});

test("the namespace of an insert is read behind its documents", () => {
  const insert = { insert: "rows", documents: [{ _id: 1, $db: "not this" }], $db: "keelson" };
  expect(insertNamespace(opMessage(insert))).toBe("keelson.rows");
});

test("only a getMore with a time limit awaits data", () => {
  const getMore = { getMore: 5n, collection: "signals", $db: "keelson" };
  expect(awaitedData(opMessage(getMore))).toBeUndefined();
  expect(awaitedData(opMessage({ ...getMore, maxTimeMS: 0 }))).toBeUndefined();
  for (const maxTimeMS of [2000, 2000n]) {
    const awaited = { namespace: "keelson.signals", maxTimeMs: 2000 };
    expect(awaitedData(opMessage({ ...getMore, maxTimeMS }))).toEqual(awaited);
  }
});

test("an answer is empty and open only with no documents and a living cursor", () => {
  const answer = (id: bigint, nextBatch: readonly Value[]) =>
    bson({ cursor: { nextBatch, id, ns: "keelson.signals" }, ok: 1 });
  expect(isEmptyOpenBatch(answer(5n, []))).toBe(true);
  expect(isEmptyOpenBatch(answer(0n, []))).toBe(false);
  expect(isEmptyOpenBatch(answer(5n, [{ _id: 1 }]))).toBe(false);
  expect(isEmptyOpenBatch(bson({ ok: 0, errmsg: "cursor not found" }))).toBe(false);
});

test("a majority becomes one, and nothing else changes", () => {
  const sections = Buffer.from("sections behind the body");
  const write = (w: Value) => ({
    insert: "rows",
    documents: [{ writeConcern: { w: "majority" } }],
    writeConcern: { j: true, w, wtimeout: 5n },
    $db: "keelson",
  });
  const translated = withMajorityOfOne(opMessage(write("majority"), sections));
  expect(translated).toEqual(opMessage(write(1), sections));
});

test("a message that asks for no majority passes as it is", () => {
  const message = opMessage({ insert: "rows", writeConcern: { w: 1, j: true }, $db: "keelson" });
  expect(withMajorityOfOne(message)).toBe(message);
  expect(withMajorityOfOne(ping)).toBe(ping);
});

test("an answer carries its id, the request's id and its own length", () => {
  const response = bson({ ok: 1 });
  const answer = { requestId: 7, moreToCome: false, legacy: false, response };
  const frame = Buffer.concat([int32(34), int32(3), int32(7), int32(2013), Buffer.alloc(5)]);
  expect(Buffer.concat(framedAnswer(answer, 3))).toEqual(Buffer.concat([frame, response]));

  const legacy = Buffer.concat(framedAnswer({ ...answer, legacy: true }, 3));
  const replyHead = [int32(49), int32(3), int32(7), int32(1), Buffer.alloc(16), int32(1)];
  expect(legacy).toEqual(Buffer.concat([...replyHead, response]));
});

test("a large answer is framed without being copied", () => {
  const response = Buffer.alloc(100_000);
  const pieces = framedAnswer({ requestId: 7, moreToCome: false, legacy: false, response }, 1);
  expect(pieces[1]).toBe(response);
  expect(pieces[0]?.readInt32LE(0)).toBe(100_021);
});
