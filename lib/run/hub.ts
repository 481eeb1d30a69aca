/**
 * The hub of `--keep-open`: one stdin and stdout for many connections, or
 * (`--broker`) the connections for each other.
 *
 * Each connection gets an end of its own from {@linkcode Hub.join}, for `pipe.ts`
 * to join with it. What the hub gives to a connection goes through a bounded
 * queue, so that none costs another one a byte, or more than a bounded wait.
 */

import type { Duplex, Sink, Source } from "../pipe/duplex.ts";
import { BrokenError, DamagedError } from "../base/errors.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import { countBytes } from "../pipe/traffic.ts";
import { formatDuration, formatSize } from "../base/units.ts";

/** With `disconnect`: how long the others wait for one whose queue is full. */
const PATIENCE_MS = 2000;

/** The longest line that is put together, in bytes. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Up to how many bytes small chunks in a queue are sent as one. */
const JOINED_BYTES = 64 * 1024;

const NEWLINE = 10;

export interface HubOptions {
  /** Whether connections hear each other, and stdin and stdout are left alone. */
  readonly broker: boolean;
  /** Whether only whole lines are passed on. */
  readonly lines: boolean;
  /** What happens to a connection that does not take what is queued for it. */
  readonly slowClient: "wait" | "disconnect";
  /** The most that is queued for one connection, in bytes. */
  readonly queueSize: number;
}

/** stdin and stdout, as the hub needs to know them. */
export interface HubStdio extends Duplex {
  /** Whether there is anything to send at all. */
  readonly sends: boolean;
  /** Whether a person types: then a connection ends when its peer does. */
  readonly endsWithPeer: boolean;
}

/** Where a connection's data comes from when it is not what all others get. */
export type OwnSource = Source & Disposable;

/** All connections of a listener that have stdin and stdout, or each other. */
export class Hub {
  readonly #stdio: HubStdio;
  readonly #options: HubOptions;
  /** Those to whom what comes is given. */
  readonly #receivers = new Set<Member>();
  readonly #onFailure: (error: unknown) => void;
  #joined = Promise.withResolvers<void>();
  /** Whether stdin has ended, or nothing more is taken from it. */
  #isStopped = false;
  #isPumping = false;
  /** What was read from stdin and given to nobody yet. */
  #held = 0;
  /** When stdout is free for the next: one writer at a time. */
  #stdoutTurn: Promise<void> = Promise.resolve();

  /**
   * @param onFailure Told when stdin or stdout fails, which no connection survives;
   * before the connection is that it comes from.
   */
  constructor(
    stdio: HubStdio,
    options: HubOptions,
    onFailure: (error: unknown) => void,
  ) {
    this.#stdio = stdio;
    this.#options = options;
    this.#onFailure = onFailure;
  }

  /**
   * Makes the end for a new connection.
   *
   * @param source Where its data comes from, instead of stdin; closed with it.
   */
  join(source?: OwnSource): LocalEnd {
    const { broker, lines, queueSize, slowClient } = this.#options;
    const sends = source !== undefined || broker || this.#stdio.sends;
    const outbox = new Outbox(
      queueSize,
      slowClient === "wait" ? undefined : PATIENCE_MS,
    );
    const member: Member = new Member({
      outbox,
      ownSource: source,
      sends,
      lines,
      leavesAtEnd: broker || this.#stdio.endsWithPeer,
      deliver: (bytes) =>
        broker
          ? this.#broadcast(bytes.slice(), member)
          : this.#writeToStdout(bytes),
      leave: () => this.#receivers.delete(member),
    });
    if (source !== undefined || !sends) return member;
    if (this.#isStopped) {
      outbox.finish();
      return member;
    }
    this.#receivers.add(member);
    if (broker) return member;
    this.#joined.resolve();
    if (!this.#isPumping) this.#pump();
    return member;
  }

  /** Takes nothing more from stdin; what is queued is still sent. */
  stop(): void {
    this.#isStopped = true;
    for (const { outbox } of this.#receivers) outbox.finish();
  }

  /** Ends stdout, once everything has been written. */
  async finish(): Promise<void> {
    await this.#stdoutTurn;
    await this.#stdio.sink.end();
  }

  /** @throws {BrokenError} Some of stdin was read and nobody was left to get it. */
  throwIfHeld(): void {
    if (this.#held > 0) {
      throw new BrokenError(
        `${countBytes(this.#held)} of stdin went to nobody: all had left`,
      );
    }
  }

  /** Gives stdin to all who are there, and does not read it while nobody is. */
  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      for (;;) {
        await this.#somebody();
        const bytes = await this.#stdio.source.read();
        if (bytes === null) return this.stop();
        this.#held = bytes.length;
        const chunk = bytes.slice();
        await this.#somebody();
        if (this.#isStopped) return;
        this.#held = 0;
        await this.#broadcast(chunk);
      }
    } catch (error) {
      this.#onFailure(error);
    }
  }

  async #somebody(): Promise<void> {
    while (this.#receivers.size === 0) {
      this.#joined = Promise.withResolvers();
      await this.#joined.promise;
    }
  }

  /** Resolves when there is room for it in all queues. */
  async #broadcast(chunk: Uint8Array, except?: Member): Promise<void> {
    const full: Promise<void>[] = [];
    for (const member of this.#receivers) {
      if (member === except) continue;
      const queued = member.outbox.put(chunk);
      if (queued !== undefined) full.push(queued);
    }
    if (full.length > 0) await Promise.all(full);
  }

  #writeToStdout(bytes: Uint8Array): Promise<void> {
    const written = this.#stdoutTurn
      .then(() => this.#stdio.sink.write(bytes))
      .catch((error) => {
        this.#onFailure(error);
        throw error;
      });
    this.#stdoutTurn = written.catch(() => {});
    return written;
  }
}

interface MemberOptions {
  readonly outbox: Outbox;
  readonly ownSource: OwnSource | undefined;
  readonly sends: boolean;
  readonly lines: boolean;
  /** Whether it is given nothing more once its peer has ended. */
  readonly leavesAtEnd: boolean;
  /** Passes on what the peer has sent. */
  readonly deliver: (bytes: Uint8Array) => Promise<void>;
  /** Called when it is to be given nothing more; maybe more than once. */
  readonly leave: () => void;
}

/** Our end of one connection. */
class Member implements LocalEnd {
  readonly source: Source;
  readonly sink: Sink;
  readonly sends: boolean;
  readonly endsWithPeer = false;
  readonly gone: Promise<never>;
  readonly outbox: Outbox;
  readonly #options: MemberOptions;
  readonly #lines: LineJoiner | undefined;
  #isClosed = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.outbox = options.outbox;
    this.source = options.ownSource ?? options.outbox;
    this.sends = options.sends;
    this.gone = options.outbox.overflowed;
    this.#lines = options.lines ? new LineJoiner() : undefined;
    this.sink = {
      write: async (bytes) => {
        const whole = this.#lines === undefined
          ? bytes
          : this.#lines.push(bytes);
        if (whole !== undefined) await options.deliver(whole);
      },
      end: async () => {
        await this.#flush();
        if (!options.leavesAtEnd) return;
        options.leave();
        this.outbox.finish();
      },
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { leave, ownSource } = this.#options;
    leave();
    this.outbox.close();
    ownSource?.[Symbol.dispose]();
    // What fails here ends the run by itself.
    this.#flush().catch(() => {});
  }

  abort(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #flush(): Promise<void> {
    const rest = this.#lines?.end();
    if (rest !== undefined) await this.#options.deliver(rest);
  }
}

/** Puts lines together out of chunks. */
export class LineJoiner {
  #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * @returns All lines that are whole now, or `undefined`. A view of `bytes` or
   * new memory.
   * @throws {DamagedError} A line is longer than 1 MiB; what there is of it is lost.
   */
  push(bytes: Uint8Array): Uint8Array | undefined {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const first = end === 0 ? bytes.length : bytes.indexOf(NEWLINE);
    if (this.#length + first > MAX_LINE_BYTES) throw this.#tooLong();
    const whole = end === 0 ? undefined : this.#take(bytes.subarray(0, end));
    if (end < bytes.length) {
      this.#parts.push(bytes.slice(end));
      this.#length += bytes.length - end;
    }
    if (this.#length > MAX_LINE_BYTES) throw this.#tooLong();
    return whole;
  }

  /** @returns The last line, if it was not whole, with a newline; once. */
  end(): Uint8Array | undefined {
    return this.#length === 0 ? undefined : this.#take(Uint8Array.of(NEWLINE));
  }

  #take(last: Uint8Array): Uint8Array {
    if (this.#length === 0) return last;
    const whole = join([...this.#parts, last], this.#length + last.length);
    this.#drop();
    return whole;
  }

  #drop(): void {
    this.#parts = [];
    this.#length = 0;
  }

  #tooLong(): DamagedError {
    this.#drop();
    return new DamagedError(
      `It sent a line longer than ${formatSize(MAX_LINE_BYTES)} (--lines)`,
    );
  }
}

/** What waits to be sent to one connection. */
export class Outbox implements Source {
  /** Rejects when the patience with the connection is over. */
  readonly overflowed: Promise<never>;
  readonly #overflow = Promise.withResolvers<never>();
  readonly #limit: number;
  readonly #patienceMs: number | undefined;
  #chunks: Uint8Array[] = [];
  /** Bytes in `#chunks` and those that are being sent. */
  #queued = 0;
  #inFlight = 0;
  /** How many wait for room. */
  #waiting = 0;
  #state: "open" | "finished" | "closed" = "open";
  #news = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();

  /**
   * @param limit Bytes that may wait; a chunk that is larger waits alone.
   * @param patienceMs How long to wait for room, `undefined` for ever.
   */
  constructor(limit: number, patienceMs: number | undefined) {
    this.#limit = limit;
    this.#patienceMs = patienceMs;
    this.overflowed = this.#overflow.promise;
    this.overflowed.catch(() => {});
  }

  /**
   * Queues a chunk, which must not change any more. One for a connection that
   * takes no more is dropped.
   *
   * @returns `undefined` when it is queued, or resolves when it is.
   */
  put(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#state !== "open") return undefined;
    if (!this.#hasRoom(chunk)) return this.#putWhenRoom(chunk);
    this.#push(chunk);
    return undefined;
  }

  async #putWhenRoom(chunk: Uint8Array): Promise<void> {
    const patience = this.#patienceMs;
    const timer = patience === undefined
      ? undefined
      : setTimeout(() => this.#giveUp(patience), patience);
    this.#waiting++;
    while (this.#state !== "closed" && !this.#hasRoom(chunk)) {
      await this.#room.promise;
    }
    this.#waiting--;
    clearTimeout(timer);
    if (this.#state !== "closed") this.#push(chunk);
  }

  #giveUp(patienceMs: number): void {
    this.#overflow.reject(
      new BrokenError(
        `It took too little of what is sent to all: its queue was full for ${
          formatDuration(patienceMs)
        } (--slow-client disconnect, --queue ${formatSize(this.#limit)})`,
      ),
    );
    this.close();
  }

  #hasRoom(chunk: Uint8Array): boolean {
    return this.#queued === 0 || this.#queued + chunk.length <= this.#limit;
  }

  #push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#queued += chunk.length;
    this.#news.resolve();
  }

  async read(): Promise<Uint8Array | null> {
    this.#queued -= this.#inFlight;
    this.#inFlight = 0;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    while (this.#chunks.length === 0) {
      if (this.#state === "closed") return null;
      if (this.#state === "finished" && this.#waiting === 0) return null;
      this.#news = Promise.withResolvers();
      await this.#news.promise;
    }
    const bytes = this.#take();
    this.#inFlight = bytes.length;
    return bytes;
  }

  /** The first chunk, and as many small ones after it as make one write. */
  #take(): Uint8Array {
    let count = 0;
    let length = 0;
    for (const chunk of this.#chunks) {
      if (count > 0 && length + chunk.length > JOINED_BYTES) break;
      count++;
      length += chunk.length;
    }
    const taken = this.#chunks.splice(0, count);
    return taken.length === 1 && taken[0] !== undefined
      ? taken[0]
      : join(taken, length);
  }

  /** Ends when all that is queued has been read; takes no more. Idempotent. */
  finish(): void {
    if (this.#state === "open") this.#state = "finished";
    this.#news.resolve();
  }

  /** Drops everything. Idempotent. */
  close(): void {
    this.#state = "closed";
    this.#chunks = [];
    this.#news.resolve();
    this.#room.resolve();
  }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
