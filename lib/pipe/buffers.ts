/** Buffers that are used again. */

/**
 * The buffers of ends that are over, for those to come. Left to the garbage
 * collector, those of thousands of short ones wait for it outside of its heap,
 * where it does not see how many there are.
 */
export class SpareBuffers {
  readonly #bytes: number;
  readonly #most: number;
  readonly #spare: Uint8Array[] = [];

  /**
   * @param bytes The size of each.
   * @param most How many are kept.
   */
  constructor(bytes: number, most = 64) {
    this.#bytes = bytes;
    this.#most = most;
  }

  /** A buffer of the size, with anything in it. */
  take(): Uint8Array {
    return this.#spare.pop() ?? new Uint8Array(this.#bytes);
  }

  /** Takes a buffer back that nobody looks at any more; one of another size is dropped. */
  giveBack(buffer: Uint8Array): void {
    if (buffer.length !== this.#bytes) return;
    if (this.#spare.length < this.#most) this.#spare.push(buffer);
  }
}
