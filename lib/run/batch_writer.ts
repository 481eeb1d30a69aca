/** Writing while more is read: whatever came during one write is the next. */

/** The size of each of two buffers, in bytes. */
const BUFFER_BYTES = 1024 * 1024;

/**
 * Takes bytes and writes them as soon as the write before has ended: small ones at
 * once, many of them together. At most two buffers of bytes are held.
 */
export class BatchWriter {
  /** Rejects when a write has failed. */
  readonly failed: Promise<never>;
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  readonly #fail: (error: unknown) => void;
  #filling = new Uint8Array(BUFFER_BYTES);
  #spare = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  /** Bytes of the write that is under way. */
  #writing = 0;
  #written: Promise<void> = Promise.resolve();
  #error: unknown;

  /** @param write Writes some of the bytes, at least one; returns how many. */
  constructor(write: (bytes: Uint8Array) => Promise<number>) {
    this.#write = write;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = (error) => {
      this.#error = error;
      reject(error);
    };
  }

  /**
   * The number of bytes that are taken and not written; stays above 0 after a
   * failure.
   */
  get pending(): number {
    return this.#filled + this.#writing;
  }

  /**
   * Takes all of the bytes; waits while both buffers are full.
   *
   * @throws What a write has thrown.
   */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      if (this.#error !== undefined) throw this.#error;
      while (this.#filled === BUFFER_BYTES) await this.#written;
      const piece = rest.subarray(0, BUFFER_BYTES - this.#filled);
      this.#filling.set(piece, this.#filled);
      this.#filled += piece.length;
      rest = rest.subarray(piece.length);
      this.#start();
    }
  }

  /** Waits until none is pending. @throws What a write has thrown. */
  async flush(): Promise<void> {
    while (this.pending > 0) await this.#written;
  }

  #start(): void {
    if (this.#writing > 0 || this.#filled === 0) return;
    const bytes = this.#filling.subarray(0, this.#filled);
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#filled = 0;
    this.#writing = bytes.length;
    this.#written = this.#writeAll(bytes);
    this.#written.catch(this.#fail);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const count = await this.#write(rest);
      rest = rest.subarray(count);
      this.#writing -= count;
    }
    this.#start();
  }
}
