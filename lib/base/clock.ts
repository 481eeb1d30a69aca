/** Clocks that start in little time. */

/**
 * The number of clocks that are AbortSignal.timeout(): it cannot be stopped, so
 * there must not be one for each connection of a busy run.
 */
const FEW = 8;

let started = 0;

/**
 * Calls back after a time, unless it is disposed of before.
 *
 * setTimeout() of Deno 2.9 loads the timers of Node when it is called first, 8 ms of
 * a start, which AbortSignal.timeout() does not; so it is for later clocks.
 *
 * @param ms Milliseconds, at most 2^31 - 1. Of the first clocks none keeps the
 * process alive by itself.
 */
export function startClock(ms: number, act: () => void): Disposable {
  if (++started > FEW) {
    const timer = setTimeout(act, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
  const signal = AbortSignal.timeout(ms);
  signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}
