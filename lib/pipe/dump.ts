/**
 * `--dump`: a record of everything that goes over a connection, for people who
 * debug a protocol.
 *
 *     > 2026-01-31T12:00:00.000Z sent 5 bytes from byte 0
 *     > 00000000  68 65 6c 6c 6f                                    |hello|
 *     < 2026-01-31T12:00:00.012Z received 3 bytes from byte 0
 *     < 00000000  6f 6b 0a                                          |ok.|
 *     < 2026-01-31T12:00:00.013Z ended after 3 bytes
 *
 * Every line begins with its direction, so that grep takes them apart. Where
 * there may be several connections, its number comes next:
 *
 *     = #2 2026-01-31T12:00:00.000Z connected to 127.0.0.1:43210
 *     < #2 2026-01-31T12:00:00.012Z received 3 bytes from byte 0
 *     < #2 00000000  6f 6b 0a                                          |ok.|
 *
 * What is sent is recorded before it goes out, and what is received before it is
 * handed on, so that an answer never stands before its question.
 */

import { printable } from "../base/printable.ts";
import { countBytes } from "./traffic.ts";
import { writeAll } from "../base/bytes.ts";
import { type Duplex, type Sink, type Source, withStreams } from "./duplex.ts";
import { reasonOf, RecordError } from "../base/errors.ts";
import { cString, libc, O_WRONLY } from "../base/libc.ts";

const encoder = new TextEncoder();

const BYTES_PER_LINE = 16;

/** The bytes that are turned to text at once; this bounds the memory. */
const BYTES_PER_WRITE = 16 * 1024;

/** One direction of one connection. */
interface RecordedDirection {
  readonly verb: "sent" | "received";
  /** The beginning of each of its lines. */
  readonly start: string;
}

/** An open record. */
export class Dump implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #isNumbered: boolean;
  #connections = 0;
  /** Resolves when the last record is written. */
  #last: Promise<void> = Promise.resolve();

  /** Use {@linkcode openDump}. */
  constructor(path: string, file: Deno.FsFile, isNumbered: boolean) {
    this.#path = path;
    this.#file = file;
    this.#isNumbered = isNumbered;
  }

  /**
   * Wraps an end so that all that goes through it is recorded.
   *
   * @param peer The peer, as the record names it.
   * @returns An end whose reads and writes also throw {@linkcode RecordError},
   * when the record cannot be written.
   */
  record(inner: Duplex, peer: string): Duplex {
    const number = this.#isNumbered ? ` #${++this.#connections}` : "";
    if (this.#isNumbered) {
      // If this fails, the first read or write does as well.
      this.#note(`=${number}`, `connected to ${printable(peer)}`).catch(
        () => {},
      );
    }
    const source = this.#recordedSource(inner.source, {
      verb: "received",
      start: `<${number}`,
    });
    const sink = this.#recordedSink(inner.sink, {
      verb: "sent",
      start: `>${number}`,
    });
    return withStreams(inner, { source, sink });
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #recordedSource(inner: Source, direction: RecordedDirection): Source {
    let received = 0;
    let ended = false;
    return {
      read: async (into) => {
        const bytes = await inner.read(into);
        if (bytes !== null) {
          await this.#record(direction, bytes, received);
          received += bytes.length;
        } else if (!ended) {
          ended = true;
          await this.#recordEnd(direction, received);
        }
        return bytes;
      },
    };
  }

  #recordedSink(inner: Sink, direction: RecordedDirection): Sink {
    let sent = 0;
    let ended = false;
    return {
      write: async (bytes) => {
        await this.#record(direction, bytes, sent);
        sent += bytes.length;
        await inner.write(bytes);
      },
      end: async () => {
        if (!ended) {
          ended = true;
          await this.#recordEnd(direction, sent);
        }
        await inner.end();
      },
    };
  }

  #record(
    { verb, start }: RecordedDirection,
    bytes: Uint8Array,
    offset: number,
  ) {
    return this.#writeInTurn(async () => {
      const amount = countBytes(bytes.length);
      await this.#write(
        `${start} ${now()} ${verb} ${amount} from byte ${offset}\n`,
      );
      for (let at = 0; at < bytes.length; at += BYTES_PER_WRITE) {
        const piece = bytes.subarray(at, at + BYTES_PER_WRITE);
        await this.#write(dumpLines(start, piece, offset + at));
      }
    });
  }

  #recordEnd({ start }: RecordedDirection, total: number): Promise<void> {
    return this.#note(start, `ended after ${countBytes(total)}`);
  }

  #note(start: string, text: string): Promise<void> {
    return this.#writeInTurn(() => this.#write(`${start} ${now()} ${text}\n`));
  }

  /** Writes one record after the other. */
  #writeInTurn(write: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(write);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(text: string | Uint8Array): Promise<void> {
    try {
      const bytes = typeof text === "string" ? encoder.encode(text) : text;
      await writeAll(this.#file, bytes);
    } catch (error) {
      throw new RecordError(
        `Cannot write to --dump "${this.#path}": ${reasonOf(error)}`,
        { cause: error },
      );
    }
  }
}

/**
 * Opens a record. A new file is readable by its owner alone; an old one is
 * overwritten and keeps its permissions.
 *
 * @param options.isNumbered Whether more than one connection may come, whose lines are
 * to be told apart.
 * @returns The caller's to dispose of.
 * @throws {RecordError} The file cannot be written.
 */
export function openDump(
  path: string,
  { isNumbered = false }: { isNumbered?: boolean } = {},
): Dump {
  try {
    requireReader(path);
    const file = Deno.openSync(path, {
      write: true,
      create: true,
      truncate: true,
      mode: 0o600,
    });
    return new Dump(path, file, isNumbered);
  } catch (error) {
    throw new RecordError(
      `Cannot write to --dump "${path}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Makes sure that opening a file for writing does not wait.
 *
 * @throws {Error} It is a named pipe that nobody reads.
 */
function requireReader(path: string): void {
  const c = isNamedPipe(path) ? libc() : undefined;
  if (c === undefined) return;
  const { O_NONBLOCK, O_CLOEXEC } = c.system;
  const fd = c.open(cString(path), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw new Error("nobody reads this named pipe");
  c.close(fd);
}

function isNamedPipe(path: string): boolean {
  try {
    return Deno.statSync(path).isFifo ?? false;
  } catch {
    // Opening it will tell.
    return false;
  }
}

function now(): string {
  return new Date().toISOString();
}

/** The column of a line's text, counted from its first hex digit. */
const TEXT_AT = 51;
const HEX_DIGITS = encoder.encode("0123456789abcdef");
const [SPACE, BAR, DOT, NEWLINE] = [0x20, 0x7c, 0x2e, 0x0a] as const;

/**
 * Formats bytes as hexdump -C does, in ASCII. Made of bytes, as strings are many
 * times slower.
 *
 * @param start The beginning of each line.
 */
export function dumpLines(
  start: string,
  bytes: Uint8Array,
  offset: number,
): Uint8Array<ArrayBuffer> {
  const digits = Math.max(8, (offset + bytes.length).toString(16).length);
  const lines = Math.ceil(bytes.length / BYTES_PER_LINE);
  const rest = digits + 2 + TEXT_AT + 2;
  const head = encoder.encode(start);
  const text = new Uint8Array(lines * (head.length + 1 + rest) + bytes.length)
    .fill(SPACE);
  let to = 0;
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    text.set(head, to);
    to += head.length + 1;
    putHex(text, to, digits, offset + at);
    to += digits + 2;
    const end = Math.min(at + BYTES_PER_LINE, bytes.length);
    const readable = to + TEXT_AT;
    text[readable - 1] = BAR;
    for (let i = at; i < end; i++) {
      const byte = bytes[i] ?? 0;
      const column = i - at;
      const gap = column < BYTES_PER_LINE / 2 ? 0 : 1;
      const place = to + column * 3 + gap;
      text[place] = HEX_DIGITS[byte >> 4] ?? 0;
      text[place + 1] = HEX_DIGITS[byte & 15] ?? 0;
      text[readable + column] = byte >= 0x20 && byte < 0x7f ? byte : DOT;
    }
    to = readable + end - at;
    text[to++] = BAR;
    text[to++] = NEWLINE;
  }
  return text;
}

/** Puts the last digits of a number somewhere. */
function putHex(
  text: Uint8Array,
  at: number,
  digits: number,
  value: number,
): void {
  for (let i = at + digits - 1, left = value; i >= at; i--) {
    text[i] = HEX_DIGITS[left % 16] ?? 0;
    left = Math.floor(left / 16);
  }
}
