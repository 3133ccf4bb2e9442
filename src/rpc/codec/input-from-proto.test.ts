import { createHash } from "node:crypto";
import {
  create,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Input, InputSchema } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { RefusedError } from "../../core/shared/refusal.ts";
import { canonicalText } from "../../engine/commit-codec.ts";
import { makeFieldCheck } from "./field-check.ts";
import { type InputDefaults, inputFromProto, type PreparedInput } from "./input-from-proto.ts";
import { inputToProto } from "./input-to-proto.ts";

const NOW = 1_700_000_000_123;
const DEFAULTS: InputDefaults = {
  now: NOW,
  freshInputId: () => "fresh",
  payloadBytesMax: 1024 * 1024,
  inlineBytesMax: 65_536,
};

function prepared(input: Input, defaults: InputDefaults = DEFAULTS): PreparedInput {
  return inputFromProto(makeFieldCheck("input."), input, defaults);
}

function refusal(
  input: MessageInitShape<typeof InputSchema>,
  defaults: InputDefaults = DEFAULTS,
): RefusedError["refusal"] {
  try {
    prepared(create(InputSchema, input), defaults);
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal;
  }
  throw new Error("was not refused");
}

function fieldsOf(input: MessageInitShape<typeof InputSchema>): readonly string[] {
  return (refusal(input).violations ?? []).map((violation) => violation.field);
}

const PICTURE = { image: { mediaType: "image/png", data: "AAEC/w==" } };
const KINDS: Readonly<Record<string, JsonValue>> = {
  prompt: {
    prompt: {
      text: "hello",
      blocks: [
        { text: { text: "a" } },
        PICTURE,
        { video: { mediaType: "video/mp4", duration: "1.500s", data: "AQ==" } },
      ],
      turnMetadata: {
        handlingMode: "HANDLING_MODE_STEER",
        keepAlive: false,
        skillReferences: ["one", "two"],
        flowToolOverlay: { allowedTools: {}, blockedTools: { names: ["rm"] } },
        additionalInstructions: ["be kind"],
        model: "m",
        provider: "p",
        providerParams: { temperature: 0.5, "10": [1, null], "9": true },
        renderMetadata: {
          renderClass: "RENDER_CLASS_USER_PROMPT",
          salience: "RENDER_SALIENCE_URGENT",
        },
      },
    },
  },
  peer: {
    peer: {
      convention: { request: { peerRequestId: "r-1", intent: "review" } },
      body: "please",
      blocks: [PICTURE],
      handlingMode: "HANDLING_MODE_QUEUE",
    },
  },
  progress: {
    peer: {
      convention: {
        responseProgress: { peerRequestId: "r-1", phase: "PEER_RESPONSE_PHASE_IN_PROGRESS" },
      },
    },
  },
  terminal: {
    peer: {
      convention: {
        responseTerminal: { peerRequestId: "r-1", status: "PEER_RESPONSE_STATUS_FAILED" },
      },
    },
  },
  flowStep: { flowStep: { stepId: "s-1", instructions: "do it" } },
  externalEvent: {
    externalEvent: {
      eventType: "webhook",
      payload: { body: "text", list: [{}, [], "", 0, -1.5] },
      handlingMode: "HANDLING_MODE_STEER",
    },
  },
  continuation: {
    continuation: {
      reason: "resume",
      handlingMode: "HANDLING_MODE_QUEUE",
      requestId: "r-2",
    },
  },
  operation: {
    operation: {
      operationId: "o-1",
      event: { id: "t-1", progress: { message: "half", percent: 50 } },
    },
  },
};

const HEADER = {
  inputId: "i-1",
  createdAt: "2026-01-02T03:04:05.678Z",
  source: { flow: { flowId: "f", stepIndex: 3 } },
  durability: "INPUT_DURABILITY_DERIVED",
  visibility: { transcriptEligible: false, operatorEligible: true },
  idempotencyKey: "key",
  supersessionKey: "super",
  correlationId: "correlation",
  causationId: "cause",
  labels: { team: "a", empty: "" },
};

test.each(Object.entries(KINDS))("a %s comes back as it was sent", (_name, kind) => {
  const sent = fromJson(InputSchema, { ...HEADER, ...(kind as object) });
  const shown = inputToProto(prepared(sent).input);
  expect(toJson(InputSchema, shown)).toEqual(toJson(InputSchema, sent));
});

test("what is left out has its default", () => {
  const { input, inputIdIsFresh } = prepared(
    create(InputSchema, { kind: { case: "externalEvent", value: { eventType: "tick" } } }),
  );
  expect(inputIdIsFresh).toBe(true);
  expect(input).toEqual({
    inputId: "fresh",
    createdAt: NOW,
    source: { type: "operator" },
    durability: "durable",
    transcriptEligible: true,
    operatorEligible: true,
    body: { type: "external_event", eventType: "tick", payload: null, handlingMode: "queue" },
  });
});

test("the content hash ignores id, creation time, key and trace", () => {
  const text = { case: "prompt", value: { text: "same" } } as const;
  const plain = prepared(create(InputSchema, { kind: text }));
  const named = create(InputSchema, { inputId: "x", idempotencyKey: "k", kind: text });
  const other = prepared(named, { ...DEFAULTS, now: 5, traceParent: "00-1-2-3" });
  expect(other.bodyHash).toBe(plain.bodyHash);
  const content =
    '{"body":{"text":"same","type":"prompt"},"durability":"durable",' +
    '"operatorEligible":true,"source":{"type":"operator"},"transcriptEligible":true}';
  expect(plain.bodyHash).toBe(createHash("sha256").update(content).digest("hex"));
});

test("the content hash sees everything else", () => {
  const kind = { case: "prompt", value: { text: "same" } } as const;
  const plain = prepared(create(InputSchema, { kind })).bodyHash;
  const labelled = prepared(create(InputSchema, { kind, labels: { a: "b" } })).bodyHash;
  expect(labelled).not.toBe(plain);
});

test("the size is that of the canonical input", () => {
  const sent = fromJson(InputSchema, { ...HEADER, ...(KINDS["prompt"] as object) });
  const { input, payloadBytes } = prepared(sent, { ...DEFAULTS, traceParent: "00-é-1" });
  expect(payloadBytes).toBe(Buffer.byteLength(canonicalText(input)));
});

test("an input over the limit is refused with both numbers", () => {
  const input = { kind: { case: "prompt", value: { text: "x".repeat(500) } } } as const;
  const { reason, metadata } = refusal(input, { ...DEFAULTS, payloadBytesMax: 400 });
  expect(reason).toBe("PAYLOAD_TOO_LARGE");
  expect(metadata["limitBytes"]).toBe("400");
  expect(Number(metadata["actualBytes"])).toBeGreaterThan(600);
});

test("everything that is wrong is told at once, with its path", () => {
  const fields = fieldsOf({
    inputId: "a\u0007b",
    idempotencyKey: "k".repeat(257),
    source: { origin: { case: "peer", value: { peerId: "" } } },
    durability: 0,
    labels: { "": "x" },
    kind: { case: "peer", value: { convention: {}, handlingMode: 99 as never, blocks: [{}] } },
  });
  expect(fields.toSorted()).toEqual([
    "input.durability",
    "input.idempotency_key",
    "input.input_id",
    "input.labels",
    "input.peer.blocks[0].block",
    "input.peer.convention.convention",
    "input.peer.handling_mode",
    "input.source.peer.peer_id",
  ]);
});

test("an input without a kind is refused", () => {
  expect(fieldsOf({})).toEqual(["input.kind"]);
});

test.each([
  ["NUL", "a\0b"],
  ["a lone surrogate", "a\ud800b"],
])("%s in a text is refused", (_name, text) => {
  expect(fieldsOf({ kind: { case: "prompt", value: { text } } })).toEqual(["input.prompt.text"]);
});

test("65 labels are refused", () => {
  const labels = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, "v"]));
  expect(fieldsOf({ labels, kind: { case: "prompt", value: {} } })).toEqual(["input.labels"]);
});

function nested(levels: number): JsonValue {
  let json: JsonValue = 1;
  for (let level = 0; level < levels; level += 1) json = level % 2 === 0 ? [json] : { a: json };
  return json;
}

function eventWith(payload: JsonValue): Input {
  const json = { externalEvent: { eventType: "e", payload } };
  return fromJson(InputSchema, json, { recursionLimit: 1000 });
}

test("JSON may be 30 levels deep and not 31", () => {
  expect(() => prepared(eventWith(nested(30)))).not.toThrow();
  expect(() => prepared(eventWith(nested(31)))).toThrow(RefusedError);
});

test("a member named __proto__ is data like any other", () => {
  const payload = JSON.parse('{"__proto__":{"x":1}}') as JsonValue;
  const { input } = prepared(eventWith(payload));
  expect(canonicalText(input.body)).toContain('"payload":{"__proto__":{"x":1}}');
});
