/**
 * The ends of a pipe: sources of bytes and sinks for them.
 *
 * stdin, a socket, a TLS stream, the reliable session, a process and a file are
 * all a {@linkcode Source}, a {@linkcode Sink} or both, so that `pipe.ts` joins
 * any two of them without knowing which.
 */

/** Somewhere bytes come from. One reader at a time. */
export interface Source {
  /**
   * Waits for the next bytes.
   *
   * @param into Where the bytes may be put, when the caller can lend room of at
   * least one byte (see {@linkcode Sink.reserve}). A source that has its bytes
   * elsewhere already ignores it.
   * @returns At least one byte and at most as many as the reader's data size, or
   * `null` at the end, and `null` again ever after. The view is valid until the
   * next call of `read`.
   * @throws An error of `errors.ts` that says whose fault it is.
   */
  read(into?: Uint8Array): Promise<Uint8Array | null>;
}

/** Somewhere bytes go. One writer at a time. */
export interface Sink {
  /**
   * Lends room into which the next bytes can be read directly, so that they need
   * not be copied. Waits while there is none: this is backpressure. Only some
   * sinks have this.
   *
   * @returns Room of at least one byte and at most DATA_SIZE bytes, or `undefined`
   * when this sink has none to lend now.
   */
  reserve?(): Promise<Uint8Array | undefined>;
  /**
   * Takes all of `bytes`, which may lie in the room that `reserve` lent. Resolves
   * when `bytes` may be reused (not when they have arrived); waits while the sink
   * is full.
   *
   * @throws An error of `errors.ts` that says whose fault it is.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Rejects when bytes that `write` took earlier turn out not to be written, with
   * the error that the next call would throw. Only sinks that take bytes before
   * they are written have this; whoever waits for more bytes should watch it too.
   */
  readonly failed?: Promise<never>;
  /**
   * Ends this direction once everything written has been handed on: half-close
   * for a socket, closing for stdout. Idempotent.
   */
  end(): Promise<void>;
}

/** Both directions of one end, and the one place where it is closed. */
export interface Duplex extends Disposable {
  readonly source: Source;
  readonly sink: Sink;
  /** Rejects when it broke while it was neither read nor written; never, if absent. */
  readonly failed?: Promise<never>;
  /**
   * Closes both directions at once, in the ordinary way; pending reads and writes
   * reject. Idempotent.
   */
  close(): void;
  /**
   * Closes both directions so that the peer, where the system allows it, sees a
   * failure (a reset) and never mistakes it for the end of a stream. Idempotent.
   */
  abort(): void;
}

/** Makes an end whose source, sink or both are replaced; closing goes to `inner`. */
export function withStreams(
  inner: Duplex,
  { source = inner.source, sink = inner.sink }: Partial<Duplex>,
): Duplex {
  return {
    source,
    sink,
    ...inner.failed === undefined ? {} : { failed: inner.failed },
    close: () => inner.close(),
    abort: () => inner.abort(),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
  };
}
