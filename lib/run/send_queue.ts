/** The queue of bytes to one of many clients, so that none holds up another. */

import { BrokenError } from "../base/errors.ts";
import { concat } from "../base/bytes.ts";
import { formatDuration, formatSize } from "../base/units.ts";
import type { Source } from "../pipe/duplex.ts";

/** The size up to which small chunks are sent as one, in bytes. */
const JOINED_BYTES = 64 * 1024;

/** A bounded queue of the bytes that are to be sent to one connection. */
export class SendQueue implements Source {
  /** Rejects when the queue was full for too long. */
  readonly overflowed: Promise<never>;
  readonly #overflow = Promise.withResolvers<never>();
  readonly #limit: number;
  readonly #patienceMs: number | undefined;
  #chunks: Uint8Array[] = [];
  /** Bytes in `#chunks` and those that are being sent. */
  #queued = 0;
  #inFlight = 0;
  /** The number of puts that wait for room. */
  #waiting = 0;
  #state: "open" | "finished" | "closed" = "open";
  #filled = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();

  /**
   * @param limit Bytes that may wait; a chunk that is larger waits alone.
   * @param patienceMs The longest wait for room, in ms; `undefined` for no limit.
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
    this.#filled.resolve();
  }

  async read(): Promise<Uint8Array | null> {
    this.#queued -= this.#inFlight;
    this.#inFlight = 0;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    while (this.#chunks.length === 0) {
      if (this.#state === "closed") return null;
      if (this.#state === "finished" && this.#waiting === 0) return null;
      this.#filled = Promise.withResolvers();
      await this.#filled.promise;
    }
    const bytes = this.#take();
    this.#inFlight = bytes.length;
    return bytes;
  }

  /** Takes the first chunk, and as many small ones after it as make one write. */
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
      : concat(taken);
  }

  /** Ends when all that is queued has been read; takes no more. Idempotent. */
  finish(): void {
    if (this.#state === "open") this.#state = "finished";
    this.#filled.resolve();
  }

  /** Drops everything. Idempotent. */
  close(): void {
    this.#state = "closed";
    this.#chunks = [];
    this.#filled.resolve();
    this.#room.resolve();
  }
}
