/** The peer's stream, from the connection until it is delivered and confirmed. */

import { createHash, type Hash } from "node:crypto";
import {
  digestFrames,
  type HashedPoint,
  type HeldPrefix,
} from "./held_prefix.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import type { StreamPoint } from "./send_buffer.ts";
import {
  areBytesEqual,
  damaged,
  decodeSummary,
  encodeControl,
  encodeSummary,
  FRAME,
  type Frame,
  type StreamSummary,
} from "./wire.ts";

/** The longest wait of a delivery for others that share its ACK, in ms. */
const ACK_DELAY_MS = 100;
/** The window below which every delivery is acknowledged at once. */
const SMALL_WINDOW = 64 * 1024;

/**
 * The receiver of a stream, as section 6 of `docs/protocol.md` has it: open, end
 * known, complete. It tells when an ACK or CONFIRM is due.
 */
export class IncomingStream {
  readonly #buffer: ReceiveBuffer;
  #hash: Hash | undefined;
  /** Whether END carries a SHA-256. */
  readonly #digest: boolean;
  #sha256: Uint8Array | undefined;
  #received: StreamPoint = { offset: 0, checksum: 0 };
  #delivered = 0;
  /** The bytes of an earlier run, until START has said how much of them is right. */
  #held: HeldPrefix | undefined;
  /** HELD frames that are to be sent on the present connection. */
  #heldFrames: Iterator<Uint8Array> | undefined;
  #startAt: number | undefined;
  #startedAt: number | undefined;
  /** Whether START is to be answered on the present connection. */
  #owesStarted = false;
  #ended = false;
  #summary: StreamSummary | undefined;
  /** The number of delivered bytes after which ACK is due at once. */
  #ackEvery = 1;
  #confirmSent = false;
  // Of the present connection:
  #endReceivedHere = false;
  #confirmSentHere = false;
  #acknowledged = 0;
  #ackAt = Infinity;

  /**
   * @param window The most that the peer may have under way, in bytes on the wire.
   * @param options.digest Whether END carries a SHA-256.
   * @param options.hashes Whether there is to be one in any case.
   * @param options.held The beginning of the stream that is there already.
   */
  constructor(
    window: number,
    { digest, hashes = false, held }: {
      digest: boolean;
      hashes?: boolean;
      held?: HeldPrefix | undefined;
    },
  ) {
    this.#digest = digest;
    this.#buffer = new ReceiveBuffer(window);
    this.#hash = digest || hashes ? createHash("sha256") : undefined;
    if (held === undefined || held.end.offset === 0) return;
    this.#held = held;
    this.#continueAt(held.end);
  }

  /** The end of what was received, delivered or not. */
  get received(): StreamPoint {
    return this.#received;
  }

  /** Bytes written to stdout. */
  get deliveredBytes(): number {
    return this.#delivered;
  }

  /** Bytes of an earlier run that were found to be right. */
  get skippedBytes(): number {
    return this.#startedAt ?? 0;
  }

  /** Bytes that are received and not delivered yet. */
  get undeliveredBytes(): number {
    return this.#buffer.bufferedBytes;
  }

  /** The SHA-256 of all of it, at its end, if it is hashed. */
  get sha256(): Uint8Array | undefined {
    return this.#sha256;
  }

  /** The claim of the peer's END, found to be true; `undefined` before. */
  get summary(): StreamSummary | undefined {
    return this.#summary;
  }

  /** Whether all of it was delivered and matches: stdout can be closed. */
  get allDelivered(): boolean {
    return this.#summary !== undefined &&
      this.#delivered === this.#received.offset;
  }

  /** Whether stdout was closed after all of it, too. */
  get complete(): boolean {
    return this.#ended;
  }

  /** Whether START, which says how much of what is held is right, is to come. */
  get awaitsStart(): boolean {
    return this.#held !== undefined;
  }

  /**
   * The point that START has named: everything after it is to be taken away from
   * what is held, and then `continueAt` called; `undefined` when there is nothing
   * to do.
   */
  get startAt(): number | undefined {
    return this.#startAt;
  }

  /** Whether CONFIRM was sent, on any connection. */
  get confirmSent(): boolean {
    return this.#confirmSent;
  }

  /** The time at which ACK is due; `Infinity` when there is nothing to acknowledge. */
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
    this.#ackAt = this.#delivered > 0 && !this.awaitsStart ? now : Infinity;
    this.#owesStarted = this.#startedAt !== undefined;
    this.#heldFrames = this.#held && digestFrames(this.#held.digests);
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

  /** @throws {DamagedError} It is beyond what is held, or not the START before. */
  handleStart({ offset }: Frame): void {
    const known = this.#startAt ?? this.#startedAt;
    const most = this.#held?.end.offset ?? -1;
    if (known === undefined ? offset > most : offset !== known) {
      throw damaged(`it cannot start at byte "${offset}"`);
    }
    // What follows is to be cut first, unless that is done already: START comes
    // again on a connection whose preface was sent before.
    if (this.#startedAt === undefined) this.#startAt = offset;
    this.#heldFrames = undefined;
  }

  /** @throws {DamagedError} It does not follow what was received. */
  handleData(frame: Frame): void {
    if (this.awaitsStart) throw damaged("data comes before the start");
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
    this.#buffer.keep(frame.length);
  }

  /** @throws {DamagedError} Its length, checksum or digest is a different one. */
  handleEnd(frame: Frame): void {
    if (this.awaitsStart) throw damaged("it ends before the start");
    if (this.#endReceivedHere) throw damaged("it ends twice");
    const { offset, checksum } = this.#received;
    if (frame.offset !== offset) {
      throw damaged(
        `it ends at byte "${frame.offset}", but byte "${offset}" was reached`,
      );
    }
    this.#sha256 ??= this.#hash?.digest();
    const digest = this.#digest ? this.#sha256 : undefined;
    const known = { checksum, digest };
    if (!areSame(decodeSummary(frame.payload), known)) {
      throw damaged("its checksum or digest does not match");
    }
    this.#endReceivedHere = true;
    this.#summary = known;
  }

  // The writer of stdout.

  /** Goes on from the point that `startAt` has named. */
  continueAt(point: HashedPoint): void {
    this.#held = undefined;
    this.#heldFrames = undefined;
    this.#startAt = undefined;
    this.#startedAt = point.offset;
    this.#continueAt(point);
    this.#owesStarted = true;
  }

  /**
   * Gives the bytes to write to stdout next, in one piece; `undefined` when there
   * are none now. Valid until `delivered`.
   */
  toDeliver(): Uint8Array | undefined {
    return this.#buffer.oldest();
  }

  /** Takes note that the first `n` bytes of `toDeliver` were written. */
  delivered(n: number, now: number): void {
    this.#buffer.release(n);
    this.#delivered += n;
    const owed = this.#delivered - this.#acknowledged;
    const at = owed >= this.#ackEvery ? now : now + ACK_DELAY_MS;
    this.#ackAt = Math.min(this.#ackAt, at);
  }

  /** Takes note that stdout was closed after all of it. */
  end(): void {
    this.#ended = this.allDelivered;
  }

  // The writer of the connection.

  /** Gives out the answer to START, once the held bytes were cut to it. */
  takeStarted(): Uint8Array | undefined {
    if (!this.#owesStarted) return undefined;
    this.#owesStarted = false;
    return encodeControl(FRAME.started, { offset: this.#startedAt ?? 0 });
  }

  /** Gives out the next HELD frame, while there are any on this connection. */
  takeHeld(): Uint8Array | undefined {
    const payload = this.#heldFrames?.next().value;
    if (payload) return encodeControl(FRAME.held, { payload });
    this.#heldFrames = undefined;
  }

  /** Gives out CONFIRM, once on each connection, when stdout has been closed. */
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
    const offset = this.awaitsStart ? 0 : this.#delivered;
    return encodeControl(FRAME.ack, { offset });
  }

  #continueAt({ offset, checksum, hash }: HashedPoint): void {
    this.#received = { offset, checksum };
    this.#delivered = offset;
    this.#hash = hash;
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
  return areBytesEqual(a.digest, b.digest);
}
