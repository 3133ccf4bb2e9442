/** GetServerInfo, ListReplicas, GetStream and ListCommits; RebuildViews is composed in. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { commitText, GENESIS_HASH } from "../engine/commit-codec.ts";
import type { JournalStore, StoredCommit } from "../engine/ports.ts";
import {
  type Commit,
  CommitSchema,
  ReplicaSchema,
  StreamDescriptionSchema,
} from "../../gen/keelson/admin/v1/messages_pb.ts";
import {
  type AdminService,
  GetServerInfoResponseSchema,
  GetStreamResponseSchema,
  ListCommitsResponseSchema,
  ListReplicasResponseSchema,
} from "../../gen/keelson/admin/v1/service_pb.ts";
import type { AdminServiceOptions } from "./admin-options.ts";
import { checkStream } from "./admin-streams.ts";
import { callerOf } from "./caller.ts";
import { checkCount, finish, makeFieldCheck } from "./codec/field-check.ts";
import { checkPageSize, countPositionOf, pageTokenOf, positionOf } from "./codec/page-token.ts";
import { hashToHex } from "./codec/receipt.ts";
import { serverInfoToProto } from "./codec/server-info.ts";
import { timestampToProto } from "./codec/time.ts";
import { makeRebuildViews } from "./rebuild-views.ts";

const PAGE_BYTES_MAX = 4 * 1024 * 1024;

function streamNotFound(stream: StreamName): RefusedError {
  return new RefusedError(
    refusalOf("STREAM_NOT_FOUND", "The stream has no commits in this namespace", { stream }),
  );
}

function commitToProto(stored: StoredCommit, previousHash: Uint8Array): Commit {
  return create(CommitSchema, {
    revision: BigInt(stored.revision),
    at: timestampToProto(stored.at),
    commitId: stored.commitId,
    hash: hashToHex(stored.hash),
    previousHash: hashToHex(previousHash),
    canonicalJson: commitText(stored),
  });
}

/** Commits as they are shown, up to the size of a page, with at least one. */
function commitsOfPage(
  stored: readonly StoredCommit[],
  previousHash: Uint8Array,
  pageSize: number,
): readonly Commit[] {
  const commits: Commit[] = [];
  let bytes = 0;
  let hash = previousHash;
  for (const next of stored) {
    const commit = commitToProto(next, hash);
    bytes += commit.canonicalJson.length;
    if (commits.length === pageSize || (commits.length > 0 && bytes > PAGE_BYTES_MAX)) break;
    commits.push(commit);
    hash = next.hash;
  }
  return commits;
}

/** The hash of the commit at a revision, also of the one before the first. */
async function hashAt(
  journal: Pick<JournalStore, "readAt">,
  stream: StreamName,
  revision: number,
): Promise<Uint8Array> {
  if (revision === 0) return GENESIS_HASH;
  const [commit] = await journal.readAt([{ stream, revision }]);
  return commit?.hash ?? GENESIS_HASH;
}

/** Makes the admin service. */
export function makeAdminService(options: AdminServiceOptions): ServiceImpl<typeof AdminService> {
  const { journal, views, checkpoints, replicas, membership, kinds, server, nowMs } = options;

  async function headOf(stream: StreamName): Promise<number> {
    const head = await journal.headOf(stream);
    if (head === 0) throw streamNotFound(stream);
    return head;
  }

  return {
    ...makeRebuildViews(options),

    getServerInfo: () => create(GetServerInfoResponseSchema, serverInfoToProto(options)),

    listReplicas: async (request) => {
      const check = makeFieldCheck();
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "replicas" };
      const after = positionOf(filter, request.pageToken) ?? "";
      const asOf = nowMs();
      const live = new Set(membership.live().map((row) => row.replicaId));
      const rows = (await replicas.list())
        .filter((row) => row.replicaId > after)
        .toSorted((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
      const page = rows.slice(0, pageSize);
      const last = rows.length > pageSize ? page.at(-1) : undefined;
      return create(ListReplicasResponseSchema, {
        replicas: page.map((row) =>
          create(ReplicaSchema, {
            replicaId: row.replicaId,
            address: row.address,
            version: row.version,
            startedAt: timestampToProto(row.startedAt),
            lastSeenAt: timestampToProto(row.heartbeatAt),
            live: live.has(row.replicaId),
            thisReplica: row.replicaId === server.replicaId,
          }),
        ),
        nextPageToken: last === undefined ? "" : pageTokenOf(filter, last.replicaId),
        asOf: timestampToProto(asOf),
      });
    },

    getStream: async (request, context) => {
      const check = makeFieldCheck();
      const named = checkStream(check, callerOf(context).namespace, request.stream, kinds);
      finish(check);
      const { stream, address, streams } = named;
      const head = await headOf(stream);
      const [commits, [row], checkpoint] = await Promise.all([
        journal.readAt([{ stream, revision: head }]),
        views.get([stream]),
        checkpoints.nearest({ stream, revision: head }, streams?.foldVersion ?? 0),
      ]);
      const [last] = commits;
      const description = create(StreamDescriptionSchema, {
        stream: address,
        streamName: stream,
        headRevision: BigInt(head),
        headHash: last === undefined ? "" : hashToHex(last.hash),
        ...(last === undefined ? {} : { headTime: timestampToProto(last.at) }),
        checkpointRevision: BigInt(checkpoint?.revision ?? 0),
        viewRevision: BigInt(row?.revision ?? 0),
        state: row?.state ?? "",
        cached: streams?.isCached(stream) ?? false,
        quarantined: streams?.isQuarantined(stream) ?? false,
      });
      return create(GetStreamResponseSchema, { description });
    },

    listCommits: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { stream } = checkStream(check, namespace, request.stream, kinds);
      const start = checkCount(check, request.afterRevision, "after_revision");
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "commits", stream, start };
      const after = Math.max(start, countPositionOf(filter, request.pageToken));
      const asOf = nowMs();
      const head = await headOf(stream);
      const previousHash = await hashAt(journal, stream, after);
      const page = await journal.readAfter([{ stream, revision: after }]);
      const shown = page.commits.filter((commit) => commit.revision <= head);
      const commits = commitsOfPage(shown, previousHash, pageSize);
      const lastRevision = commits.at(-1)?.revision ?? BigInt(after);
      const isEnd = lastRevision >= BigInt(head);
      return create(ListCommitsResponseSchema, {
        commits: [...commits],
        nextPageToken: isEnd ? "" : pageTokenOf(filter, String(lastRevision)),
        headRevision: BigInt(head),
        asOf: timestampToProto(asOf),
      });
    },
  };
}
