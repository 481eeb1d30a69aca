/** What loops wait for: a bell that another loop rings, and an alarm. */

/** Wakes one waiting loop. Rung while nobody waits, it ends the next wait at once. */
export class Bell {
  #rung = false;
  #wake: () => void = () => {};

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Waits for the bell, for at most `ms`. One wait at a time. */
  async wait(ms = Infinity): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      using _limit = alarm(ms, resolve);
      await promise;
      this.#wake = () => {};
    }
    this.#rung = false;
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
