// A reader of WatchEvents that stops reading while large events pile up costs the server a bounded
// buffer: it is cut, told where to resume, and misses nothing. The events must not shrink when they
// are compressed: else all of them fit into the windows of the connection.
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  ProcessWatchEndReason,
  type WatchEventsResponse,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type CaseClients, clientsOf } from "./support/deployment.ts";
import { external, json, plainType, register } from "./support/processes.ts";
import { readStream } from "./support/read-stream.ts";
import { openSharedDatabase, type SharedServer } from "./support/shared-database.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const processId = "p";
const EVENTS = 24;
const EVENT_BYTES = 500_000;

type Message = WatchEventsResponse["message"];

function watch({ processes }: CaseClients, afterSequence: bigint) {
  return readStream<Message>((signal) =>
    processes.watchEvents({ processId, afterSequence }, { signal }),
  );
}

async function append({ processes }: CaseClients, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const text = randomBytes((EVENT_BYTES * 3) / 4).toString("base64");
    await processes.appendEvent({ processId, eventType: "a", payload: json({ text }) });
  }
}

function sequencesOf(messages: readonly Message[]): readonly number[] {
  return messages.flatMap((message) =>
    message.case === "event" ? [Number(message.value.sequence)] : [],
  );
}

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** Reads on behind a pause: to the end that the server told, then on from there. */
async function readOn(reader: CaseClients, stopped: ReturnType<typeof watch>): Promise<void> {
  const read = await stopped.until(({ case: kind }) => kind === "end");
  const last = read.at(-1);
  const reason = ProcessWatchEndReason.SLOW_READER;
  expect(last).toMatchObject({ case: "end", value: { reason } });
  expect(await wireErrorOf(stopped.next())).toMatchObject({ reason: "WATCH_OVERFLOW" });
  const before = sequencesOf(read);
  const resumeAfter = last?.case === "end" ? last.value.resumeAfterSequence : -1n;
  expect(resumeAfter).toBe(BigInt(before.at(-1) ?? 0));
  expect(before.length).toBeLessThan(EVENTS);
  const resumed = watch(reader, resumeAfter);
  const rest = await resumed.until(
    (message) => message.case === "event" && message.value.sequence === BigInt(EVENTS),
  );
  resumed.giveUp();
  expect([...before, ...sequencesOf(rest)]).toEqual(upTo(EVENTS));
}

async function withServer(
  environment: Readonly<Record<string, string>>,
  act: (server: SharedServer, reader: CaseClients) => Promise<void>,
): Promise<void> {
  const database = openSharedDatabase();
  try {
    const server = await database.serve(environment);
    await register(server, external(processId, { eventTypes: [plainType("a")] }));
    await act(server, clientsOf(server.server.url, "grpc", server.namespace));
  } finally {
    await database.close();
  }
}

describe("a reader that stops reading while large events pile up", () => {
  it.each([
    ["events", "KEELSON_WATCH_BUFFER_EVENTS_MAX", "10"],
    ["bytes", "KEELSON_WATCH_BUFFER_BYTES_MAX", "1000000"],
  ])("is cut by the limit of %s, and resumes without a gap", async (_limit, name, value) => {
    await withServer({ [name]: value }, async (server, reader) => {
      const stopped = watch(reader, 0n);
      expect(await stopped.next()).toMatchObject({ case: "bookmark", value: { sequence: 0n } });
      await append(server, EVENTS);
      await readOn(reader, stopped);
    });
  });

  it("is cut likewise in the middle of the history", async () => {
    await withServer({ KEELSON_WATCH_BUFFER_EVENTS_MAX: "10" }, async (server, reader) => {
      await append(server, EVENTS / 2);
      const stopped = watch(reader, 0n);
      expect(await stopped.next()).toMatchObject({ case: "bookmark", value: { sequence: 0n } });
      await append(server, EVENTS / 2);
      await readOn(reader, stopped);
    });
  });
});
