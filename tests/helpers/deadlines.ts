/** Waits that have a deadline, so that a test which would hang fails instead. */

import { delay } from "@std/async/delay";

/**
 * The longest that anything may take before a test gives up on it, in ms.
 * SOCKPIPE_DEADLINE_MS sets it where all is slow, as under an emulator.
 */
export const DEADLINE_MS: number = Number(
  Deno.env.get("SOCKPIPE_DEADLINE_MS") ?? 30_000,
);

/**
 * Waits for a promise, but not for ever.
 *
 * @param what What is waited for, as the error says it.
 * @param ms The deadline; generous, as the machine may be loaded.
 */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms: number = DEADLINE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = typeof what === "string" ? what : what();
    late.reject(new Error(`Waited ${ms} ms in vain for ${text}`));
  }, ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until there is an answer. */
export function until<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  what: string | (() => string),
): Promise<T> {
  let asking = true;
  const answer = async () => {
    while (asking) {
      const found = await ask();
      if (found !== undefined) return found;
      await delay(20);
    }
    throw new Error(`${what} never came`);
  };
  return within(answer(), what).finally(() => asking = false);
}
