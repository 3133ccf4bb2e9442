/** What every signal store promises. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Signal, Storage } from "../../../src/engine/ports.ts";
import { shardOf } from "../../../src/engine/stream-name.ts";
import { freshStream } from "../samples.ts";
import type { CaseSetup } from "../case-setup.ts";
import { eventually } from "../waiting.ts";

/** A subscriber that notes what it is told. */
async function listenOn(storage: Storage, replicaId: string) {
  const heard: Signal[] = [];
  const gaps = { count: 0 };
  const subscription = await storage.signals.subscribe(
    replicaId,
    (signal) => heard.push(signal),
    () => {
      gaps.count += 1;
    },
  );
  return { heard, gaps, close: subscription.close };
}

function signalOf(replicaId: string): Signal {
  const stream = freshStream();
  return {
    replicaId,
    shards: [shardOf(stream), shardOf(freshStream())],
    runnable: [{ stream, revision: 7 }],
    attached: [{ holder: "$n/e/i", attachments: 2 }],
  };
}

/** See the header of this file. */
export function signalCases(setup: CaseSetup): void {
  describe("signals", () => {
    it("hands signals to the other replicas, in order and not to the sender", async () => {
      const [sender, receiver] = [randomUUID(), randomUUID()];
      const own = await listenOn(setup.storage(), sender);
      const other = await listenOn(setup.otherStorage(), receiver);
      const sent = [signalOf(sender), signalOf(sender), signalOf(sender)];
      for (const signal of sent) await setup.storage().signals.publish(signal);
      await eventually("three signals", () => other.heard.length >= 3);
      expect(other.heard).toEqual(sent);
      expect(other.gaps.count).toBe(0);
      expect(own.heard).toEqual([]);
      await own.close();
      await other.close();
    });

    it("hands over nothing that was published before the subscription", async () => {
      const sender = randomUUID();
      await setup.storage().signals.publish(signalOf(sender));
      const listener = await listenOn(setup.otherStorage(), randomUUID());
      const later = signalOf(sender);
      await setup.storage().signals.publish(later);
      await eventually("the later signal", () => listener.heard.length > 0);
      expect(listener.heard).toEqual([later]);
      await listener.close();
    });

    it("is silent once the subscription is closed", async () => {
      const sender = randomUUID();
      const closed = await listenOn(setup.otherStorage(), randomUUID());
      const open = await listenOn(setup.otherStorage(), randomUUID());
      await closed.close();
      await setup.storage().signals.publish(signalOf(sender));
      await eventually("the signal", () => open.heard.length > 0);
      expect(closed.heard).toEqual([]);
      await open.close();
    });

    it("tells of a gap when signals may have been missed, and goes on", async () => {
      const sender = randomUUID();
      const listener = await listenOn(setup.otherStorage(), randomUUID());
      await setup.breakSignals();
      await eventually("a gap", () => listener.gaps.count > 0);
      const later = signalOf(sender);
      await setup.storage().signals.publish(later);
      await eventually("the signal after the gap", () => listener.heard.length > 0);
      expect(listener.heard).toEqual([later]);
      await listener.close();
    });
  });
}
