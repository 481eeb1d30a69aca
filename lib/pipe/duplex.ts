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
   * least one byte. A source that has its bytes elsewhere already ignores it.
   * @returns At least one byte and at most as many as the reader's data size, or
   * `null` at the end, and `null` again ever after. The view is valid until the
   * next call of `read`.
   * @throws An error of `errors.ts` that says whose fault it is.
   */
  read(into?: Uint8Array): Promise<Uint8Array | null>;
  /**
   * Reads as {@linkcode readEach} does, without a promise for each piece. Only some
   * sources have this, and some only after a while: look for it before each use.
   */
  readonly readEach?: ReadEach | undefined;
}

/**
 * Reads on as long as there is room.
 *
 * @param room Lends room of at least one byte for the next piece; `undefined` ends
 * the reading. Called anew for each read, also after one that found nothing.
 * @param take Called with each piece, which is valid until it returns.
 * @returns `"ended"` at the end of the source, `"full"` when there was no more room.
 * @throws What a read throws, and what `room` and `take` throw.
 */
export type ReadEach = (
  room: () => Uint8Array | undefined,
  take: (bytes: Uint8Array) => void,
) => Promise<ReadEnd>;

/** The reason why {@linkcode ReadEach} has ended. */
export type ReadEnd = "ended" | "full";

/** Somewhere bytes go. One writer at a time. */
export interface Sink {
  /**
   * Takes all of `bytes`. Resolves when `bytes` may be reused (not when they have
   * arrived); waits while the sink is full.
   *
   * @throws An error of `errors.ts` that says whose fault it is.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Takes as many of `bytes` as there is room for, without a promise; not while a
   * `write` is under way. Only some sinks have this.
   *
   * @returns How many bytes; 0 when `write` has to be called.
   * @throws As `write` does.
   */
  writeNow?(bytes: Uint8Array): number;
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

/** Reads on as {@linkcode ReadEach} says, also a source that has only `read`. */
export async function readEach(
  source: Source,
  ...[room, take]: Parameters<ReadEach>
): Promise<ReadEnd> {
  if (source.readEach !== undefined) return await source.readEach(room, take);
  for (let into = room(); into !== undefined; into = room()) {
    const bytes = await source.read(into);
    if (bytes === null) return "ended";
    take(bytes);
  }
  return "full";
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
