/** Lease registers in memory, timed by the database's clock. */
import type { AttachmentTerms, Clock, LeaseRow, LeaseStore } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import type { WriteLog } from "./write-log.ts";

/** A register with the mark that every stream of the holder knows of the lapse. */
interface LeaseRegister extends LeaseRow {
  readonly isSettled: boolean;
  /** When it is over without another renewal, or was over. */
  readonly expiresAt: number;
  /** What the incarnation serves; empty when nothing was said. */
  readonly serves: string;
}

/** The registers of a memory database, shared by its connections. */
export interface LeaseTable {
  readonly open: (
    holder: string,
    ttlMs: number,
    attachment: AttachmentTerms | undefined,
  ) => number | "lapsed";
  readonly renew: (holders: readonly string[]) => readonly string[];
  readonly lapse: (holder: string) => boolean;
  readonly close: (holder: string) => void;
  readonly overdue: (limit: number) => readonly LeaseRow[];
  readonly unsettled: (limit: number) => readonly LeaseRow[];
  readonly settle: (holder: string) => void;
  readonly get: (holder: string) => LeaseRow | undefined;
  readonly serving: (serves: string, limit: number) => readonly LeaseRow[];
  readonly servedUntil: (serves: string) => number | undefined;
  readonly discard: (holder: string) => void;
}

function rowOf({ holder, state, ttlMs, renewedAt, attachments }: LeaseRegister): LeaseRow {
  return { holder, state, ttlMs, renewedAt, attachments };
}

/** No registers yet. */
export function makeLeaseTable(log: WriteLog, clock: Clock): LeaseTable {
  const registers = new Map<string, LeaseRegister>();

  function write(register: LeaseRegister): void {
    const former = registers.get(register.holder);
    registers.set(register.holder, register);
    log.wrote(() => {
      if (former === undefined) registers.delete(register.holder);
      else registers.set(register.holder, former);
    });
  }

  function discard(holder: string): void {
    const former = registers.get(holder);
    if (former === undefined) return;
    registers.delete(holder);
    log.wrote(() => {
      registers.set(holder, former);
    });
  }

  function isOverdue(register: LeaseRegister): boolean {
    return register.state === "live" && clock.nowMs() > register.expiresAt;
  }

  function open(
    holder: string,
    ttlMs: number,
    attachment: AttachmentTerms | undefined,
  ): number | "lapsed" {
    const former = registers.get(holder);
    if (former?.state === "lapsed") return "lapsed";
    const attachments = (former?.attachments ?? 0) + (attachment === undefined ? 0 : 1);
    const renewedAt = clock.nowMs();
    write({
      holder,
      state: "live",
      ttlMs,
      renewedAt,
      expiresAt: renewedAt + ttlMs,
      attachments,
      isSettled: false,
      serves: attachment?.serves ?? former?.serves ?? "",
    });
    return attachments;
  }

  function renewOne(holder: string): boolean {
    const register = registers.get(holder);
    if (register?.state !== "live") return false;
    const renewedAt = clock.nowMs();
    write({ ...register, renewedAt, expiresAt: renewedAt + register.ttlMs });
    return true;
  }

  function end(register: LeaseRegister): void {
    const expiresAt = Math.min(register.expiresAt, clock.nowMs());
    write({ ...register, state: "lapsed", expiresAt });
  }

  function lapse(holder: string): boolean {
    const register = registers.get(holder);
    if (register === undefined || !isOverdue(register)) return false;
    end(register);
    return true;
  }

  function close(holder: string): void {
    const register = registers.get(holder);
    if (register?.state === "live") end(register);
  }

  function settle(holder: string): void {
    const register = registers.get(holder);
    if (register?.state === "lapsed") write({ ...register, isSettled: true });
  }

  function select(
    limit: number,
    isWanted: (register: LeaseRegister) => boolean,
  ): readonly LeaseRow[] {
    return registers.values().filter(isWanted).take(limit).map(rowOf).toArray();
  }

  return {
    open,
    renew: (holders) => holders.filter((holder) => !renewOne(holder)),
    lapse,
    close,
    overdue: (limit) => select(limit, isOverdue),
    unsettled: (limit) =>
      select(limit, (register) => register.state === "lapsed" && !register.isSettled),
    settle,
    get: (holder) => {
      const register = registers.get(holder);
      return register === undefined ? undefined : rowOf(register);
    },
    serving: (serves, limit) =>
      select(limit, (register) => {
        return register.serves === serves && register.state === "live" && !isOverdue(register);
      }),
    servedUntil: (serves) => {
      const ends = registers.values().filter((register) => register.serves === serves);
      return ends.reduce<number | undefined>((last, { expiresAt }) => {
        return Math.max(last ?? expiresAt, expiresAt);
      }, undefined);
    },
    discard,
  };
}

/** The registers as one connection sees them. */
export function makeMemoryLeases(table: LeaseTable, gate: MemoryGate): LeaseStore {
  return {
    open: (holder, ttlMs, attachment) =>
      gate.run("leases", "open", true, () => table.open(holder, ttlMs, attachment)),
    renew: (holders) => gate.run("leases", "renew", false, () => table.renew(holders)),
    lapse: (holder) => gate.run("leases", "lapse", true, () => table.lapse(holder)),
    close: (holder) =>
      gate.run("leases", "close", true, () => {
        table.close(holder);
      }),
    overdue: (limit) => gate.run("leases", "overdue", false, () => table.overdue(limit)),
    unsettled: (limit) => gate.run("leases", "unsettled", false, () => table.unsettled(limit)),
    settle: (holder) =>
      gate.run("leases", "settle", false, () => {
        table.settle(holder);
      }),
    get: (holder) => gate.run("leases", "get", false, () => table.get(holder)),
    serving: (serves, limit) =>
      gate.run("leases", "serving", false, () => table.serving(serves, limit)),
    servedUntil: (serves) =>
      gate.run("leases", "servedUntil", false, () => table.servedUntil(serves)),
    openNew: (registers) =>
      gate.run("leases", "openNew", true, () => {
        for (const { holder, ttlMs } of registers) table.open(holder, ttlMs, undefined);
      }),
    discard: (holders) =>
      gate.run("leases", "discard", false, () => {
        for (const holder of holders) table.discard(holder);
      }),
  };
}
