/** Our own stream, from stdin until the peer has confirmed it. */

import { createHash, type Hash } from "node:crypto";
import { PrefixComparison } from "./held_prefix.ts";
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
  SHA256_BYTES,
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
  #hash: Hash | undefined;
  /** Whether END carries a SHA-256. */
  readonly #digest: boolean;
  #sha256: Uint8Array | undefined;
  /**
   * The comparison with the peer's bytes of an earlier run, until the stream goes
   * on from there.
   */
  #comparison: PrefixComparison | undefined;
  #held: StreamPoint = { offset: 0, checksum: 0 };
  #startSentHere = false;
  /** The number of digests that have come on the present connection. */
  #digestsHere = 0;
  /** Whether both sides know where the stream begins: at 0, or where START says. */
  #started = true;
  #ended = false;
  #summary: StreamSummary | undefined;
  /** Whether there ever was a connection. */
  #begun = false;
  #confirmed = false;
  #endSent = false;
  /** Whether END was sent on the present connection. */
  #endSentHere = false;

  /**
   * @param window Bytes on the wire that may be unacknowledged.
   * @param options.digest Whether END carries a SHA-256.
   * @param options.hashes Whether there is to be one in any case.
   */
  constructor(
    window: number,
    { digest, hashes = false }: { digest: boolean; hashes?: boolean },
  ) {
    this.#digest = digest;
    this.#buffer = new SendBuffer(window);
    this.#hash = digest || hashes ? createHash("sha256") : undefined;
  }

  /** Bytes taken from stdin. */
  get acceptedBytes(): number {
    return this.#buffer.end.offset;
  }

  /** Bytes that the peer holds from an earlier run, and need not be sent. */
  get skippedBytes(): number {
    return this.#comparison?.result?.start.offset ?? 0;
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

  /** The SHA-256 of all of it, at its end, if it is hashed. */
  get sha256(): Uint8Array | undefined {
    return this.#sha256;
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
   * @param most The longest room, in bytes.
   */
  reserve(most: number = MAX_DATA_BYTES): Uint8Array | undefined {
    return this.#begun && this.#started
      ? this.#buffer.reserve(most)
      : undefined;
  }

  /**
   * Takes bytes of stdin, which may lie at the beginning of the reserved room; if
   * they do not, they are copied.
   *
   * @returns The number that were taken; all that lie in the room, and of others as
   * many as the window has room for.
   */
  accept(bytes: Uint8Array): number {
    let taken = 0;
    while (this.#begun && this.#started && taken < bytes.length) {
      const n = this.#buffer.append(bytes.subarray(taken));
      if (n === 0) break;
      this.#hash?.update(bytes.subarray(taken, taken + n));
      taken += n;
    }
    return taken;
  }

  /**
   * The comparison with what the peer holds, to be fed from stdin until it has a
   * result, whose `rest` is then to be accepted first; `undefined` when there is
   * none to be made.
   */
  get comparison(): PrefixComparison | undefined {
    return this.#comparison;
  }

  /** Takes the end of stdin. Idempotent. */
  end(): void {
    this.#ended = true;
    this.#summarize();
  }

  // The writer of the connection.

  /** Whether the peer holds this much from an earlier run and waits for START. */
  owesStart(offset: number, checksum: number): boolean {
    return !this.#started && offset === this.#held.offset &&
      checksum === this.#held.checksum;
  }

  /** Whether the peer can have received the stream up to there. */
  canResumeAt(offset: number, checksum: number): boolean {
    if (this.#started) return this.#buffer.canRewind(offset, checksum);
    const start = this.#comparison?.result?.start;
    return offset === start?.offset && checksum === start.checksum;
  }

  /**
   * Begins a connection to a peer that has received the stream up to `point`, for
   * which {@linkcode canResumeAt} holds.
   *
   * @param window The smaller of both sides' windows.
   */
  resumeAt({ offset }: StreamPoint, window: number): void {
    this.#begin(window);
    this.#goOn();
    this.#buffer.rewind(offset);
  }

  /**
   * Begins a connection to a peer that holds the stream up to `point` from an
   * earlier run, and waits for START. On later connections {@linkcode owesStart}
   * holds.
   */
  compareWith(point: StreamPoint, window: number): void {
    this.#begin(window);
    this.#started = false;
    this.#held = point;
    this.#comparison ??= new PrefixComparison(point.offset);
    this.#digestsHere = 0;
  }

  /** Gives out START, once on each connection on which the peer waits for it. */
  takeStart(): Uint8Array | undefined {
    const start = this.#comparison?.result?.start;
    if (start === undefined || this.#started || this.#startSentHere) {
      return undefined;
    }
    this.#startSentHere = true;
    return encodeControl(FRAME.start, { offset: start.offset });
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

  /** @throws {DamagedError} Nobody waits for digests, or they are too many or cut. */
  handleHeld({ payload }: Frame): void {
    const comparison = this.#comparison;
    if (comparison === undefined || this.#started) {
      throw damaged("digests come that nobody waits for");
    }
    if (payload.length % SHA256_BYTES > 0) throw damaged("a digest is cut");
    for (let at = 0; at < payload.length; at += SHA256_BYTES) {
      // On a later connection they come again.
      if (this.#digestsHere++ < comparison.digestCount) continue;
      if (comparison.hasAllDigests) throw damaged("there are too many digests");
      comparison.addDigests(payload.subarray(at, at + SHA256_BYTES));
    }
  }

  /** @throws {DamagedError} It answers no START. */
  handleStarted({ offset }: Frame): void {
    if (offset !== this.#comparison?.result?.start.offset) {
      throw damaged(`it was not told to start at byte "${offset}"`);
    }
    this.#goOn();
  }

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

  /** Makes the summary, once stdin has ended and the start is known. */
  #summarize(): void {
    if (!this.#ended || !this.#started) return;
    if (this.#summary !== undefined) return;
    const { checksum } = this.#buffer.end;
    this.#sha256 = this.#hash?.digest();
    this.#summary = {
      checksum,
      digest: this.#digest ? this.#sha256 : undefined,
    };
  }

  /**
   * Begins the stream at the point that START names; does nothing when it has
   * begun.
   */
  #goOn(): void {
    const start = this.#comparison?.result?.start;
    if (this.#started || start === undefined) return;
    this.#started = true;
    this.#hash &&= start.hash.copy();
    this.#buffer.startAt(start);
    this.#summarize();
  }

  #begin(window: number): void {
    this.#begun = true;
    this.#buffer.limit = window;
    this.#endSentHere = false;
    this.#startSentHere = false;
  }
}
