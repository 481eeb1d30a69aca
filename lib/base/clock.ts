/** Clocks that start in little time. */

/**
 * The number of clocks of a process that are AbortSignal.timeout(): it cannot be
 * stopped, so a busy run must not have one for each connection.
 */
const FIRST_CLOCKS = 8;

let started = 0;

/**
 * Calls `act` once after a time, unless the clock is disposed of before.
 *
 * setTimeout() of Deno 2.9 loads the timers of Node when it is called first, 8 ms of
 * a start, which AbortSignal.timeout() does not; so it is for later clocks.
 *
 * @param ms Milliseconds, at most 2^31 - 1.
 * @returns The clock. The first {@linkcode FIRST_CLOCKS} do not keep the process
 * alive by themselves, later ones do.
 */
export function startClock(ms: number, act: () => void): Disposable {
  if (++started > FIRST_CLOCKS) {
    const timer = setTimeout(act, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
  const signal = AbortSignal.timeout(ms);
  signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}
