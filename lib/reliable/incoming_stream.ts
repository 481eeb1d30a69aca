/** The peer's stream, from the connection until it is delivered and confirmed. */

import { createHash, type Hash } from "node:crypto";
import { areEqual } from "./handshake.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import type { StreamPoint } from "./send_buffer.ts";
import {
  damaged,
  decodeSummary,
  encodeControl,
  encodeSummary,
  FRAME,
  type Frame,
  type StreamSummary,
} from "./wire.ts";

/** How long a delivery waits for others that are acknowledged along with it. */
const ACK_DELAY_MS = 100;
/** The window below which every delivery is acknowledged at once. */
const SMALL_WINDOW = 64 * 1024;

/**
 * The receiver of a stream, as section 6 of `docs/protocol.md` has it: open, end
 * known, complete. It says when an ACK or CONFIRM is due.
 */
export class IncomingStream {
  readonly #buffer: ReceiveBuffer;
  readonly #hash: Hash | undefined;
  #received: StreamPoint = { offset: 0, checksum: 0 };
  #delivered = 0;
  #summary: StreamSummary | undefined;
  /** How many bytes may be delivered before ACK is due at once. */
  #ackEvery = 1;
  #confirmSent = false;
  // Of the present connection:
  #endReceivedHere = false;
  #confirmSentHere = false;
  #acknowledged = 0;
  #ackAt = Infinity;

  /**
   * @param window The most that the peer may have under way, in bytes on the wire.
   * @param digest Whether END carries a SHA-256.
   */
  constructor(window: number, digest: boolean) {
    this.#buffer = new ReceiveBuffer(window);
    this.#hash = digest ? createHash("sha256") : undefined;
  }

  /** The end of what was received, delivered or not. */
  get received(): StreamPoint {
    return this.#received;
  }

  /** Bytes written to stdout. */
  get deliveredBytes(): number {
    return this.#delivered;
  }

  /** Bytes that wait for stdout. */
  get undeliveredBytes(): number {
    return this.#buffer.heldBytes;
  }

  /** The claim of the peer's END, found to be true; `undefined` before. */
  get summary(): StreamSummary | undefined {
    return this.#summary;
  }

  /** Whether all of it was delivered and matches: stdout can be closed. */
  get complete(): boolean {
    return this.#summary !== undefined &&
      this.#delivered === this.#received.offset;
  }

  /** Whether CONFIRM was sent, on any connection. */
  get confirmSent(): boolean {
    return this.#confirmSent;
  }

  /** When ACK is due; `Infinity` when nothing is to be acknowledged. */
  get ackAt(): number {
    return this.#ackAt;
  }

  // Connections.

  /** Begins a connection. @param window The smaller of both sides' windows. */
  begin(window: number, now: number): void {
    this.#ackEvery = window < SMALL_WINDOW ? 1 : Math.floor(window / 4);
    this.#endReceivedHere = false;
    this.#confirmSentHere = false;
    this.#acknowledged = 0;
    this.#ackAt = this.#delivered > 0 ? now : Infinity;
  }

  /** Forgets an unfinished frame: its connection is gone. */
  lost(): void {
    this.#buffer.reset();
  }

  // The reader of the connection.

  /** Lends room for the next read from the connection, of at least one byte. */
  room(): Uint8Array {
    return this.#buffer.room();
  }

  /** Takes `n` bytes that were read into the room. */
  filled(n: number): void {
    this.#buffer.filled(n);
  }

  /**
   * Takes the next whole frame of the peer, or `undefined`.
   *
   * @throws {DamagedError} The bytes are not a frame that may come.
   */
  nextFrame(): Frame | undefined {
    return this.#buffer.next(this.#received.checksum);
  }

  /** @throws {DamagedError} It is not what follows. */
  handleData(frame: Frame): void {
    if (this.#summary !== undefined) throw damaged("data follows the end");
    const { offset } = this.#received;
    if (frame.offset !== offset) {
      throw damaged(
        `byte "${frame.offset}" came where byte "${offset}" belongs`,
      );
    }
    this.#hash?.update(frame.payload);
    const { checksum } = frame;
    this.#received = { offset: offset + frame.length, checksum };
    this.#buffer.hold(frame.length);
  }

  /** @throws {DamagedError} It is not what was received that ends here. */
  handleEnd(frame: Frame): void {
    if (this.#endReceivedHere) throw damaged("it ends twice");
    const { offset, checksum } = this.#received;
    if (frame.offset !== offset) {
      throw damaged(
        `it ends at byte "${frame.offset}", but byte "${offset}" was reached`,
      );
    }
    const known = this.#summary ?? { checksum, digest: this.#hash?.digest() };
    if (!areSame(decodeSummary(frame.payload), known)) {
      throw damaged("its checksum or digest does not match");
    }
    this.#endReceivedHere = true;
    this.#summary = known;
  }

  // The writer of stdout.

  /**
   * The bytes to be written to stdout next, in one piece; `undefined` when there
   * are none now. Valid until `delivered`.
   */
  toDeliver(): Uint8Array | undefined {
    return this.#buffer.held();
  }

  /** Takes note that the first `n` bytes of `toDeliver` were written. */
  delivered(n: number, now: number): void {
    this.#buffer.release(n);
    this.#delivered += n;
    const owed = this.#delivered - this.#acknowledged;
    const at = owed >= this.#ackEvery ? now : now + ACK_DELAY_MS;
    this.#ackAt = Math.min(this.#ackAt, at);
  }

  // The writer of the connection.

  /** Gives out CONFIRM once on each connection, as soon as all is delivered. */
  takeConfirm(): Uint8Array | undefined {
    if (!this.complete || this.#confirmSentHere) return undefined;
    this.#confirmSentHere = true;
    this.#confirmSent = true;
    this.#noteAcknowledged();
    const { offset, checksum } = this.#received;
    const payload = encodeSummary({ checksum, digest: undefined });
    return encodeControl(FRAME.confirm, { offset, payload });
  }

  /** Gives out ACK, due or not. */
  takeAck(): Uint8Array {
    this.#noteAcknowledged();
    return encodeControl(FRAME.ack, { offset: this.#delivered });
  }

  #noteAcknowledged(): void {
    this.#acknowledged = this.#delivered;
    this.#ackAt = Infinity;
  }
}

function areSame(a: StreamSummary, b: StreamSummary): boolean {
  if (a.checksum !== b.checksum) return false;
  if (a.digest === undefined || b.digest === undefined) {
    return a.digest === b.digest;
  }
  return areEqual(a.digest, b.digest);
}
