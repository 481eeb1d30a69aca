/** The part of a transfer that holds it up. */

import type { WaitedFor, WaitedMs } from "../pipe/traffic.ts";

/** The share of the time from which on a wait is mentioned. */
const LEAST_SHARE = 0.5;

/** The longest wait, and its share of the time. */
export interface SlowPart {
  readonly what: WaitedFor;
  /** 0 to 1. */
  readonly share: number;
}

/**
 * Finds what holds up the direction in which more has moved.
 *
 * @param totals The bytes that have moved and the time waited, in `lastedMs`.
 * @returns `undefined` when it was mostly moving, or nothing has moved.
 */
export function slowPart(
  { sent, received, waitedMs }: {
    readonly sent: number;
    readonly received: number;
    readonly waitedMs?: WaitedMs;
  },
  lastedMs: number,
): SlowPart | undefined {
  if (waitedMs === undefined || lastedMs <= 0) return undefined;
  const [from, to] = sent >= received
    ? ["stdin", "sending"] as const
    : ["receiving", "stdout"] as const;
  const what = waitedMs[from] >= waitedMs[to] ? from : to;
  const share = Math.min(1, waitedMs[what] / lastedMs);
  return share < LEAST_SHARE ? undefined : { what, share };
}

/** The words for what is waited for. */
export const WAITED_FOR_WORDS: Readonly<Record<WaitedFor, string>> = {
  stdin: "stdin",
  sending: "the peer to take it",
  receiving: "the peer to send",
  stdout: "the reader of stdout",
};
