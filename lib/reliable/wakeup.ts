/** A wait that another loop, or the clock, ends. */

import type { WaitedFor, WaitTimes } from "../pipe/traffic.ts";

/** The wait of one loop. A notice while it does not wait ends its next wait at once. */
export class Wakeup implements Disposable {
  #noticed = false;
  #wake: (() => void) | undefined;
  /** Notifies at `#dueAt`. Kept when later waits are longer: timers cost much. */
  #timer: Disposable | undefined;
  #dueAt = Infinity;
  readonly #waited: WaitTimes | undefined;
  readonly #what: WaitedFor;

  /**
   * @param waited Counts the waits, if they are to be counted.
   * @param what The thing that `waited` counts them as.
   */
  constructor(waited?: WaitTimes, what: WaitedFor = "sending") {
    this.#waited = waited;
    this.#what = what;
  }

  /** Ends the wait that is under way, or else the next one. */
  notify(): void {
    if (this.#wake === undefined) {
      this.#noticed = true;
      return;
    }
    this.#waited?.end(this.#what);
    this.#wake();
    this.#wake = undefined;
  }

  /**
   * Waits for a notice, for at most `ms` and maybe less. One wait at a time. Not an
   * async function, which would wake its caller three turns of microtasks later.
   */
  wait(ms = Infinity): Promise<void> {
    if (this.#noticed) {
      this.#noticed = false;
      return Promise.resolve();
    }
    if (ms !== Infinity) this.#notifyAt(performance.now() + ms);
    this.#waited?.begin(this.#what);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  /** Stops the clock: a wait that is under way lasts until the next notice. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #notifyAt(at: number): void {
    if (at >= this.#dueAt) return;
    this.#timer?.[Symbol.dispose]();
    this.#dueAt = at;
    this.#timer = callAfter(at - performance.now(), () => {
      this.#dueAt = Infinity;
      this.notify();
    });
  }
}

/**
 * Calls `act` once after `ms`, unless it is disposed of before.
 *
 * @param ms At most 2^31 - 1; `undefined` and `Infinity` are never.
 */
export function callAfter(ms: number | undefined, act: () => void): Disposable {
  const timer = ms === undefined || ms === Infinity
    ? undefined
    : setTimeout(act, Math.max(0, Math.ceil(ms)));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
