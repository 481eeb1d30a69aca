/** stdin and stdout as one end of the pipe: the two streams, a message, or nothing. */

import { chunks, DEFAULT_DATA_SIZE } from "../../framing.ts";
import { libc } from "../base/libc.ts";
import {
  type Duplex,
  readEach,
  type Sink,
  type Source,
} from "../pipe/duplex.ts";
import type { WaitTimes } from "../pipe/traffic.ts";
import { denoStdin, denoStdout } from "./deno_stdio.ts";
import { answersPoll } from "./descriptor.ts";
import { usesDenoStreams } from "./engine.ts";
import type { SharedPoll } from "./shared_poll.ts";
import { StdinSource } from "./stdin_source.ts";
import { StdoutSink } from "./stdout_sink.ts";
import { readsTerminal } from "./terminal.ts";

export interface StdioOptions {
  /** The most that one read may take, in bytes; the default when `undefined`. */
  readonly dataSize: number | undefined;
  /** The text to send instead of stdin. */
  readonly message: string | undefined;
  /** Whether nothing is written to stdout. */
  readonly sendOnly: boolean;
  /** Whether stdin is never touched. */
  readonly receiveOnly: boolean;
  /** The counters of the waits for stdin and stdout. */
  readonly waited?: WaitTimes;
  /** The wait that is shared with a socket; the caller's to dispose of, after this. */
  readonly poll?: SharedPoll | undefined;
}

/**
 * This process's own end of the pipe. With `receiveOnly` its source ends at once,
 * and {@linkcode Stdio.sends} is false.
 */
export class Stdio implements Duplex {
  readonly source: Source;
  readonly sink: Sink;
  /** Whether it has anything to send. */
  readonly sends: boolean;
  /** Whether a person types: then the session ends when the peer does. */
  readonly endsWithPeer: boolean;
  readonly #resources = new DisposableStack();
  #sourceEnded: boolean;

  constructor(options: StdioOptions) {
    const { dataSize, message, waited, poll } = options;
    const c = usesDenoStreams() ? undefined : libc();
    this.sends = !options.receiveOnly;
    this.#sourceEnded = options.receiveOnly;
    this.endsWithPeer = readsTerminal(options);
    const source: Source = message !== undefined
      ? new BytesSource(new TextEncoder().encode(message), dataSize)
      : !this.sends || c === undefined || !answersPoll(c, 0)
      ? countedSource(denoStdin(dataSize), waited)
      : this.#resources.use(new StdinSource(c, dataSize, waited, poll));
    this.source = {
      read: async (into) => {
        // A terminal would give bytes again after its end.
        if (this.#sourceEnded) return null;
        const bytes = await source.read(into);
        if (bytes === null) this.#sourceEnded = true;
        return bytes;
      },
      readEach: source.readEach && (async (room, take) => {
        if (this.#sourceEnded) return "ended";
        const reason = await readEach(source, room, take);
        this.#sourceEnded = reason === "ended";
        return reason;
      }),
    };
    this.sink = options.sendOnly
      ? new DroppingSink()
      : c === undefined
      ? countedSink(denoStdout(() => this.#sourceEnded), waited)
      : this.#resources.use(
        new StdoutSink(c, () => this.#sourceEnded, waited, poll),
      );
  }

  /** Closes what was opened here; stdin and stdout themselves stay open. */
  close(): void {
    this.#resources.dispose();
  }

  abort(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A source of bytes that are in memory. */
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

/** Counts the reads of a source as waits for stdin. */
function countedSource(source: Source, waited?: WaitTimes): Source {
  return waited === undefined
    ? source
    : { read: (into) => waited.during("stdin", source.read(into)) };
}

/** Counts the writes of a sink as waits for stdout. */
function countedSink(sink: Sink, waited?: WaitTimes): Sink {
  return waited === undefined
    ? sink
    : { ...sink, write: (bytes) => waited.during("stdout", sink.write(bytes)) };
}

/** A sink that drops everything. */
class DroppingSink implements Sink {
  write(): Promise<void> {
    return Promise.resolve();
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Writes text to stdout, for `--help` and the like.
 *
 * @throws {LocalIoError} It cannot be written.
 * @throws {ReaderGoneError} Its reader went away.
 */
export async function writeToStdout(text: string): Promise<void> {
  await denoStdout().write(new TextEncoder().encode(text));
}
