// What becomes of a cancellation whose server is killed while it is under way.
import { expect, test } from "vitest";
import { InputState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { onCluster } from "./support/small-scene.ts";

const ROUNDS = 4;
const INPUTS = 30;
const ALONE = { replicas: ["alone"] };

test("a cancellation is told the same after its server was killed, and is done once", async () => {
  await onCluster(ALONE, async ({ cluster, client, ensure, send }) => {
    const [server] = cluster.replicas;
    const { endpoints } = client;
    await ensure("desk");
    for (let round = 0; round < ROUNDS; round += 1) {
      const names = Array.from({ length: INPUTS }, (_input, index) => `round-${round}-${index}`);
      for (const name of names) await send("desk", name);
      const anchor = names[round * 5] ?? "";
      const request = {
        runtimeId: "desk",
        requestId: `cancel-${round}`,
        selection: {
          case: "suffixFrom" as const,
          value: { target: { case: "idempotencyKey" as const, value: anchor } },
        },
      };
      const cancelling = endpoints.call(({ runtimes }, limits) => {
        return runtimes.cancelInputs(request, limits);
      });
      await server?.kill();
      await server?.start();
      const told = await cancelling;
      const again = await endpoints.call(({ runtimes }, limits) => {
        return runtimes.cancelInputs(request, limits);
      });
      expect(told.results.map(({ outcome }) => outcome.case)).toEqual(
        Array.from({ length: INPUTS - round * 5 }, () => "cancelled"),
      );
      expect(again).toEqual({ ...told, runtime: again.runtime });
      const page = await endpoints.call(({ runtimes }, limits) => {
        const filter = { states: [InputState.ABANDONED] };
        return runtimes.listInputs({ runtimeId: "desk", filter, pageSize: 1_000 }, limits);
      });
      const here = page.inputs.filter((input) => names.includes(input.idempotencyKey));
      expect(here.map((input) => input.inputId)).toEqual(told.results.map((it) => it.inputId));
      expect(here.map(({ history }) => history.at(-1)?.revision)).toEqual(
        here.map(() => told.revision),
      );
    }
  });
});
