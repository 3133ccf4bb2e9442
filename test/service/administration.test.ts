// Administration, health and reflection: what the server says about itself and its streams.
import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as AlphaRequest,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { external } from "./support/processes.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const RUNTIME_SERVICE = "keelson.runtime.v1.RuntimeControlPlaneService";

describe("the server", () => {
  it("tells what it is and allows", async () => {
    const { admin } = clientsOf(deployment.url);
    const info = await admin.getServerInfo({});
    expect(info.contract).toBe("v9");
    expect(info.limits).toMatchObject({
      inputPayloadBytesMax: 1_048_576,
      jsonDepthMax: 30,
      batchInputsMax: 1_000,
      pageSizeMax: 1_000,
    });
    expect(info.capabilities).toEqual(info.capabilities.toSorted());
    expect(info.capabilities.length).toBeGreaterThan(0);
  });

  it("lists itself among the replicas", async () => {
    const { admin } = clientsOf(deployment.url);
    const { replicas } = await admin.listReplicas({});
    const own = replicas.filter((replica) => replica.thisReplica);
    expect(own).toMatchObject([{ live: true }]);
  });
});

describe("a stream", () => {
  it("is described as it is stored", async () => {
    const { admin, runtimes, namespace } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId: "a/b", ensure: true, input: prompt("x") });
    await runtimes.listRuntimes({});
    const { description } = await admin.getStream({ stream: { kind: "runtime", id: "a/b" } });
    expect(description).toMatchObject({
      stream: { kind: "runtime", namespace, id: "a/b" },
      streamName: `runtime/${namespace}/a%2Fb`,
      headRevision: 1n,
      viewRevision: 1n,
      state: "idle",
      quarantined: false,
    });
  });

  it("shows its commits so that anybody can check the chain", async () => {
    const { admin, runtimes } = clientsOf(deployment.url);
    for (const text of ["one", "two", "three"]) {
      await runtimes.ingest({ runtimeId: "r", ensure: true, input: prompt(text) });
    }
    const stream = { kind: "runtime", id: "r" };
    let hash = "0".repeat(64);
    let revision = 0n;
    let pageToken = "";
    do {
      const page = await admin.listCommits({ stream, pageSize: 2, pageToken });
      for (const commit of page.commits) {
        revision += 1n;
        expect(commit).toMatchObject({ revision, previousHash: hash });
        hash = createHash("sha256")
          .update(Buffer.from(hash, "hex"))
          .update(commit.canonicalJson)
          .digest("hex");
        expect(commit.hash).toBe(hash);
        expect(JSON.parse(commit.canonicalJson)).toMatchObject({ revision: Number(revision) });
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(revision).toBe(3n);
    const verified = await runtimes.verifyRuntime({ runtimeId: "r" });
    expect(verified.headHash).toBe(hash);
  });

  it("of a process or of the grants of a session is read in the same way", async () => {
    const { admin, processes, namespace } = clientsOf(deployment.url);
    const processId = "p:1";
    await processes.registerProcess({ registration: external(processId) });
    await processes.grantHandle({ scope: { sessionId: "chat" }, processId });
    const streams = [
      { kind: "process", id: processId, streamName: `process/${namespace}/p%3A1` },
      { kind: "grants", id: "chat", streamName: `grants/${namespace}/chat` },
    ];
    for (const { kind, id, streamName } of streams) {
      const stream = { kind, id };
      const { description } = await admin.getStream({ stream });
      expect(description).toMatchObject({ stream: { kind, namespace, id }, streamName });
      const { commits } = await admin.listCommits({ stream });
      expect(commits.length).toBeGreaterThan(0);
      expect(commits[0]).toMatchObject({ revision: 1n, previousHash: "0".repeat(64) });
    }
  });

  it("records who asked", async () => {
    const { admin, runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId: "r", requestId: "q" });
    const { commits } = await admin.listCommits({ stream: { kind: "runtime", id: "r" } });
    expect(JSON.parse(commits[0]?.canonicalJson ?? "null")).toMatchObject({
      commands: [{ command: "ensure_runtime", actor: "service-suite", requestId: "q" }],
    });
  });

  it("that has no commits is not found, and of another kind is refused", async () => {
    const { admin } = clientsOf(deployment.url);
    const unknown = await wireErrorOf(admin.getStream({ stream: { kind: "runtime", id: "x" } }));
    expect(unknown).toMatchObject({ code: Code.NotFound, reason: "STREAM_NOT_FOUND" });
    const other = await wireErrorOf(admin.listCommits({ stream: { kind: "nothing", id: "x" } }));
    expect(other).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_FIELD" });
  });

  it("has its view written anew on request", async () => {
    const { admin, runtimes, namespace } = clientsOf(deployment.url);
    await Promise.all(["a", "b", "c"].map((runtimeId) => runtimes.ensureRuntime({ runtimeId })));
    const reports: { streamsRead: bigint; streamsFailed: bigint; done: boolean }[] = [];
    for await (const report of admin.rebuildViews({ namespace })) reports.push(report);
    expect(reports.at(-1)).toMatchObject({ streamsRead: 3n, streamsFailed: 0n, done: true });
  });
});

describe("health", () => {
  const health = () => createClient(Health, createGrpcTransport({ baseUrl: deployment.url }));

  it("is serving, as a whole and by service", async () => {
    expect((await health().check({})).status).toBe(Status.SERVING);
    expect((await health().check({ service: RUNTIME_SERVICE })).status).toBe(Status.SERVING);
    const { statuses } = await health().list({});
    expect(statuses[RUNTIME_SERVICE]?.status).toBe(Status.SERVING);
  });

  it("of a service that is not there is not found, and can be watched", async () => {
    expect((await wireErrorOf(health().check({ service: "no.Such" }))).code).toBe(Code.NotFound);
    for await (const { status } of health().watch({ service: "no.Such" })) {
      expect(status).toBe(Status.SERVICE_UNKNOWN);
      break;
    }
  });
});

type Question = ServerReflectionRequest["messageRequest"];

describe.each(["v1", "v1alpha"] as const)("reflection %s", (version) => {
  async function ask(messageRequest: Question) {
    const transport = createGrpcTransport({ baseUrl: deployment.url });
    const v1 = createClient(ServerReflection, transport);
    const v1alpha = createClient(ServerReflectionAlpha, transport);
    async function* questions() {
      yield { messageRequest };
    }
    const answers =
      version === "v1"
        ? v1.serverReflectionInfo(questions())
        : v1alpha.serverReflectionInfo(questions() as AsyncIterable<AlphaRequest>);
    for await (const answer of answers) return answer.messageResponse;
    throw new Error("no answer");
  }

  it("lists the services", async () => {
    const answer = await ask({ case: "listServices", value: "" });
    if (answer.case !== "listServicesResponse") throw new Error("no list");
    const names = answer.value.service.map((service) => service.name);
    expect(names).toContain(RUNTIME_SERVICE);
    expect(names).toContain("grpc.health.v1.Health");
  });

  it.each([
    { case: "fileContainingSymbol", value: RUNTIME_SERVICE },
    { case: "fileContainingSymbol", value: `${RUNTIME_SERVICE}.Ingest` },
    { case: "fileByFilename", value: "keelson/runtime/v1/service.proto" },
  ] as const)("describes $value with everything it needs", async (question) => {
    const answer = await ask(question);
    if (answer.case !== "fileDescriptorResponse") throw new Error("no files");
    const files = answer.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
    const names = files.map((file) => file.name);
    expect(names[0]).toBe("keelson/runtime/v1/service.proto");
    for (const file of files) {
      for (const dependency of file.dependency) expect(names).toContain(dependency);
    }
  });

  it("says what it does not know", async () => {
    const unknown = await ask({ case: "fileContainingSymbol", value: "no.Such" });
    expect(unknown).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
    const extension = await ask({ case: "allExtensionNumbersOfType", value: RUNTIME_SERVICE });
    expect(extension).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
  });
});
