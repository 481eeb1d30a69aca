/**
 * Waiting for what may come too late: a promise against a signal and a time limit,
 * where what arrives after all is closed and not leaked.
 */

import { abortable } from "@std/async/abortable";
import { startClock } from "./clock.ts";
import { MAX_DURATION_MS } from "./units.ts";

/**
 * A limit on waiting. Its signal is aborted by the first of: the abort of the
 * signal it was made with, the end of its time, a call of {@linkcode abort}.
 * Disposing of it stops its clock and lets go of the other signal, so that a signal
 * that lives as long as the run can have any number of them, one after another.
 *
 *     using deadline = new Deadline(signal, limitMs, () => new TimeLimitError(…));
 *     return await claim(listener.accept(), deadline.signal);
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.abort(this.#outer?.reason);
  readonly #clock: Disposable | undefined;

  /**
   * @param signal Its abort is passed on with its reason, at once when it is
   * aborted already.
   * @param limitMs Milliseconds from now, rounded up and no less than 0, at most
   * 2^31 - 1; `undefined` and `Infinity` are no limit.
   * @param makeError Makes the reason of the abort when the time is over; an AbortError
   * when absent.
   */
  constructor(
    signal: AbortSignal | undefined,
    limitMs?: number,
    makeError?: () => Error,
  ) {
    this.#outer = signal;
    if (signal?.aborted) {
      this.abort(signal.reason);
      return;
    }
    signal?.addEventListener("abort", this.#onOuterAbort, { once: true });
    if (limitMs === undefined || limitMs === Infinity) return;
    const ms = Math.min(Math.max(Math.ceil(limitMs), 0), MAX_DURATION_MS);
    this.#clock = startClock(ms, () => this.abort(makeError?.()));
  }

  /**
   * Aborted when the wait is to end; its reason is the error to throw. It may be
   * aborted from the start: {@linkcode onAbort} hears that, too.
   */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts the signal, unless it is aborted. `reason` is an error as a rule. */
  abort(reason: unknown): void {
    this[Symbol.dispose]();
    this.#controller.abort(reason);
  }

  /**
   * Stops the clock and lets go of the other signal: the own signal is not aborted
   * any more. Idempotent.
   */
  [Symbol.dispose](): void {
    this.#clock?.[Symbol.dispose]();
    this.#outer?.removeEventListener("abort", this.#onOuterAbort);
  }
}

/**
 * Calls `act` once when `signal` aborts, and now when it is aborted already, of
 * which no event would tell.
 *
 * @returns Disposing of it takes the call back.
 */
export function onAbort(signal: AbortSignal, act: () => void): Disposable {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}

/**
 * Waits for a resource, unless `signal` aborts before it is there. One that comes
 * later is discarded, and a failure that comes later is ignored.
 *
 * @param discard Closes what comes later; it is disposed of when absent.
 * @returns The resource, the caller's to close.
 * @throws `signal.reason`, and what the promise rejects with.
 */
export async function claim<T extends Disposable>(
  resource: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => void = (late) => late[Symbol.dispose](),
): Promise<T> {
  try {
    return await abortable(resource, signal);
  } catch (error) {
    resource.then(discard).catch(() => {});
    throw error;
  }
}
