/**
 * Stands in for `@std/async/delay` and `@std/async/abortable` where JSR cannot be
 * reached; same names, same types, same behaviour for promises.
 */

/** The longest wait that one timer can hold, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Ends the wait early when it is aborted. */
  signal?: AbortSignal;
  /**
   * Whether the process stays alive for as long as the wait lasts.
   *
   * @default {true}
   */
  persistent?: boolean;
}

/**
 * Waits.
 *
 * @param ms How long, in milliseconds; any length, Infinity too. What is below
 * 0 or no number counts as 0.
 * @returns Fulfils when the time is over. Rejects with `signal.reason` when the
 * signal is aborted, before or during the wait.
 */
export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal, persistent = true } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    let left = Math.trunc(Math.max(ms, 0) || 0);
    let timer: ReturnType<typeof setTimeout>;
    const wait = () => {
      const step = Math.min(left, MAX_TIMER_MS);
      left -= step;
      timer = setTimeout(left > 0 ? wait : done, step);
      if (!persistent) Deno.unrefTimer(timer);
    };
    const done = () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    };
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    wait();
  });
}

/**
 * Makes a promise abortable; what it stands for goes on.
 *
 * @returns Settles as `promise` does. Rejects with `signal.reason` when the signal
 * is aborted, before or meanwhile.
 */
export async function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([aborted.promise, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
