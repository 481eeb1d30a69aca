/** stdin and stdout as one end of the pipe: the two streams, a message, or nothing. */

import { writeAll } from "../base/bytes.ts";
import { delay } from "@std/async/delay";
import { BULK_DATA_SIZE, chunks, DEFAULT_DATA_SIZE } from "../../framing.ts";
import { type LibC, libc, POLLIN, POLLOUT } from "../base/libc.ts";
import type { Duplex, Sink, Source } from "../pipe/duplex.ts";
import type { WaitTimes } from "../pipe/traffic.ts";
import { closeStdout } from "./close_stdout.ts";
import { denoStdin, denoStdout } from "./deno_stdio.ts";
import {
  answersPoll,
  BACKGROUND_MS,
  BULK_BYTES,
  Descriptor,
  WOULD_BLOCK,
} from "./descriptor.ts";
import { usesDenoStreams } from "./engine.ts";
import { READER_GRACE_MS, stdinError, stdoutError } from "./local_errors.ts";
import { AsyncPoll, PollSet, TimeSlice } from "../base/poll.ts";
import type { SharedPoll } from "./shared_poll.ts";
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
  /** Shared with a socket that is read and written by its descriptor, too. */
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
    const source = message !== undefined
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
    };
    this.sink = options.sendOnly
      ? new DroppingSink()
      : c === undefined
      ? countedSink(denoStdout(), waited)
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

/** stdin, read when it is asked for and not before. */
class StdinSource implements Source, Disposable {
  readonly #descriptor: Descriptor | undefined;
  readonly #waits: AsyncPoll;
  readonly #poll: SharedPoll | undefined;
  readonly #slice: TimeSlice;
  readonly #readSize: number;
  readonly #waited: WaitTimes | undefined;
  #buffer: Uint8Array = new Uint8Array();
  #moved = 0;

  constructor(
    c: LibC,
    dataSize = BULK_DATA_SIZE,
    waited?: WaitTimes,
    poll?: SharedPoll,
  ) {
    this.#descriptor = Descriptor.ofGiven(c, 0, "read");
    this.#waits = new AsyncPoll(c);
    this.#slice = new TimeSlice(c);
    this.#poll = poll;
    this.#readSize = dataSize;
    this.#waited = waited;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    // Opened for writing only (nohup does so): there is nothing to send.
    if (this.#descriptor === undefined) return null;
    const room = this.#room(into);
    try {
      const count = await this.#read(this.#descriptor, room);
      return count === 0 ? null : room.subarray(0, count);
    } catch (error) {
      throw stdinError(error);
    }
  }

  async #read(descriptor: Descriptor, room: Uint8Array): Promise<number> {
    for (;;) {
      await this.#slice.pauseIfOver();
      const count = descriptor.read(room);
      if (count !== WOULD_BLOCK) {
        this.#count(descriptor, count);
        return count;
      }
      this.#waited?.begin("stdin");
      if (descriptor.isPollable) {
        await (this.#poll ?? this.#waits).ready(descriptor.fd, POLLIN);
      } else {
        await this.#waits.ready(-1, POLLIN, BACKGROUND_MS);
      }
      this.#slice.restart();
      this.#waited?.end("stdin");
      if (this.#waits.isOver) throw new Error("it was closed");
    }
  }

  #count(descriptor: Descriptor, bytes: number): void {
    const before = this.#moved;
    this.#moved += bytes;
    if (before < BULK_BYTES && this.#moved >= BULK_BYTES) descriptor.enlarge();
  }

  #room(into: Uint8Array | undefined): Uint8Array {
    if (into !== undefined) return into.subarray(0, this.#readSize);
    if (this.#buffer.length === 0) {
      this.#buffer = new Uint8Array(this.#readSize);
    }
    return this.#buffer;
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    if (this.#descriptor !== undefined) {
      this.#poll?.release(this.#descriptor.fd);
    }
    this.#descriptor?.close();
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

/** A sink that writes to stdout. */
class StdoutSink implements Sink, Disposable {
  readonly failed: Promise<never>;
  readonly #c: LibC;
  readonly #descriptor: Descriptor | undefined;
  readonly #waits: AsyncPoll;
  readonly #poll: SharedPoll | undefined;
  readonly #slice: TimeSlice;
  readonly #isLast: () => boolean;
  readonly #waited: WaitTimes | undefined;
  readonly #fail: (error: Error) => void;
  #moved = 0;
  #isEnded = false;

  /** @param isLast Whether the process ends as soon as stdout has ended. */
  constructor(
    c: LibC,
    isLast: () => boolean,
    waited?: WaitTimes,
    poll?: SharedPoll,
  ) {
    this.#c = c;
    this.#poll = poll;
    this.#descriptor = Descriptor.ofGiven(c, 1, "write");
    this.#waits = new AsyncPoll(c);
    this.#slice = new TimeSlice(c);
    this.#isLast = isLast;
    this.#waited = waited;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
    if (this.#descriptor !== undefined) this.#watch(this.#descriptor);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) {
      throw stdoutError(new Error("bad file descriptor"));
    }
    try {
      await writeAll({ write: (rest) => this.#write(descriptor, rest) }, bytes);
    } catch (error) {
      throw stdoutError(error);
    }
    this.#moved += bytes.length;
    if (this.#moved >= BULK_BYTES && this.#moved - bytes.length < BULK_BYTES) {
      descriptor.enlarge();
    }
  }

  end(): Promise<void> {
    if (!this.#isEnded && !this.#isLast()) closeStdout(this.#c);
    this.#isEnded = true;
    this[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    if (this.#descriptor !== undefined) {
      this.#poll?.release(this.#descriptor.fd);
    }
    this.#descriptor?.close();
  }

  /**
   * @returns The number of bytes that were written; none when that has to be tried
   * again.
   */
  async #write(descriptor: Descriptor, bytes: Uint8Array): Promise<number> {
    await this.#slice.pauseIfOver();
    if (!descriptor.isNonBlocking) {
      this.#waited?.begin("stdout");
      const count = await this.#writeElsewhere(descriptor, bytes);
      this.#waited?.end("stdout");
      if (count > 0) return count;
    }
    const count = descriptor.write(bytes);
    if (count !== WOULD_BLOCK) return count;
    this.#waited?.begin("stdout");
    await (this.#poll ?? this.#waits).ready(descriptor.fd, POLLOUT);
    this.#slice.restart();
    this.#waited?.end("stdout");
    if (this.#waits.isOver) throw new Error("it was closed");
    return 0;
  }

  /**
   * Writes on another thread, where a write may have to wait.
   *
   * @returns -1 when it failed; why, the next call will tell.
   */
  #writeElsewhere(descriptor: Descriptor, bytes: Uint8Array): Promise<number> {
    return this.#c.writeAsync(
      descriptor.fd,
      new Uint8Array(bytes),
      BigInt(bytes.length),
    );
  }

  /** Watches for the reader to leave, also while there is nothing to write. */
  async #watch(descriptor: Descriptor): Promise<void> {
    const { fd, kind } = descriptor;
    if (kind !== "pipe" && kind !== "socket") return;
    const set = new PollSet(this.#c);
    for (let happened = 0; happened === 0;) {
      set.clear();
      const place = set.add(fd, 0);
      await this.#waits.wait(set);
      if (this.#waits.isOver) return;
      happened = set.happened(place);
      if (!descriptor.tellsReaderLeft(happened)) continue;
      await delay(READER_GRACE_MS);
      if (this.#isEnded || this.#waits.isOver) return;
      this.#fail(stdoutError(new Deno.errors.BrokenPipe()));
    }
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
