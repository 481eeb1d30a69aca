/**
 * Chunked reads: the sizes of what one read may take, bytes cut into chunks, and the
 * buffers that are read into.
 *
 * No sockets, no timers; everything here is a function of the bytes it is given.
 */

/**
 * The most that one read takes from an ordinary source, unless --data-size says
 * otherwise.
 */
export const DEFAULT_DATA_SIZE = 64 * 1024;
/** The same for stdin, stdout, and sockets that are joined with each other. */
export const BULK_DATA_SIZE = 256 * 1024;
/** The largest --data-size. */
export const MAX_DATA_SIZE = 16 * 1024 * 1024;

/** Cuts `bytes` into views of at most `dataSize` bytes, in order. */
export function* chunks(
  bytes: Uint8Array,
  dataSize: number,
): Generator<Uint8Array, void> {
  for (let i = 0; i < bytes.length; i += dataSize) {
    yield bytes.subarray(i, i + dataSize);
  }
}

/** See {@linkcode alignedBuffer}. */
const BUFFER_OFFSET = 48;

/**
 * Makes room for reads whose first byte is at a cache line's begin, well inside a
 * page: the kernel copies whole pages with `rep movsb`, and AMD's Zen 3 does that
 * five times slower when the target begins up to 16 bytes further into its page
 * than what is copied.
 */
export function alignedBuffer(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes + BUFFER_OFFSET), BUFFER_OFFSET);
}

/**
 * Read buffers that are used again. Left to the garbage collector, those of
 * thousands of short connections wait for it outside of its heap, where it does not
 * see how many there are.
 */
export class BufferPool {
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

  /** Gives a buffer of the size, with anything in it. */
  take(): Uint8Array {
    return this.#spare.pop() ?? alignedBuffer(this.#bytes);
  }

  /** Takes a buffer back that nobody looks at any more; one of another size is dropped. */
  giveBack(buffer: Uint8Array): void {
    if (buffer.length !== this.#bytes) return;
    if (this.#spare.length < this.#most) this.#spare.push(buffer);
  }
}
