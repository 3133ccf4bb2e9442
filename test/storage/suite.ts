/**
 * The conformance suite of storages: whatever passes it may stand behind the engine. It is run for
 * the memory adapter and for MongoDB; a case names what a storage promises.
 */
import { afterAll, beforeAll, describe } from "vitest";
import type { Storage } from "../../src/engine/ports.ts";
import type { CaseSetup } from "./case-setup.ts";
import { blobCases } from "./cases/blob-cases.ts";
import { checkpointCases } from "./cases/checkpoint-cases.ts";
import { journalCases } from "./cases/journal-cases.ts";
import { leaseCases } from "./cases/lease-cases.ts";
import { recordCases } from "./cases/record-cases.ts";
import { replicaCases } from "./cases/replica-cases.ts";
import { signalCases } from "./cases/signal-cases.ts";
import { viewCases } from "./cases/view-cases.ts";

/** An empty database to which any number of storages connect. */
export interface StorageUnderTest {
  readonly connect: () => Promise<Storage>;
  /** Makes every subscriber of signals lose its place. */
  readonly breakSignals: () => Promise<void>;
  /** Drops the database. */
  readonly dispose: () => Promise<void>;
}

/** Runs every case against the database that `open` makes. */
export function storageSuite(name: string, open: () => Promise<StorageUnderTest>): void {
  describe(`a storage on ${name}`, () => {
    let subject: StorageUnderTest | undefined;
    const connections: Storage[] = [];

    beforeAll(async () => {
      subject = await open();
      connections.push(await subject.connect(), await subject.connect());
    });

    afterAll(async () => {
      for (const storage of connections) await storage.close();
      await subject?.dispose();
    });

    function connection(index: number): Storage {
      const found = connections[index];
      if (found === undefined) throw new Error("the storage under test is not open");
      return found;
    }

    const setup: CaseSetup = {
      storage: () => connection(0),
      otherStorage: () => connection(1),
      breakSignals: async () => {
        await subject?.breakSignals();
      },
    };
    journalCases(setup);
    recordCases(setup);
    checkpointCases(setup);
    viewCases(setup);
    leaseCases(setup);
    replicaCases(setup);
    signalCases(setup);
    blobCases(setup);
  });
}
