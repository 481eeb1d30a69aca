/** The pause between two attempts to connect. */

import { delay } from "@std/async/delay";
import type { RetryOptions } from "../cli/options.ts";
import type { Reporter } from "../report/reporter.ts";

/** An attempt that failed, and the limits of the wait for the next one. */
export interface FailedAttempt {
  /** The target, as `formatAddress` writes it. */
  readonly address: string;
  readonly reason: string;
  /** The number of attempts so far, 1 or more. */
  readonly attempt: number;
  readonly retry: Pick<RetryOptions, "delayMs" | "maxDelayMs">;
  /** The longest pause, in ms; no limit when absent. */
  readonly mostMs?: number;
}

/**
 * Reports that an attempt has failed, and waits as long as `retry` says before the
 * next.
 *
 * @throws `signal.reason` when it aborts.
 */
export async function pauseBeforeRetry(
  { address, reason, attempt, retry, mostMs = Infinity }: FailedAttempt,
  { signal, report }: { signal: AbortSignal; report: Reporter },
): Promise<void> {
  const wantedMs = retryDelayMs(attempt, retry, Math.random);
  const delayMs = Math.max(0, Math.min(wantedMs, Math.round(mostMs)));
  report.say({ event: "retrying", address, reason, delayMs });
  await delay(delayMs, { signal });
}

/**
 * Computes the pause before the next attempt: the delay, doubled with each attempt
 * up to the maximum, less a random part of up to half, but never less than
 * `delayMs`.
 *
 * @param attempt The number of attempts so far, 1 or more.
 * @param random A number from 0 to below 1.
 * @returns Milliseconds; exactly `delayMs` when `maxDelayMs` is not larger.
 */
export function retryDelayMs(
  attempt: number,
  { delayMs, maxDelayMs }: Pick<RetryOptions, "delayMs" | "maxDelayMs">,
  random: () => number,
): number {
  if (maxDelayMs <= delayMs) return delayMs;
  const doubled = Math.min(
    maxDelayMs,
    delayMs * 2 ** Math.min(attempt - 1, 31),
  );
  return Math.max(delayMs, Math.round(doubled * (1 - random() / 2)));
}
