// The Python client and executor as a user has them: programs of their own against a server that is
// a process of its own.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type CliServer, runCli, startCliServer, until } from "./support/cli.ts";

const PYTHON = "/usr/bin/python3";
const EXAMPLES = fileURLToPath(new URL("../../examples/python", import.meta.url));

function hasGrpc(): boolean {
  try {
    execFileSync(PYTHON, ["-c", "import grpc, google.protobuf"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Stores a result of the greatest depth, and counts the levels of the answer to its ingest. */
const JSON_READER = `
import argparse
import grpc
from keelson_stubs import Keelson

parser = argparse.ArgumentParser()
parser.add_argument("--address")
with grpc.insecure_channel(parser.parse_args().address) as channel:
    keelson = Keelson(channel)
    runtime = keelson.runtime
    item = runtime.IngestBatchItem(runtime_id="deep-json", ensure=True)
    value = item.input.operation.event.completed.result
    item.input.operation.operation_id = "o"
    for level in range(30):
        value.struct_value.fields["a"].null_value = 0
        value = value.struct_value.fields["a"]
    answer = keelson.runtimes.IngestBatch(runtime.IngestBatchRequest(items=[item]))
    request = runtime.GetInputRequest(runtime_id="deep-json", include_payload=True)
    request.input_id = answer.results[0].accepted.input.input_id
    found = keelson.runtimes.GetInput(request).input.input
    value = found.operation.event.completed.result
    levels = 0
    while value.WhichOneof("kind") == "struct_value":
        value = value.struct_value.fields["a"]
        levels += 1
    print("levels:", levels, flush=True)
`;

interface Program {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exitCode: Promise<number | null>;
}

// Debian's gRPC for Python is not on every machine; where the gate runs, it must be.
describe.skipIf(!hasGrpc() && process.env["CI"] === undefined)("the Python examples", () => {
  const programs: Program[] = [];
  let server: CliServer;

  beforeAll(async () => {
    server = await startCliServer();
  });

  afterAll(() => server.stop());

  afterEach(async () => {
    for (const { child } of programs) child.kill("SIGKILL");
    await Promise.all(programs.splice(0).map(({ exitCode }) => exitCode));
  });

  function start(script: readonly string[], ...words: readonly string[]): Program {
    const address = server.address.replace(/^https?:\/\//, "");
    const child = spawn(PYTHON, [...script, "--address", address, ...words], {
      cwd: EXAMPLES,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const exitCode = once(child, "close").then(() => child.exitCode);
    const program = { child, output: () => output, exitCode };
    programs.push(program);
    return program;
  }

  const says = (program: Program, text: string) =>
    until(`${text} in\n${program.output()}`, () => program.output().includes(text));

  it("give work, do it, and show the same results when run again", async () => {
    const pool = `pool-${randomUUID()}`;
    const runtime = `runtime-${randomUUID()}`;
    const executor = start(["executor.py"], "--pool", pool, "--slots", "2", "--pace", "0");
    await says(executor, "attached");
    const words = ["--runtime", runtime, "--pool", pool, "--watch", "hello keelson", "one two"];
    const client = start(["client.py"], ...words);
    expect(await client.exitCode).toBe(0);
    expect(client.output()).toContain("batch-1/0: accepted");
    expect(client.output()).toContain("batch-1/0: completed: HELLO KEELSON");
    expect(client.output()).toContain("batch-1/1: completed: ONE TWO");
    expect(client.output()).toContain("event run.completed at revision");
    const again = start(["client.py"], ...words);
    expect(await again.exitCode).toBe(0);
    expect(again.output()).toContain("batch-1/0: deduplicated");
    expect(again.output()).toContain("batch-1/0: completed: HELLO KEELSON");
    executor.child.kill("SIGTERM");
    expect(await executor.exitCode).toBe(0);
    expect(executor.output()).toContain("receipt 0, completed: HELLO KEELSON");
    expect(executor.output()).toContain("detached");
  });

  it("read JSON as deep as it may be", async () => {
    const program = start(["-c", JSON_READER]);
    await program.exitCode;
    expect(program.output()).toContain("levels: 30");
  });

  it("register a process, claim it, tell its progress and end it", async () => {
    const name = `process-${randomUUID()}`;
    const words = ["--process", name, "--kind", name, "--steps", "4", "--lease-seconds", "1"];
    const first = start(["process.py"], ...words, "--pace", "0.3");
    await says(first, "step 2 is event 2");
    first.child.kill("SIGKILL");
    const second = start(["process.py"], ...words, "--pace", "0");
    expect(await second.exitCode).toBe(0);
    expect(second.output()).toContain(`${name}: known`);
    expect(second.output()).toContain("claimed, generation 2");
    expect(second.output()).toContain("step 4 is event 4");
    expect(second.output()).toContain(`${name}: success`);
  });

  it("obey an interrupt", async () => {
    const pool = `pool-${randomUUID()}`;
    const runtime = `runtime-${randomUUID()}`;
    const executor = start(["executor.py"], "--pool", pool, "--pace", "0.1");
    const text = "word ".repeat(200);
    const client = start(["client.py"], "--runtime", runtime, "--pool", pool, "--watch", text);
    await says(client, "event run.acknowledged");
    const { address } = server;
    const { exitCode } = await runCli(["runtime", "interrupt", runtime, "--yes"], { address });
    expect(exitCode).toBe(0);
    expect(await client.exitCode).toBe(0);
    expect(client.output()).toContain("batch-1/0: abandoned");
    await says(executor, "cancelled");
  });

  it("drop a run whose lease is lost, and do it under the next one", async () => {
    const pool = `pool-${randomUUID()}`;
    const runtime = `runtime-${randomUUID()}`;
    const executor = start(["executor.py"], "--pool", pool, "--pace", "0.1");
    const text = "word ".repeat(20).trim();
    const client = start(["client.py"], "--runtime", runtime, "--pool", pool, "--watch", text);
    await says(client, "event run.acknowledged");
    const { address } = server;
    const recover = ["runtime", "recover", runtime, "--fence", "--yes"];
    expect((await runCli(recover, { address })).exitCode).toBe(0);
    await says(executor, "lost");
    expect(await client.exitCode).toBe(0);
    expect(client.output()).toContain(`batch-1/0: completed: ${text.toUpperCase()}`);
  });
});
