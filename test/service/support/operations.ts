/** Operations as the cases of the suite use them. */
import {
  type Completion,
  type Operation,
  OperationKind,
} from "../../../gen/keelson/operation/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";

/** The runtime of the cases. */
export const runtimeId = "agent";

/** A kind of operation by a short word. */
export type KindWord = "tool" | "child";

const KINDS: Readonly<Record<KindWord, OperationKind>> = {
  tool: OperationKind.BACKGROUND_TOOL_OP,
  child: OperationKind.MOB_MEMBER_CHILD,
};

/** Registers operations. */
export async function register(
  { operations }: CaseClients,
  kind: KindWord,
  ...operationIds: readonly string[]
): Promise<void> {
  for (const operationId of operationIds) {
    const spec = { operationId, kind: KINDS[kind], displayName: operationId };
    await operations.registerOperation({ runtimeId, spec });
  }
}

/** Registers operations and says that they run. */
export async function operate(
  clients: CaseClients,
  kind: KindWord,
  ...operationIds: readonly string[]
): Promise<void> {
  await register(clients, kind, ...operationIds);
  for (const operationId of operationIds) {
    await clients.operations.markProvisioned({ runtimeId, operationId });
  }
}

/** Completes operations, one after the other. */
export async function finish(
  { operations }: CaseClients,
  ...operationIds: readonly string[]
): Promise<void> {
  for (const operationId of operationIds) {
    const result = { content: `result of ${operationId}` };
    await operations.completeOperation({ runtimeId, operationId, result });
  }
}

/** One operation as it is now. */
export async function read({ operations }: CaseClients, operationId: string): Promise<Operation> {
  const { operation } = await operations.getOperation({ runtimeId, operationId });
  if (!operation) throw new Error("an answer without an operation");
  return operation;
}

/** The whole feed of completions. */
export async function feed(
  { operations }: CaseClients,
  afterSequence = 0n,
): Promise<readonly Completion[]> {
  const request = { runtimeId, afterSequence, pageSize: 1_000, includeResults: true };
  return (await operations.listCompletions(request)).completions;
}

/** Ids of the operations of the registry, in the order of the list. */
export async function registered({ operations }: CaseClients): Promise<readonly string[]> {
  const list = await operations.listOperations({ runtimeId });
  return list.operations.map(({ operationId }) => operationId);
}

/** The inputs that tell an agent of completions, in order. */
export async function continuations({ runtimes }: CaseClients) {
  const { inputs } = await runtimes.listInputs({ runtimeId, includePayload: true });
  return inputs.filter(({ input }) => {
    const { kind } = input ?? {};
    const isContinuation = kind?.case === "continuation";
    return isContinuation && kind.value.reason === "detached_background_op_completed";
  });
}
