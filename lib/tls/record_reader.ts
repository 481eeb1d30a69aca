/**
 * TLS records put together. The runtime's TLS gives one record at each read, at
 * most 16 KiB, however many have come and however much room there is; so bulk
 * would be written to stdout in pieces of that size, and never look like bulk.
 */

/** The most data in one record (RFC 8446 section 5.1). */
const RECORD_BYTES = 16 * 1024;

/** After a read of less than this, no further record is looked for. */
const LARGE_READ_BYTES = 4096;

/**
 * The number of turns of the microtask queue that a read which need not wait may
 * take: two with Deno 2.4 to 2.9.
 */
const TURNS = 4;

/** A read that is under way, or what came of it. */
interface Prefetch {
  readonly settled: Promise<void>;
  /** Bytes read, `null` at the end, an error; `undefined` while under way. */
  result: number | null | { readonly error: unknown } | undefined;
  /** The number of bytes that have been handed on. */
  taken: number;
}

/** Reads a TLS stream, several records at a time where they are there already. */
export class RecordReader {
  readonly #stream: Pick<Deno.Conn, "read">;
  #ahead: Prefetch | undefined;
  #buffer: Uint8Array | undefined;

  constructor(stream: Pick<Deno.Conn, "read">) {
    this.#stream = stream;
  }

  /**
   * Waits for the next record, and takes those with it that need not be waited
   * for. One reader at a time.
   *
   * @returns The number of bytes that were put into `into`, or `null` at the end.
   * @throws What the stream throws, once all that came before has been returned.
   */
  async read(into: Uint8Array): Promise<number | null> {
    const first = this.#ahead === undefined
      ? await this.#stream.read(into)
      : await this.#takeNext(this.#ahead, into);
    if (first === null) return null;
    let filled = first;
    let last = first;
    while (last >= LARGE_READ_BYTES && into.length - filled >= RECORD_BYTES) {
      const ahead = this.#ahead ??= this.#startRead();
      for (let turn = 0; turn < TURNS && ahead.result === undefined; turn++) {
        await undefined;
      }
      // An end or an error waits for the next call.
      if (typeof ahead.result !== "number") break;
      last = this.#take(ahead, ahead.result, into.subarray(filled));
      filled += last;
    }
    return filled;
  }

  async #takeNext(ahead: Prefetch, into: Uint8Array): Promise<number | null> {
    await ahead.settled;
    const { result = null } = ahead;
    if (typeof result === "number") return this.#take(ahead, result, into);
    if (result === null) return null;
    throw result.error;
  }

  /**
   * Starts a read into memory of its own, as it may last longer than the call of
   * `read`.
   */
  #startRead(): Prefetch {
    this.#buffer ??= new Uint8Array(RECORD_BYTES);
    const settled = this.#stream.read(this.#buffer).then(
      (count) => void (ahead.result = count),
      (error) => void (ahead.result = { error }),
    );
    const ahead: Prefetch = { settled, result: undefined, taken: 0 };
    return ahead;
  }

  #take(ahead: Prefetch, count: number, into: Uint8Array): number {
    const end = Math.min(count, ahead.taken + into.length);
    const part = this.#buffer?.subarray(ahead.taken, end) ?? new Uint8Array();
    into.set(part);
    ahead.taken = end;
    if (end === count) this.#ahead = undefined;
    return part.length;
  }
}
