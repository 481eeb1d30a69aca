/**
 * stdin and stdout as one end of the pipe: what they are in this run (the two
 * streams, a message, nothing), and whose fault it is when they fail.
 */

import { delay } from "@std/async/delay";
import type { Duplex, Sink, Source } from "./duplex.ts";
import { LocalIoError, ReaderGoneError, reasonOf } from "./errors.ts";
import { chunks, DEFAULT_DATA_SIZE } from "./framing.ts";
import { closeStdout } from "./kernel.ts";

/** How long to wait for a stdin or stdout that another program made non-blocking. */
const WOULD_BLOCK_DELAY_MS = 5;

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
  #sourceEnded: boolean;

  constructor(options: StdioOptions) {
    const dataSize = options.dataSize ?? DEFAULT_DATA_SIZE;
    this.sends = !options.receiveOnly;
    this.#sourceEnded = options.receiveOnly;
    const fromStdin = this.sends && options.message === undefined;
    this.endsWithPeer = fromStdin && Deno.stdin.isTerminal();
    const source = options.message === undefined
      ? new StdinSource(dataSize)
      : new BytesSource(new TextEncoder().encode(options.message), dataSize);
    this.source = {
      read: async (into) => {
        const bytes = await source.read(into);
        if (bytes === null) this.#sourceEnded = true;
        return bytes;
      },
    };
    this.sink = options.sendOnly
      ? new DroppingSink()
      : new StdoutSink(() => this.#sourceEnded);
  }

  /** Nothing to do: the system closes stdin and stdout when the process ends. */
  close(): void {}

  abort(): void {}

  [Symbol.dispose](): void {}
}

/** stdin, read when it is asked for and not before. */
class StdinSource implements Source {
  readonly #dataSize: number;
  #buffer: Uint8Array | undefined;

  constructor(dataSize: number) {
    this.#dataSize = dataSize;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    const room = into?.subarray(0, this.#dataSize) ??
      (this.#buffer ??= new Uint8Array(this.#dataSize));
    for (;;) {
      try {
        const count = await Deno.stdin.read(room);
        return count === null ? null : room.subarray(0, count);
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) {
          throw new LocalIoError(`Cannot read stdin: ${reasonOf(error)}`, {
            cause: error,
          });
        }
        await delay(WOULD_BLOCK_DELAY_MS);
      }
    }
  }
}

/** Bytes that are there already. */
class BytesSource implements Source {
  readonly #chunks: Iterator<Uint8Array>;

  constructor(bytes: Uint8Array, dataSize: number) {
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
  await new StdoutSink(() => true).write(new TextEncoder().encode(text));
}

/** stdout. */
class StdoutSink implements Sink {
  readonly #isLast: () => boolean;
  #ended = false;

  /** @param isLast Whether the process ends as soon as stdout has ended. */
  constructor(isLast: () => boolean) {
    this.#isLast = isLast;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      try {
        rest = rest.subarray(await Deno.stdout.write(rest));
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) {
          throw stdoutError(error);
        }
        await delay(WOULD_BLOCK_DELAY_MS);
      }
    }
  }

  end(): Promise<void> {
    if (!this.#ended) {
      this.#ended = true;
      if (!this.#isLast()) closeStdout();
    }
    return Promise.resolve();
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

function stdoutError(error: unknown): Error {
  return error instanceof Deno.errors.BrokenPipe
    ? new ReaderGoneError({ cause: error })
    : new LocalIoError(`Cannot write to stdout: ${reasonOf(error)}`, {
      cause: error,
    });
}
