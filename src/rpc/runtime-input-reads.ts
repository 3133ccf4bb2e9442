/** GetInput, ListInputs, LoadBoundaryReceipt and ListBoundaryReceipts. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { isTerminal } from "../core/runtime/input-lifecycle.ts";
import {
  headerFromRecord,
  INPUTS_CLASS,
  receiptFromRecord,
  receiptLookup,
  RECEIPTS_CLASS,
} from "../core/runtime/record-codec.ts";
import type { InputHeader, Receipt } from "../core/runtime/state.ts";
import { type RunId, runIdOf, type StreamName } from "../core/shared/ids.ts";
import {
  GetInputResponseSchema,
  type InputFilter,
  ListBoundaryReceiptsResponseSchema,
  ListInputsResponseSchema,
  LoadBoundaryReceiptResponseSchema,
  type RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { completionToProto } from "./codec/completion.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import { inputKinds, inputStates } from "./codec/enums.ts";
import {
  checkCount,
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
} from "./codec/field-check.ts";
import { inputStatusToProto } from "./codec/input-status.ts";
import {
  checkPageSize,
  countPositionOf,
  type PageFilter,
  pageTokenOf,
} from "./codec/page-token.ts";
import { receiptToProto } from "./codec/receipt.ts";
import { timestampToProto } from "./codec/time.ts";
import { type OrdinalSource, type OrderedPage, readPage } from "./ordinal-pages.ts";
import { checkRuntime, checkTarget, freshHistory } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { readCommits } from "./stored-commits.ts";
import { findInput, readCompletion, readPayloads, type RuntimeFold } from "./stored-inputs.ts";

type InputReadService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "getInput" | "listInputs" | "loadBoundaryReceipt" | "listBoundaryReceipts"
>;

const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of an entry besides its payload, near enough. */
const ENTRY_BYTES = 500;

/** A checked filter of a list of inputs. */
interface InputQuery {
  readonly states?: readonly string[];
  readonly kinds?: readonly string[];
  readonly active?: boolean;
}

function inputQueryOf(check: FieldCheck, filter: InputFilter | undefined): InputQuery {
  if (filter === undefined) return {};
  const states = checkEnums(check, inputStates, filter.states, "filter.states");
  const kinds = checkEnums(check, inputKinds, filter.kinds, "filter.kinds");
  const { active } = filter;
  return {
    ...(states === undefined ? {} : { states }),
    ...(kinds === undefined ? {} : { kinds }),
    ...(active === undefined ? {} : { active }),
  };
}

function inputMatches({ states, kinds, active }: InputQuery, header: InputHeader): boolean {
  return (
    (states === undefined || states.includes(header.state)) &&
    (kinds === undefined || kinds.includes(header.kind)) &&
    (active === undefined || active !== isTerminal(header.state))
  );
}

function tokenAfter(filter: PageFilter, page: OrderedPage<unknown>): string {
  return page.next === undefined ? "" : pageTokenOf(filter, String(page.next));
}

/** Makes the reading part of the service that is about inputs and receipts. */
export function makeRuntimeInputReads(options: RuntimeServiceOptions): InputReadService {
  const { streams, nowMs } = options;

  function inputsOf(
    stream: StreamName,
    fold: RuntimeFold,
    query: InputQuery,
  ): OrdinalSource<InputHeader> {
    const { admitted, inputs } = fold.state;
    return {
      streams,
      stream,
      recordClass: INPUTS_CLASS,
      fromRecord: headerFromRecord,
      includesForgotten: query.active !== true,
      held: function* held(afterOrdinal) {
        for (const [ordinal, inputId] of admitted.entries(afterOrdinal + 1)) {
          const item = inputs.get(inputId);
          if (item) yield { ordinal, item };
        }
      },
    };
  }

  function receiptsOf(stream: StreamName, fold: RuntimeFold): OrdinalSource<Receipt> {
    return {
      streams,
      stream,
      recordClass: RECEIPTS_CLASS,
      fromRecord: receiptFromRecord,
      includesForgotten: true,
      held: function* held(afterOrdinal) {
        for (const [ordinal, item] of fold.state.receipts.entries(afterOrdinal + 1)) {
          yield { ordinal, item };
        }
      },
    };
  }

  async function findReceipt(
    stream: StreamName,
    runId: RunId,
    sequence: number,
  ): Promise<Receipt | undefined> {
    const fold = await streams.fresh(stream);
    for (const receipt of fold.state.receipts.values()) {
      if (receipt.runId === runId && receipt.sequence === sequence) return receipt;
    }
    const lookup = receiptLookup(runId, sequence);
    const record = await streams.findRecord(stream, fold, RECEIPTS_CLASS, lookup);
    return record === undefined ? undefined : receiptFromRecord(record);
  }

  return {
    getInput: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const target = checkTarget(check, request.target);
      finish(check);
      const { stream } = runtime;
      const fold = await freshHistory(streams, runtime);
      const header = await findInput(streams, stream, fold, target);
      const payloads = request.includePayload
        ? await readPayloads(streams, stream, [header])
        : null;
      const completion = await readCompletion(streams, stream, header);
      return create(GetInputResponseSchema, {
        input: inputStatusToProto(header, payloads?.get(header.inputId)),
        ...(completion.type === "pending" ? {} : { completion: completionToProto(completion) }),
        revision: BigInt(fold.revision),
      });
    },

    listInputs: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const query = inputQueryOf(check, request.filter);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { runtimeId, stream } = runtime;
      const { includePayload } = request;
      const filter = { list: "inputs", namespace, runtimeId, ...query };
      const after = countPositionOf(filter, request.pageToken);
      const asOf = nowMs();
      const fold = await freshHistory(streams, runtime);
      const page = await readPage(inputsOf(stream, fold, query), after, {
        pageSize,
        bytesMax: PAGE_BYTES_MAX,
        bytesOf: (header) => ENTRY_BYTES + (includePayload ? header.payloadBytes : 0),
        matches: (header) => inputMatches(query, header),
      });
      const payloads = includePayload ? await readPayloads(streams, stream, page.items) : null;
      return create(ListInputsResponseSchema, {
        inputs: page.items.map((header) =>
          inputStatusToProto(header, payloads?.get(header.inputId)),
        ),
        nextPageToken: tokenAfter(filter, page),
        revision: BigInt(fold.revision),
        asOf: timestampToProto(asOf),
      });
    },

    loadBoundaryReceipt: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { runtimeId, stream } = checkRuntime(check, namespace, request.runtimeId);
      const runId = runIdOf(checkId(check, request.runId, "run_id"));
      const sequence = checkCount(check, request.sequence, "sequence");
      finish(check);
      const receipt = await findReceipt(stream, runId, sequence);
      if (receipt === undefined) return create(LoadBoundaryReceiptResponseSchema, {});
      const { hash } = await streams.commit(stream, receipt.revision);
      return create(LoadBoundaryReceiptResponseSchema, {
        receipt: receiptToProto(runtimeId, receipt, hash),
      });
    },

    listBoundaryReceipts: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const runId = checkOptionalId(check, request.runId, "run_id");
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { runtimeId, stream } = runtime;
      const filter = { list: "receipts", namespace, runtimeId, runId: runId ?? "" };
      const after = countPositionOf(filter, request.pageToken);
      const asOf = nowMs();
      const fold = await freshHistory(streams, runtime);
      const page = await readPage(receiptsOf(stream, fold), after, {
        pageSize,
        bytesMax: PAGE_BYTES_MAX,
        bytesOf: (receipt) => ENTRY_BYTES + receipt.contributors.length * 40,
        matches: (receipt) => runId === undefined || receipt.runId === runId,
      });
      const revisions = page.items.map((receipt) => receipt.revision);
      const commits = await readCommits(streams, stream, revisions);
      return create(ListBoundaryReceiptsResponseSchema, {
        receipts: page.items.map((receipt) =>
          receiptToProto(runtimeId, receipt, commits.get(receipt.revision)?.hash),
        ),
        nextPageToken: tokenAfter(filter, page),
        revision: BigInt(fold.revision),
        asOf: timestampToProto(asOf),
      });
    },
  };
}
