/** Hints between the connections of one memory database. */
import type { Signal, SignalStore } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";

/** One who listens; `deliver` hands a signal over on the listener's own way. */
interface Listener {
  readonly replicaId: string;
  readonly deliver: (signal: Signal) => void;
  readonly onGap: () => void;
}

/** The listeners of a memory database, shared by its connections. */
export interface SignalHub {
  readonly publish: (signal: Signal) => void;
  readonly add: (listener: Listener) => void;
  readonly drop: (listener: Listener) => void;
  /** Tells every listener that signals may have been missed. */
  readonly breakOff: () => void;
}

/** Nobody listens yet. */
export function makeSignalHub(): SignalHub {
  const listeners = new Set<Listener>();
  return {
    publish: (signal) => {
      for (const listener of listeners) {
        if (listener.replicaId !== signal.replicaId) listener.deliver(signal);
      }
    },
    add: (listener) => {
      listeners.add(listener);
    },
    drop: (listener) => {
      listeners.delete(listener);
    },
    breakOff: () => {
      for (const listener of listeners) listener.onGap();
    },
  };
}

/**
 * The hints as one connection sees them. A delivery is an operation of its own, `signals.deliver`:
 * a lost one is told to the listener as a gap.
 */
export function makeMemorySignals(hub: SignalHub, gate: MemoryGate): SignalStore {
  return {
    publish: (signal) =>
      gate.run("signals", "publish", false, () => {
        hub.publish(signal);
      }),
    subscribe: async (replicaId, onSignal, onGap) => {
      let isUnsubscribed = false;
      const isDeaf = (): boolean => isUnsubscribed || gate.isClosed();
      const tellGap = (): void => {
        if (!isDeaf()) onGap();
      };
      const listener: Listener = {
        replicaId,
        deliver: (signal) => {
          if (isDeaf()) return;
          const hand = (): void => {
            if (!isDeaf()) onSignal(signal);
          };
          gate
            .run("signals", "deliver", false, () => {
              queueMicrotask(hand);
            })
            .catch(tellGap);
        },
        onGap: tellGap,
      };
      await gate.run("signals", "subscribe", false, () => {
        hub.add(listener);
      });
      return {
        close: async () => {
          isUnsubscribed = true;
          hub.drop(listener);
        },
      };
    },
  };
}
