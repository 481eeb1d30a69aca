/** What loops wait for: a bell that another loop rings, and an alarm. */

/** Wakes one waiting loop. Rung while nobody waits, it ends the next wait at once. */
export class Bell implements Disposable {
  #rung = false;
  #wake: (() => void) | undefined;
  /** Rings at `#dueAt`. Left alone when later waits are longer: timers are dear. */
  #alarm: Disposable | undefined;
  #dueAt = Infinity;

  ring(): void {
    if (this.#wake === undefined) this.#rung = true;
    else this.#wake();
    this.#wake = undefined;
  }

  /**
   * Waits for the bell, for at most `ms` and maybe less. One wait at a time. Not an
   * async function, which would wake its caller three turns of microtasks later.
   */
  wait(ms = Infinity): Promise<void> {
    if (this.#rung) {
      this.#rung = false;
      return Promise.resolve();
    }
    if (ms !== Infinity) this.#ringAt(performance.now() + ms);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  /** Lets the wait that is under way last until the bell is rung. */
  [Symbol.dispose](): void {
    this.#alarm?.[Symbol.dispose]();
  }

  #ringAt(at: number): void {
    if (at >= this.#dueAt) return;
    this.#alarm?.[Symbol.dispose]();
    this.#dueAt = at;
    this.#alarm = alarm(at - performance.now(), () => {
      this.#dueAt = Infinity;
      this.ring();
    });
  }
}

/**
 * Calls `ring` after `ms`, unless it is disposed of before.
 *
 * @param ms `undefined` and `Infinity` are never.
 */
export function alarm(ms: number | undefined, ring: () => void): Disposable {
  const timer = ms === undefined || ms === Infinity
    ? undefined
    : setTimeout(ring, Math.max(0, Math.ceil(ms)));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
