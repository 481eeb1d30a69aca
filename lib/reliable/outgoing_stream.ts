/** Our own stream, from stdin until the peer has confirmed it. */

import { createHash, type Hash } from "node:crypto";
import { SendBuffer, type StreamPoint } from "./send_buffer.ts";
import {
  damaged,
  decodeSummary,
  encodeControl,
  encodeSummary,
  FRAME,
  type Frame,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  type StreamSummary,
} from "./wire.ts";

/** The most that is given out for one write: four of the largest frames. */
const MAX_WRITE_BYTES = 4 * (HEADER_BYTES + MAX_DATA_BYTES);

/**
 * The sender of a stream, as section 6 of `docs/protocol.md` has it: open, ended,
 * confirmed. On each connection it gives out DATA from where the peer is, then END.
 */
export class OutgoingStream {
  readonly #buffer: SendBuffer;
  readonly #hash: Hash | undefined;
  #summary: StreamSummary | undefined;
  /** Whether there ever was a connection. */
  #begun = false;
  #confirmed = false;
  #endSent = false;
  /** Whether END was sent on the present connection. */
  #endSentHere = false;

  /**
   * @param window Bytes on the wire that may be unacknowledged.
   * @param digest Whether END carries a SHA-256.
   */
  constructor(window: number, digest: boolean) {
    this.#buffer = new SendBuffer(window);
    this.#hash = digest ? createHash("sha256") : undefined;
  }

  /** Bytes taken from stdin. */
  get acceptedBytes(): number {
    return this.#buffer.end.offset;
  }

  /** Bytes that the peer is known to have delivered. */
  get confirmedBytes(): number {
    return this.#buffer.acknowledged;
  }

  /** Whether the peer has confirmed all of it. */
  get confirmed(): boolean {
    return this.#confirmed;
  }

  /** The end of what was given out on this connection, or the peer had before. */
  get sent(): StreamPoint {
    return this.#buffer.next;
  }

  /** The claim of END, once stdin has ended. */
  get summary(): StreamSummary | undefined {
    return this.#summary;
  }

  // The reader of stdin.

  /**
   * Lends room to read stdin into, the same until `accept`; `undefined` while the
   * window is full or there was no connection yet.
   *
   * @param most How much at most, in bytes.
   */
  reserve(most: number = MAX_DATA_BYTES): Uint8Array | undefined {
    return this.#begun ? this.#buffer.reserve(most) : undefined;
  }

  /**
   * Takes bytes of stdin, which may lie at the beginning of the reserved room; if
   * they do not, they are copied.
   *
   * @returns How many were taken; all that lie in the room, and of others as many
   * as the window has room for.
   */
  accept(bytes: Uint8Array): number {
    let taken = 0;
    while (this.#begun && taken < bytes.length) {
      const n = this.#buffer.append(bytes.subarray(taken));
      if (n === 0) break;
      this.#hash?.update(bytes.subarray(taken, taken + n));
      taken += n;
    }
    return taken;
  }

  /** Takes the end of stdin. Idempotent. */
  end(): void {
    this.#summary ??= {
      checksum: this.#buffer.end.checksum,
      digest: this.#hash?.digest(),
    };
  }

  // The writer of the connection.

  /** Whether the peer can have received the stream up to there. */
  canResumeAt(offset: number, checksum: number): boolean {
    return this.#buffer.canRewind(offset, checksum);
  }

  /**
   * Begins a connection to a peer that has received the stream up to `offset`, for
   * which {@linkcode canResumeAt} holds.
   *
   * @param window The smaller of both sides' windows.
   */
  resumeAt(offset: number, window: number): void {
    this.#begun = true;
    this.#buffer.limit = window;
    this.#buffer.rewind(offset);
    this.#endSentHere = false;
  }

  /** Gives out the next DATA frames, or `undefined` when there are none now. */
  takeData(): Uint8Array | undefined {
    return this.#buffer.take(MAX_WRITE_BYTES);
  }

  /** Gives out END once on each connection, after all data, until it is confirmed. */
  takeEnd(): Uint8Array | undefined {
    const summary = this.#summary;
    if (summary === undefined || this.#confirmed || this.#endSentHere) {
      return undefined;
    }
    this.#endSentHere = true;
    this.#endSent = true;
    const offset = this.#buffer.end.offset;
    const payload = encodeSummary(summary);
    return encodeControl(FRAME.end, { offset, payload });
  }

  // The frames of the peer that speak of this stream.

  /** @throws {DamagedError} It goes back, or acknowledges what was never sent. */
  handleAck({ offset }: Frame): void {
    if (offset > this.#buffer.next.offset) {
      throw damaged(`byte "${offset}" is acknowledged but was never sent`);
    }
    if (offset < this.#buffer.acknowledged) {
      throw damaged(`byte "${offset}" is acknowledged after a later one`);
    }
    this.#buffer.acknowledge(offset);
  }

  /** @throws {DamagedError} It confirms another stream than was sent. */
  handleConfirm(frame: Frame): void {
    const { checksum } = decodeSummary(frame.payload);
    const { offset } = this.#buffer.next;
    if (
      !this.#endSent || checksum !== this.#summary?.checksum ||
      offset !== this.#buffer.end.offset || offset !== frame.offset
    ) throw damaged("the peer confirms what was not sent");
    this.#confirmed = true;
    this.#buffer.acknowledge(offset);
  }
}
