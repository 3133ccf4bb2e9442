/** ExplainRuntime: why a runtime is not doing more right now. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { explain } from "../core/runtime/explain.ts";
import {
  ExplainRuntimeResponseSchema,
  type RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { causeToProto } from "./codec/cause.ts";
import { finish, makeFieldCheck } from "./codec/field-check.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { timestampToProto } from "./codec/time.ts";
import { checkRuntime, freshHistory } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type ExplainService = Pick<ServiceImpl<typeof RuntimeControlPlaneService>, "explainRuntime">;

/** Makes the explaining part of the service. */
export function makeRuntimeExplain(options: RuntimeServiceOptions): ExplainService {
  const { streams, dispatcher, nowMs } = options;
  return {
    explainRuntime: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      finish(check);
      const { state, revision } = await freshHistory(streams, runtime);
      const facts = await dispatcher.executorFacts(namespace, state);
      const now = nowMs();
      return create(ExplainRuntimeResponseSchema, {
        causes: explain(state, facts, now).map((cause) => causeToProto(cause, now)),
        runtime: runtimeToProto(namespace, state, revision, now),
        asOf: timestampToProto(now),
      });
    },
  };
}
