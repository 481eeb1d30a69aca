/**
 * stdin and stdout as one end of the pipe: what they are in this run (the two
 * streams, a message, nothing), and whose fault it is when they fail.
 */

import { delay } from "@std/async/delay";
import type { Duplex, Sink, Source } from "./duplex.ts";
import { LocalIoError, ReaderGoneError, reasonOf } from "./errors.ts";
import { chunks, DEFAULT_DATA_SIZE } from "./framing.ts";
import { closeStdout } from "./kernel.ts";
import type { InputLane, OutputLane } from "./lane.ts";

/** How long to wait for a stdin or stdout that another program made non-blocking. */
const WOULD_BLOCK_DELAY_MS = 5;

/** A chunk of at least this size is one of bulk, unless DATA_SIZE is smaller. */
const LARGE_CHUNK_BYTES = 32 * 1024;
/** So much in large chunks, and nothing else in between, is bulk. */
const BULK_BYTES = 1024 * 1024;
/** The most of a lane's ring that is handed out at once, without --data-size. */
const MAX_LANE_VIEW = 1024 * 1024;
/** How long a lane that is forced on may take to start. */
const LANE_START_LIMIT_MS = 10_000;
/** See {@linkcode alignedBuffer}. */
const BUFFER_OFFSET = 48;

export interface StdioOptions {
  /** The most that one read may take, in bytes; the default when `undefined`. */
  readonly dataSize: number | undefined;
  /** Sent instead of stdin. */
  readonly message: string | undefined;
  /** Write nothing to stdout. */
  readonly sendOnly: boolean;
  /** Never touch stdin. */
  readonly receiveOnly: boolean;
}

/**
 * This process's own end of the pipe. With `receiveOnly` its source is that of a
 * pipe's end that never has anything to send: see {@linkcode Stdio.sends}.
 */
export class Stdio implements Duplex {
  readonly source: Source;
  readonly sink: Sink;
  /** Whether there is anything to send at all. */
  readonly sends: boolean;
  /** Whether a person types: then the session ends when the peer does. */
  readonly endsWithPeer: boolean;
  readonly #disposables = new DisposableStack();
  #sourceEnded: boolean;

  constructor(options: StdioOptions) {
    const { dataSize, message } = options;
    this.sends = !options.receiveOnly;
    this.#sourceEnded = options.receiveOnly;
    const fromStdin = this.sends && message === undefined;
    this.endsWithPeer = fromStdin && Deno.stdin.isTerminal();
    const source = message === undefined
      ? this.#disposables.use(new StdinSource(dataSize))
      : new BytesSource(new TextEncoder().encode(message), dataSize);
    this.source = {
      read: async (into) => {
        const bytes = await source.read(into);
        if (bytes === null) this.#sourceEnded = true;
        return bytes;
      },
    };
    this.sink = options.sendOnly ? new DroppingSink() : this.#disposables.use(
      new StdoutSink(() => this.#sourceEnded, dataSize),
    );
  }

  /** Lets the lanes go. stdin and stdout the system closes with the process. */
  close(): void {
    this.#disposables.dispose();
  }

  abort(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** stdin, read when it is asked for and not before. */
class StdinSource implements Source, Disposable {
  readonly #dataSize: number;
  readonly #chooser: LaneChooser<InputLane>;
  #buffer: Uint8Array | undefined;

  constructor(dataSize: number | undefined) {
    this.#dataSize = dataSize ?? DEFAULT_DATA_SIZE;
    this.#chooser = new LaneChooser(
      this.#dataSize,
      async () => new (await lanes()).InputLane(dataSize ?? MAX_LANE_VIEW),
    );
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    try {
      const lane = await this.#chooser.lane();
      if (lane !== undefined) return await lane.read();
      const room = into?.subarray(0, this.#dataSize) ??
        (this.#buffer ??= alignedBuffer(this.#dataSize));
      const count = await unblocked(() => Deno.stdin.read(room));
      this.#chooser.moved(count ?? 0);
      return count === null ? null : room.subarray(0, count);
    } catch (error) {
      throw new LocalIoError(`Cannot read stdin: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#chooser[Symbol.dispose]();
  }
}

/** Bytes that are there already. */
class BytesSource implements Source {
  readonly #chunks: Iterator<Uint8Array>;

  constructor(bytes: Uint8Array, dataSize = DEFAULT_DATA_SIZE) {
    this.#chunks = chunks(bytes, dataSize);
  }

  read(): Promise<Uint8Array | null> {
    const next = this.#chunks.next();
    return Promise.resolve(next.done ? null : next.value);
  }
}

/**
 * Writes text to stdout, for `--help` and the like.
 *
 * @throws {LocalIoError} It cannot be written.
 * @throws {ReaderGoneError} Its reader went away.
 */
export async function writeToStdout(text: string): Promise<void> {
  using stdout = new StdoutSink(() => true);
  await stdout.write(new TextEncoder().encode(text));
  await stdout.end();
}

/** stdout. */
class StdoutSink implements Sink, Disposable {
  readonly failed: Promise<never>;
  readonly #chooser: LaneChooser<OutputLane>;
  readonly #isLast: () => boolean;
  readonly #fail: (error: Error) => void;
  #ended = false;

  /**
   * @param isLast Whether the process ends as soon as stdout has ended.
   * @param dataSize The most that `reserve` lends; the default when `undefined`.
   */
  constructor(isLast: () => boolean, dataSize?: number) {
    this.#isLast = isLast;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
    this.#chooser = new LaneChooser(
      dataSize ?? DEFAULT_DATA_SIZE,
      async () => {
        const { OutputLane } = await lanes();
        const lane = new OutputLane(dataSize ?? MAX_LANE_VIEW);
        lane.failed.catch((error) => this.#fail(stdoutError(error)));
        return lane;
      },
    );
  }

  async reserve(): Promise<Uint8Array | undefined> {
    const lane = await this.#chooser.lane();
    return await lane?.reserve().catch(rethrowStdout);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const lane = await this.#chooser.lane();
    if (lane !== undefined) return await lane.write(bytes).catch(rethrowStdout);
    for (let rest = bytes; rest.length > 0;) {
      const count = await unblocked(() => Deno.stdout.write(rest))
        .catch(rethrowStdout);
      rest = rest.subarray(count);
    }
    this.#chooser.moved(bytes.length);
  }

  get pending(): number {
    return this.#chooser.current?.pending ?? 0;
  }

  async flush(): Promise<void> {
    await this.#chooser.current?.flush().catch(rethrowStdout);
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#chooser.current?.end().catch(rethrowStdout);
    if (!this.#isLast()) closeStdout();
  }

  [Symbol.dispose](): void {
    this.#chooser[Symbol.dispose]();
  }
}

/** Where what the peer sends goes when nobody wants it. */
class DroppingSink implements Sink {
  write(): Promise<void> {
    return Promise.resolve();
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}

function rethrowStdout(error: unknown): never {
  throw stdoutError(error);
}

function stdoutError(error: unknown): Error {
  return error instanceof Deno.errors.BrokenPipe
    ? new ReaderGoneError({ cause: error })
    : new LocalIoError(`Cannot write to stdout: ${reasonOf(error)}`, {
      cause: error,
    });
}

/** Does it again while another program has made the descriptor non-blocking. */
async function unblocked<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await delay(WOULD_BLOCK_DELAY_MS);
    }
  }
}

/** Loaded only for bulk. */
function lanes(): Promise<typeof import("./lane.ts")> {
  return import("./lane.ts");
}

/** When a stream goes over to its fast lane: SOCKPIPE_LANE is for tests. */
type LaneMode = "auto" | "on" | "off";

/**
 * Decides when a stream goes over to its lane: once it has shown that it is bulk,
 * by chunks that were all large, and the lane's Worker has started meanwhile.
 */
class LaneChooser<Lane extends Disposable & { readonly ready: boolean }>
  implements Disposable {
  /** The lane, from the moment on when it is used. */
  current: Lane | undefined;
  readonly #dataSize: number;
  readonly #open: () => Promise<Lane>;
  readonly #mode: LaneMode = laneMode();
  #opening: Lane | "soon" | undefined;
  #bulkBytes = 0;

  constructor(dataSize: number, open: () => Promise<Lane>) {
    this.#dataSize = dataSize;
    this.#open = open;
  }

  /** Says how much one read or write took. */
  moved(bytes: number): void {
    const large = Math.min(this.#dataSize, LARGE_CHUNK_BYTES);
    this.#bulkBytes = bytes < large ? 0 : this.#bulkBytes + bytes;
    if (this.#mode === "auto" && this.#bulkBytes >= BULK_BYTES) this.#start();
  }

  /** The lane, if it is to be used for what comes next. */
  async lane(): Promise<Lane | undefined> {
    if (this.current !== undefined) return this.current;
    if (this.#mode === "on") {
      this.#start();
      await this.#started();
    }
    const opening = this.#opening;
    if (opening === undefined || opening === "soon" || !opening.ready) {
      return undefined;
    }
    this.current = opening;
    this.#opening = undefined;
    return this.current;
  }

  [Symbol.dispose](): void {
    this.current?.[Symbol.dispose]();
    if (typeof this.#opening === "object") this.#opening[Symbol.dispose]();
  }

  #start(): void {
    if (this.#opening !== undefined || this.current !== undefined) return;
    this.#opening = "soon";
    this.#open().then((lane) => this.#opening = lane, () => {});
  }

  async #started(): Promise<void> {
    const until = performance.now() + LANE_START_LIMIT_MS;
    while (performance.now() < until) {
      if (typeof this.#opening === "object" && this.#opening.ready) return;
      await delay(1);
    }
  }
}

function laneMode(): LaneMode {
  const mode = Deno.env.get("SOCKPIPE_LANE");
  return mode === "on" || mode === "off" ? mode : "auto";
}

/**
 * Room for reads whose first byte is at a cache line's begin, well inside a page:
 * the kernel copies to a page's very begin several times slower on some CPUs
 * (see ring.ts).
 */
function alignedBuffer(bytes: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(bytes + BUFFER_OFFSET), BUFFER_OFFSET);
}
