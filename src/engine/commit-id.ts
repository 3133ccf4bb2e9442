/**
 * Ids of commit attempts: UUIDs of version 8 whose front is random per process and whose end
 * counts. As unique as random ones, at a fraction of their cost, for every commit needs one.
 */
import { randomBytes } from "node:crypto";

const COUNTER_MAX = 2 ** 48;
const COUNTER_DIGITS = 12;

/** Makes the source of a process; no two answers of all processes are the same. */
export function makeCommitIds(): () => string {
  const hex = randomBytes(8).toString("hex");
  const variant = "89ab"[Number.parseInt(hex.slice(12, 13), 16) & 3] ?? "8";
  const front = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13)}`,
    `${variant}${hex.slice(9, 12)}`,
  ];
  const prefix = `${front.join("-")}-`;
  let counter = 0;
  return () => {
    counter = (counter + 1) % COUNTER_MAX;
    return prefix + counter.toString(16).padStart(COUNTER_DIGITS, "0");
  };
}
