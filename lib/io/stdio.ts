/**
 * stdin and stdout as one end of the pipe: what they are in this run (the two
 * streams, a message, nothing), and whose fault it is when they fail.
 */

import type { Duplex, Sink, Source } from "../pipe/duplex.ts";
import {
  isBrokenPipe,
  LocalIoError,
  ReaderGoneError,
  reasonOf,
} from "../base/errors.ts";
import { chunks, DEFAULT_DATA_SIZE } from "../../framing.ts";
import { closeStdout, makeBlocking } from "./kernel.ts";
import type { InputLane, OutputLane } from "./lane.ts";
import { WayChooser } from "./way.ts";

/** How long stdin may be waited for before it is made sure that it blocks. */
const BLOCKING_AFTER_MS = 100;
/** How much stdout takes in any case before that, in bytes. */
const BLOCKING_AFTER_BYTES = 4096;

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
  readonly #way: WayChooser<InputLane>;
  readonly #timer: ReturnType<typeof setTimeout>;
  #restore: (() => void) | undefined;
  #buffer: Uint8Array = new Uint8Array();

  constructor(dataSize: number | undefined) {
    this.#way = new WayChooser(
      0,
      dataSize,
      async (most) => new (await lanes()).InputLane(most),
    );
    // One that does not block keeps Deno busy with asking again.
    this.#timer = setTimeout(
      () => this.#restore = makeBlocking(0),
      BLOCKING_AFTER_MS,
    );
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    try {
      const lane = await this.#way.lane();
      if (lane !== undefined) return await lane.read();
      const room = this.#room(into);
      const count = this.#way.isPrompt()
        ? Deno.stdin.readSync(room)
        : await Deno.stdin.read(room);
      this.#way.moved(count ?? 0);
      return count === null ? null : room.subarray(0, count);
    } catch (error) {
      throw new LocalIoError(`Cannot read stdin: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  #room(into: Uint8Array | undefined): Uint8Array {
    const { readSize } = this.#way;
    if (into !== undefined) return into.subarray(0, readSize);
    if (this.#buffer.length < readSize) this.#buffer = alignedBuffer(readSize);
    return this.#buffer;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#restore?.();
    this.#way[Symbol.dispose]();
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
  readonly #way: WayChooser<OutputLane>;
  readonly #isLast: () => boolean;
  readonly #fail: (error: Error) => void;
  #restore: (() => void) | undefined;
  #written = 0;
  #room: Uint8Array | undefined;
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
    this.#way = new WayChooser(1, dataSize, async (most) => {
      const { OutputLane } = await lanes();
      const lane = new OutputLane(most);
      lane.failed.catch((error) => this.#fail(stdoutError(error)));
      return lane;
    });
  }

  async reserve(): Promise<Uint8Array | undefined> {
    const lane = await this.#way.lane();
    if (lane !== undefined) return await lane.reserve().catch(rethrowStdout);
    if (!this.#way.isBulk) return undefined;
    return this.#room ??= alignedBuffer(this.#way.readSize);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#makeSureItBlocks(bytes.length);
    const lane = await this.#way.lane();
    if (lane !== undefined) return await lane.write(bytes).catch(rethrowStdout);
    try {
      for (let rest = bytes; rest.length > 0;) {
        const count = this.#way.isPrompt(rest.length)
          ? Deno.stdout.writeSync(rest)
          : await Deno.stdout.write(rest);
        rest = rest.subarray(count);
      }
    } catch (error) {
      throw stdoutError(error);
    }
    this.#way.moved(bytes.length);
  }

  get pending(): number {
    return this.#way.current?.pending ?? 0;
  }

  async flush(): Promise<void> {
    await this.#way.current?.flush().catch(rethrowStdout);
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#way.current?.end().catch(rethrowStdout);
    if (!this.#isLast()) closeStdout();
  }

  [Symbol.dispose](): void {
    this.#restore?.();
    this.#way[Symbol.dispose]();
  }

  /** An empty pipe takes so much at once, so small exchanges need not ask. */
  #makeSureItBlocks(count: number): void {
    const before = this.#written;
    this.#written += count;
    if (
      before <= BLOCKING_AFTER_BYTES && this.#written > BLOCKING_AFTER_BYTES
    ) {
      this.#restore = makeBlocking(1);
    }
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
  return isBrokenPipe(error)
    ? new ReaderGoneError({ cause: error })
    : new LocalIoError(`Cannot write to stdout: ${reasonOf(error)}`, {
      cause: error,
    });
}

/** Loaded only for bulk. */
function lanes(): Promise<typeof import("./lane.ts")> {
  return import("./lane.ts");
}

/**
 * Room for reads whose first byte is at a cache line's begin, well inside a page:
 * the kernel copies to a page's very begin several times slower on some CPUs
 * (see ring.ts).
 */
function alignedBuffer(bytes: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(bytes + BUFFER_OFFSET), BUFFER_OFFSET);
}
