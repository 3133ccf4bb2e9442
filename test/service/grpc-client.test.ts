// The same service through the plain gRPC client of Node: unary, errors with details, streams.
import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  create,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { OperationKind } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { OperationService } from "../../gen/keelson/operation/v1/service_pb.ts";
import {
  type IngestRequestSchema,
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  IngestStreamResponseSchema,
  RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { type Deployment, openDeployment } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";

const SERVICE = "/keelson.runtime.v1.RuntimeControlPlaneService";

let deployment: Deployment;
let client: grpc.Client;
const metadata = new grpc.Metadata();

beforeAll(async () => {
  deployment = await openDeployment();
  const { host, protocol } = new URL(deployment.url);
  const credentials =
    protocol === "https:" ? grpc.credentials.createSsl() : grpc.credentials.createInsecure();
  client = new grpc.Client(host, credentials);
  metadata.set("keelson-namespace", `case-${randomUUID()}`);
});

afterAll(async () => {
  client.close();
  await deployment.close();
});

function writerOf<Desc extends DescMessage>(schema: Desc) {
  return (message: MessageShape<Desc>): Buffer => Buffer.from(toBinary(schema, message));
}

function readerOf<Desc extends DescMessage>(schema: Desc) {
  return (bytes: Buffer): MessageShape<Desc> => fromBinary(schema, bytes);
}

/** One unary call, with its path and its messages. */
function unary<Method extends DescMethodUnary>(
  method: Method,
  init: MessageInitShape<Method["input"]>,
): Promise<MessageShape<Method["output"]>> {
  const { promise, resolve, reject } = Promise.withResolvers<MessageShape<Method["output"]>>();
  const { input, output }: { input: Method["input"]; output: Method["output"] } = method;
  client.makeUnaryRequest(
    `/${method.parent.typeName}/${method.name}`,
    writerOf(input),
    readerOf(output),
    create(input, init),
    metadata,
    (error, response) => {
      if (response) resolve(response);
      else reject(error ?? new Error("neither an answer nor an error"));
    },
  );
  return promise;
}

function ingest(init: MessageInitShape<typeof IngestRequestSchema>) {
  return unary(RuntimeControlPlaneService.method.ingest, init);
}

it("a unary call is answered", async () => {
  const { outcome } = await ingest({ runtimeId: "r", ensure: true, input: prompt("x") });
  expect(outcome.case).toBe("accepted");
});

it("an error has a status, and its reason in the standard details", async () => {
  const error = await ingest({ runtimeId: "nobody", input: prompt("x") }).then(
    () => undefined,
    (thrown: unknown) => thrown as grpc.ServiceError,
  );
  expect(error?.code).toBe(grpc.status.NOT_FOUND);
  const [details] = error?.metadata.get("grpc-status-details-bin") ?? [];
  expect(details).toBeInstanceOf(Buffer);
  const info = Buffer.from(
    toBinary(
      ErrorInfoSchema,
      create(ErrorInfoSchema, {
        reason: "RUNTIME_NOT_REGISTERED",
        domain: "keelson.dev",
        metadata: { runtimeId: "nobody" },
      }),
    ),
  );
  expect((details as Buffer).includes(info)).toBe(true);
});

it("who waits for an operation is told of its end, and the runtime is woken", async () => {
  const { method } = OperationService;
  const name = { runtimeId: "o", operationId: "tool-1" };
  const spec = {
    operationId: "tool-1",
    kind: OperationKind.BACKGROUND_TOOL_OP,
    displayName: "a tool",
  };
  await unary(RuntimeControlPlaneService.method.ensureRuntime, { runtimeId: "o" });
  await unary(method.registerOperation, { runtimeId: "o", spec });
  await unary(method.markProvisioned, name);
  const waiting = unary(method.waitAll, { runtimeId: "o", operationIds: ["tool-1"] });
  const { revision } = await unary(method.completeOperation, {
    ...name,
    result: { content: "done" },
  });
  const { allEnded, operations } = await waiting;
  expect([allEnded, operations[0]?.outcome?.outcome.value]).toMatchObject([
    true,
    { result: { content: "done" } },
  ]);
  const { runtime } = await unary(RuntimeControlPlaneService.method.getRuntime, { runtimeId: "o" });
  expect(runtime).toMatchObject({ revision, runnable: true, steerDepth: 1 });
});

it("a bidirectional stream answers what it is sent", async () => {
  const call = client.makeBidiStreamRequest(
    `${SERVICE}/IngestStream`,
    writerOf(IngestStreamRequestSchema),
    readerOf(IngestStreamResponseSchema),
    metadata,
  );
  const count = 200;
  const responses: IngestStreamResponse[] = [];
  const ended = Promise.withResolvers<void>();
  call.on("data", (response: IngestStreamResponse) => responses.push(response));
  call.on("error", ended.reject);
  call.on("end", () => ended.resolve());
  for (let sequence = 0; sequence < count; sequence += 1) {
    const request = { clientSequence: BigInt(sequence), runtimeId: "s", ensure: true };
    call.write(create(IngestStreamRequestSchema, { ...request, input: prompt("x") }));
  }
  call.end();
  await ended.promise;
  expect(responses.map((response) => response.outcome.case)).toEqual(
    Array.from({ length: count }, () => "accepted"),
  );
  const sequences = responses.map((response) => Number(response.clientSequence));
  expect(sequences).toEqual(Array.from({ length: count }, (_, index) => index));
});
