/** ListHandleGrants, HasHandleGrant and ListProcessGrants: who may address what. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  isShown,
  type ShownGrant,
  shownGrantsFor,
  shownGrantsOf,
} from "../core/grants/shown-grants.ts";
import { type ProcessId, processIdOf, type SessionId } from "../core/shared/ids.ts";
import type { StreamRow } from "../engine/ports.ts";
import { grantsStreamOf, processStreamOf } from "../flows/flow-streams.ts";
import { type Process, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  HasHandleGrantResponseSchema,
  ListHandleGrantsResponseSchema,
  ListProcessGrantsResponseSchema,
  type ProcessRegistryService,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { finish, makeFieldCheck } from "./codec/field-check.ts";
import { grantScopeFromProto, grantToProto } from "./codec/grant.ts";
import {
  checkPageSize,
  pageTokenOf,
  positionOf,
  positionsOf,
  positionsTokenOf,
} from "./codec/page-token.ts";
import { processFromRow } from "./codec/process.ts";
import { timestampToProto } from "./codec/time.ts";
import type { GrantServiceOptions } from "./grant-options.ts";
import { checkProcess, freshProcess } from "./process-calls.ts";
import { shownProcess } from "./stored-processes.ts";
import { viewsAsOf } from "./views-as-of.ts";

type GrantReadService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "listHandleGrants" | "hasHandleGrant" | "listProcessGrants"
>;

/** A grant with the session that it is of. */
interface SessionGrant extends ShownGrant {
  readonly sessionId: SessionId;
}

function isBehind(grant: SessionGrant, position: readonly string[] | undefined): boolean {
  const [sessionId = "", frameId = ""] = position ?? [];
  if (position === undefined || grant.sessionId > sessionId) return true;
  return grant.sessionId === sessionId && grant.frameId > frameId;
}

/** By session, then by frame. */
function inOrder(left: SessionGrant, right: SessionGrant): number {
  if (left.sessionId !== right.sessionId) return left.sessionId < right.sessionId ? -1 : 1;
  return left.frameId < right.frameId ? -1 : 1;
}

/** Makes the part of the service that reads grants. */
export function makeGrantReads(options: GrantServiceOptions): GrantReadService {
  const { grants, streams, views } = options;

  /** A process as its row shows it, or as it is when there is no row yet; none once pruned. */
  async function processOf(
    namespace: string,
    processId: ProcessId,
    row: StreamRow | undefined,
  ): Promise<Process | undefined> {
    if (row !== undefined) return row.gone ? undefined : processFromRow(row);
    const fold = await streams.fresh(processStreamOf(namespace, processId));
    const isThere = fold.state.registration !== null && fold.state.prunedAt === null;
    return isThere ? shownProcess(fold) : undefined;
  }

  async function processesOf(
    namespace: string,
    shown: readonly ShownGrant[],
  ): Promise<readonly (Process | undefined)[]> {
    const names = shown.map(({ processId }) => processStreamOf(namespace, processId));
    const rows = names.length === 0 ? [] : await views.get(names);
    const byId = new Map(rows.map((row) => [row.id, row]));
    return await Promise.all(
      shown.map(({ processId }) => processOf(namespace, processId, byId.get(processId))),
    );
  }

  async function grantsIn(
    namespace: string,
    sessionIds: readonly SessionId[],
    processId: ProcessId,
  ): Promise<readonly SessionGrant[]> {
    const bySession = sessionIds.map(async (sessionId) => {
      const { state } = await grants.fresh(grantsStreamOf(namespace, sessionId));
      return shownGrantsFor(state, processId).map((grant) => ({ ...grant, sessionId }));
    });
    return (await Promise.all(bySession)).flat();
  }

  /**
   * The grants of a process in these sessions and wherever they are on their way to: there they may
   * be before the process knows of it.
   */
  async function grantsAround(
    namespace: string,
    sessionIds: readonly SessionId[],
    processId: ProcessId,
  ): Promise<readonly SessionGrant[]> {
    const looked = new Set<SessionId>();
    const found: SessionGrant[] = [];
    let next = sessionIds;
    while (next.length > 0) {
      for (const sessionId of next) looked.add(sessionId);
      const more = await grantsIn(namespace, next, processId);
      found.push(...more);
      const targets = more.flatMap(({ transferringTo }) => transferringTo?.sessionId ?? []);
      next = [...new Set(targets)].filter((sessionId) => !looked.has(sessionId));
    }
    return found;
  }

  return {
    listHandleGrants: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { sessionId, frameId } = grantScopeFromProto(check, request.scope, "scope");
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "handle grants", namespace, sessionId, frameId };
      const position = positionOf(filter, request.pageToken);
      const after = position === undefined ? undefined : processIdOf(position);
      const asOf = await viewsAsOf(options);
      const { state } = await grants.fresh(grantsStreamOf(namespace, sessionId));
      const shown = shownGrantsOf(state, frameId, pageSize, after);
      const processes = await processesOf(namespace, shown);
      const entries = shown.flatMap((grant, index) => {
        const process = processes[index];
        const isWanted = !request.liveOnly || process?.state === ProcessState.RUNNING;
        if (process === undefined || !isWanted) return [];
        return [{ grant: grantToProto(sessionId, grant), process }];
      });
      const last = shown.length === pageSize ? shown.at(-1) : undefined;
      return create(ListHandleGrantsResponseSchema, {
        entries,
        nextPageToken: last === undefined ? "" : pageTokenOf(filter, last.processId),
        asOf: timestampToProto(asOf),
      });
    },

    hasHandleGrant: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { sessionId, frameId } = grantScopeFromProto(check, request.scope, "scope");
      const { processId, stream } = checkProcess(check, namespace, request.processId);
      finish(check);
      const [session, process] = await Promise.all([
        grants.fresh(grantsStreamOf(namespace, sessionId)),
        streams.fresh(stream),
      ]);
      const isThere = process.state.registration !== null && process.state.prunedAt === null;
      return create(HasHandleGrantResponseSchema, {
        granted: isThere && isShown(session.state, frameId, processId),
      });
    },

    listProcessGrants: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { processId, stream } = checkProcess(check, namespace, request.processId);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "process grants", namespace, processId };
      const position = positionsOf(filter, request.pageToken);
      const asOf = options.nowMs();
      const fold = await freshProcess(streams, { processId, stream });
      const held = [...fold.state.holders.entries()]
        .filter(([, holder]) => holder.held)
        .map(([sessionId]) => sessionId);
      const all = await grantsAround(namespace, held, processId);
      const behind = all.filter((grant) => isBehind(grant, position)).toSorted(inOrder);
      const page = behind.slice(0, pageSize);
      const last = behind.length > pageSize ? page.at(-1) : undefined;
      return create(ListProcessGrantsResponseSchema, {
        grants: page.map((grant) => grantToProto(grant.sessionId, grant)),
        nextPageToken:
          last === undefined ? "" : positionsTokenOf(filter, [last.sessionId, last.frameId]),
        asOf: timestampToProto(asOf),
      });
    },
  };
}
