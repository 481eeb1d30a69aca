/** The frames that a connection brings, and the bytes that wait for stdout. */

import { crc32 } from "./crc32.ts";
import {
  damaged,
  FRAME,
  type Frame,
  type FrameHeader,
  HEADER_BYTES,
  MAX_CONTROL_BYTES,
  MAX_DATA_BYTES,
  readCheckedHeader,
} from "./wire.ts";

/** The part of the buffer that is used while everything is delivered as it comes. */
const HOT_BYTES = 1024 * 1024;
/**
 * The start of a buffer in its memory. Large memory begins 16 bytes into a page
 * (glibc). A read of the kernel into such a place took 1.5 times as long as 240
 * bytes further on (AMD Zen 3).
 */
const START_IN_MEMORY = 240;

/**
 * Finds the frames in what a connection brings, and keeps the payloads of DATA
 * frames until they are delivered.
 *
 * It owns one buffer. The connection reads straight into it, a DATA payload is
 * checked and delivered from where it lies, and moves (by some bytes, within the
 * buffer) only when another one is still waiting before it: so what is kept is
 * always one piece, or two where the buffer begins anew.
 *
 *     0      lower.start    lower.end   parsed    filled     upper
 *     | free |   kept      | old headers | unread | room...  |kept, older| free |
 */
export class ReceiveBuffer {
  readonly #bytes: Uint8Array;
  readonly #window: number;
  /** The largest frame that may come: so much room is needed in one piece. */
  readonly #maxFrame: number;
  #upper: Range = { start: 0, end: 0 };
  #lower: Range = { start: 0, end: 0 };
  #parsed = 0;
  #filled = 0;

  /**
   * @param window The most that the peer may have under way, in bytes on the
   * wire; at least `HEADER_BYTES + 1`. The buffer is larger by two frames; memory
   * of it that is never reached is never taken from the system.
   */
  constructor(window: number) {
    this.#window = window;
    this.#maxFrame = HEADER_BYTES +
      Math.max(MAX_CONTROL_BYTES, this.#maxPayload());
    const size = window + 2 * this.#maxFrame;
    const memory = new ArrayBuffer(size + START_IN_MEMORY);
    this.#bytes = new Uint8Array(memory, START_IN_MEMORY);
  }

  /** Bytes of payload that are kept. */
  get bufferedBytes(): number {
    return sizeOf(this.#upper) + sizeOf(this.#lower);
  }

  /**
   * Lends room to read into. Call it only while no read into earlier room is under
   * way, and not while a frame of `next` is in use.
   */
  room(): Uint8Array {
    if (this.bufferedBytes === 0 && this.#isFarOut()) this.#moveUnread(0);
    if (this.#limit() - this.#parsed < this.#maxFrame) this.#makeRoom();
    return this.#bytes.subarray(this.#filled, this.#limit());
  }

  /** Takes `n` bytes that were read into the room. */
  filled(n: number): void {
    this.#filled += n;
  }

  /**
   * Takes the next frame that is whole, or `undefined`.
   *
   * @param running The running checksum up to here, which a DATA frame continues.
   * @throws {DamagedError} The bytes are not a frame that may come. After this, the
   * buffer must not be used.
   */
  next(running: number): Frame | undefined {
    const header = this.#header();
    if (header === undefined) return undefined;
    const start = this.#parsed + HEADER_BYTES;
    const end = start + header.length;
    if (this.#filled < end) return undefined;
    const payload = this.#bytes.subarray(start, end);
    const previous = header.type === FRAME.data ? running : 0;
    if (crc32(payload, previous) !== header.checksum) {
      throw damaged("the checksum of a frame does not match");
    }
    this.#parsed = end;
    return { ...header, payload };
  }

  /** Keeps the payload of `length` bytes of the frame that `next` gave last. */
  keep(length: number): void {
    const from = this.#parsed - length;
    // While older bytes stand above, none may be wasted below: #makeRoom counts on
    // all that is free being in one piece.
    if (sizeOf(this.#lower) === 0) {
      const start = sizeOf(this.#upper) === 0 ? from : 0;
      this.#lower = { start, end: start };
    }
    if (this.#lower.end !== from) {
      this.#bytes.copyWithin(this.#lower.end, from, this.#parsed);
    }
    this.#lower.end += length;
  }

  /**
   * Gives the oldest bytes that are kept, in one piece; `undefined` when there are
   * none. The view stays valid until `release` has let go of it.
   */
  oldest(): Uint8Array | undefined {
    const { start, end } = this.#oldestRange();
    return start === end ? undefined : this.#bytes.subarray(start, end);
  }

  /** Lets go of the first `n` bytes that `oldest` gave. */
  release(n: number): void {
    this.#oldestRange().start += n;
  }

  /** Forgets an unfinished frame: its connection is gone. What is kept stays. */
  reset(): void {
    this.#filled = this.#parsed;
  }

  #oldestRange(): Range {
    return sizeOf(this.#upper) > 0 ? this.#upper : this.#lower;
  }

  #maxPayload(): number {
    return Math.min(MAX_DATA_BYTES, this.#window - HEADER_BYTES);
  }

  /**
   * Reads the header of the next frame, when it is complete and its payload is
   * allowed.
   */
  #header(): FrameHeader | undefined {
    const end = this.#parsed + HEADER_BYTES;
    if (this.#filled < end) return undefined;
    const bytes = this.#bytes.subarray(this.#parsed, end);
    const header = readCheckedHeader(bytes, this.#maxPayload());
    const kept = this.bufferedBytes + header.length;
    if (header.type === FRAME.data && kept > this.#window - HEADER_BYTES) {
      throw damaged("the peer sent more than the window allows");
    }
    return header;
  }

  #limit(): number {
    return sizeOf(this.#upper) > 0 ? this.#upper.start : this.#bytes.length;
  }

  /**
   * Whether the unread bytes should move to the beginning, whose memory is in the
   * CPU's cache.
   */
  #isFarOut(): boolean {
    return this.#filled === this.#parsed || this.#parsed > HOT_BYTES;
  }

  /**
   * Makes room for the largest frame in one piece. With less than a window kept,
   * and two frames more than a window in the buffer, there always is: either behind
   * what is kept, over old headers, or at the beginning. What is kept below never
   * becomes the upper part while that still holds bytes: they end less than a frame
   * before the end of the buffer, and the lower part begins with it.
   */
  #makeRoom(): void {
    if (this.#limit() - this.#lower.end < this.#maxFrame) {
      this.#upper = this.#lower;
      this.#lower = { start: 0, end: 0 };
    }
    this.#moveUnread(this.#lower.end);
  }

  #moveUnread(to: number): void {
    this.#bytes.copyWithin(to, this.#parsed, this.#filled);
    this.#filled += to - this.#parsed;
    this.#parsed = to;
  }
}

/** A part of a buffer; empty when both are equal. */
interface Range {
  start: number;
  end: number;
}

function sizeOf({ start, end }: Range): number {
  return end - start;
}
