import { describe, expect, test } from "vitest";
import type { ContentBlock, Input, InputBody, InputSource } from "./input.ts";
import { runPrimitiveOf } from "./primitive.ts";
import { continuation, ingestCommand, operation, peer, prompt } from "./testing/story.ts";

function input(name: string, body: InputBody, source?: InputSource): Input {
  return ingestCommand(name, body, source === undefined ? {} : { source }).input;
}

const FROM_PEER: InputSource = { type: "peer", peerId: "helper" };
const PICTURE: ContentBlock = { type: "image", mediaType: "image/png", base64: "AAAA" };
const text = (words: string): ContentBlock => ({ type: "text", text: words });

function content(body: InputBody, source?: InputSource): unknown {
  return runPrimitiveOf([input("a", body, source)]).appends[0]?.content;
}

describe("the run primitive", () => {
  test("one user append per input, in order; continuations and operations add nothing", () => {
    const primitive = runPrimitiveOf([
      input("a", peer("message"), FROM_PEER),
      input("b", continuation("queue")),
      input("c", operation()),
      input("d", { type: "flow_step", stepId: "s", instructions: "build" }),
    ]);
    expect(primitive.appends).toEqual([
      { role: "user", content: { type: "text", text: "text" }, inputId: "a" },
      { role: "user", content: { type: "text", text: "build" }, inputId: "d" },
    ]);
    expect(primitive.contributingInputIds).toEqual(["a", "b", "c", "d"]);
    expect(primitive.contextAppends).toEqual([]);
  });

  test("the boundary is that of the first input: steer at a checkpoint, queue at the start", () => {
    const boundary = (body: InputBody) => runPrimitiveOf([input("a", body)]).boundary;
    expect(boundary(prompt("a"))).toBe("run_start");
    expect(boundary(prompt("a", "steer"))).toBe("run_checkpoint");
    expect(boundary(continuation("steer"))).toBe("run_checkpoint");
    expect(boundary(continuation("queue"))).toBe("run_start");
    expect(boundary(peer("response_progress"))).toBe("run_checkpoint");
  });

  test("blocks win over text", () => {
    const blocks = [text("look"), PICTURE];
    expect(content({ type: "prompt", text: "unused", blocks })).toEqual({ type: "blocks", blocks });
    expect(content({ type: "prompt", text: "used", blocks: [] })).toEqual({
      type: "text",
      text: "used",
    });
  });

  test("blocks of a peer's message are headed by who sent them", () => {
    const body: InputBody = {
      type: "peer",
      convention: { type: "message" },
      body: "text",
      blocks: [PICTURE],
    };
    expect(content(body, FROM_PEER)).toEqual({
      type: "blocks",
      blocks: [text("[COMMS MESSAGE from helper]"), PICTURE],
    });
  });

  test("blocks of any other peer input follow its text, unless they begin with it", () => {
    const body = (words: string, blocks: readonly ContentBlock[]): InputBody => {
      return { type: "peer", body: words, blocks };
    };
    expect(content(body("hi", [PICTURE]), FROM_PEER)).toMatchObject({
      blocks: [text("hi"), PICTURE],
    });
    expect(content(body("hi", [text("hi"), PICTURE]), FROM_PEER)).toMatchObject({
      blocks: [text("hi"), PICTURE],
    });
    expect(content(body("", [PICTURE]), FROM_PEER)).toMatchObject({ blocks: [PICTURE] });
  });

  test("an external event says where it came from, and its body where it has one", () => {
    const event = (payload: Extract<InputBody, { type: "external_event" }>["payload"]) =>
      ({ type: "external_event", eventType: "deploy", payload, handlingMode: "queue" }) as const;
    const webhook: InputSource = { type: "external", sourceName: "webhook" };
    expect(content(event({ body: "  done \n" }), webhook)).toEqual({
      type: "text",
      text: "[EVENT via webhook] done",
    });
    expect(content(event({ body: "   " }))).toMatchObject({ text: "[EVENT via deploy]" });
    expect(content(event(["body"]))).toMatchObject({ text: "[EVENT via deploy]" });
    expect(content(event(null))).toMatchObject({ text: "[EVENT via deploy]" });
  });
});

describe("turn metadata", () => {
  const wish = (
    turnMetadata: NonNullable<Extract<InputBody, { type: "flow_step" }>["turnMetadata"]>,
  ): InputBody => ({ type: "flow_step", stepId: "s", instructions: "", turnMetadata });

  test("of single values the last one given wins, lists are joined", () => {
    const primitive = runPrimitiveOf([
      input(
        "a",
        wish({
          model: "small",
          keepAlive: true,
          skillReferences: ["x"],
          additionalInstructions: [],
        }),
      ),
      input(
        "b",
        wish({ model: "large", skillReferences: ["y"], additionalInstructions: ["short"] }),
      ),
      input("c", wish({ provider: "p" })),
    ]);
    expect(primitive.turnMetadata).toEqual({
      model: "large",
      provider: "p",
      keepAlive: true,
      skillReferences: ["x", "y"],
      additionalInstructions: ["short"],
      executionKind: "content_turn",
    });
  });

  test("the run resumes what is pending only when every input is a continuation", () => {
    const both = [input("a", continuation()), input("b", continuation())];
    expect(runPrimitiveOf(both).turnMetadata.executionKind).toBe("resume_pending");
    const mixed = [input("a", continuation()), input("b", prompt("go", "steer"))];
    expect(runPrimitiveOf(mixed).turnMetadata.executionKind).toBe("content_turn");
  });
});
