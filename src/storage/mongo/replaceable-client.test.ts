import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MongoClient, MongoNetworkError } from "mongodb";
import { afterEach, beforeAll, expect, test } from "vitest";
import { makeReplaceableClient, type ReplaceableClient } from "./replaceable-client.ts";

const PATIENCE_MS = 4_000;

let nowMs = 0;
let lost: unknown;
const opened: ReplaceableClient[] = [];

/** A client of a server that is not there. */
function makeLonelyClient(): MongoClient {
  const socket = join(tmpdir(), `${randomUUID()}.sock`);
  const uri = `mongodb://${encodeURIComponent(socket)}`;
  return new MongoClient(uri, { serverSelectionTimeoutMS: 20 });
}

function makeReplaceable(): ReplaceableClient {
  const client = makeReplaceableClient({
    make: makeLonelyClient,
    patienceMs: PATIENCE_MS,
    farewellMs: 60_000,
    monotonicMs: () => nowMs,
  });
  opened.push(client);
  return client;
}

beforeAll(async () => {
  const client = makeLonelyClient();
  lost = await client
    .db("any")
    .command({ ping: 1 })
    .catch((error: unknown) => error);
  await client.close();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.close()));
});

test("a client that finds no server for long is replaced", () => {
  const replaceable = makeReplaceable();
  const first = replaceable.current();
  replaceable.failed(lost);
  nowMs += PATIENCE_MS - 1;
  replaceable.failed(lost);
  expect(replaceable.current()).toBe(first);
  nowMs += 1;
  replaceable.failed(lost);
  expect(replaceable.current()).not.toBe(first);
});

test("an answer in between starts the patience anew", () => {
  const replaceable = makeReplaceable();
  const first = replaceable.current();
  replaceable.failed(lost);
  nowMs += PATIENCE_MS;
  replaceable.answered();
  replaceable.failed(lost);
  expect(replaceable.current()).toBe(first);
});

test("a replacement has the whole patience before it", () => {
  const replaceable = makeReplaceable();
  replaceable.failed(lost);
  nowMs += PATIENCE_MS;
  replaceable.failed(lost);
  const second = replaceable.current();
  replaceable.failed(lost);
  nowMs += PATIENCE_MS - 1;
  replaceable.failed(lost);
  expect(replaceable.current()).toBe(second);
});

test("failures of a server that was found replace nothing", () => {
  const replaceable = makeReplaceable();
  const first = replaceable.current();
  for (let count = 0; count < 3; count += 1) {
    replaceable.failed(new MongoNetworkError("connection closed"));
    nowMs += PATIENCE_MS;
  }
  expect(replaceable.current()).toBe(first);
});
