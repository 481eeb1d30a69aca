/**
 * The state of a `--reliable` session, as `docs/protocol.md` defines it: what was
 * sent, received, delivered and confirmed, over any number of connections.
 *
 * No sockets, no timers, no clock: whoever has them calls in, and passes the time
 * in ms of any clock that never goes back.
 */

import { BrokenError, TimeLimitError } from "../base/errors.ts";
import { formatDuration } from "../base/units.ts";
import { countBytes } from "../pipe/traffic.ts";
import { errorOf } from "./abort_codes.ts";
import {
  nonceOf,
  SessionHandshake,
  type SessionHandshakeOptions,
} from "./handshake.ts";
import type { HeldPrefix } from "./held_prefix.ts";
import { Hints } from "./hints.ts";
import { IncomingStream } from "./incoming_stream.ts";
import { OutgoingStream } from "./outgoing_stream.ts";
import type { ProofContext } from "./token.ts";
import { awaitsStart, isBound, type Preface } from "./preface.ts";
import {
  damaged,
  decodeAbort,
  encodeAbort,
  encodeControl,
  FRAME,
  type Frame,
  HEADER_BYTES,
} from "./wire.ts";

/** The shortest pause between heartbeats, however impatient the peer is. */
const MIN_HEARTBEAT_MS = 100;

export interface SessionOptions extends SessionHandshakeOptions {
  /** `--window`: how much of each stream may be unconfirmed, in bytes; at least 1. */
  readonly window: number;
  /** `--resume-timeout`, in ms. */
  readonly resumeTimeoutMs: number;
  /** Whether the SHA-256 of both streams is to be known, also without `digest`. */
  readonly hashes?: boolean;
  /** The beginning of the peer's stream that is there already (`--resume`). */
  readonly held?: HeldPrefix | undefined;
}

/**
 * One run of two processes with a stream each way.
 *
 * On each connection exactly one reader calls `incoming.room` and `received`, and
 * one writer calls `nextToSend`, until `lost`. One reader of stdin calls
 * `outgoing.reserve`, `accept` and `end`; one writer of stdout calls
 * `incoming.toDeliver` and `delivered`; these two do not care whether there is a
 * connection.
 *
 * After a method has thrown, the session is over: call `abort`, send the frame that
 * it returns, and close the connection.
 */
export class Session {
  readonly outgoing: OutgoingStream;
  readonly incoming: IncomingStream;
  readonly handshake: SessionHandshake;
  readonly hints = new Hints();
  readonly options: SessionOptions;
  readonly #window: number;
  #connection: ConnectionState | undefined;
  #lostAt = 0;
  #peerDone = false;
  #isAborted = false;

  constructor(options: SessionOptions) {
    this.options = options;
    this.#window = options.window + HEADER_BYTES;
    this.outgoing = new OutgoingStream(this.#window, options);
    this.incoming = new IncomingStream(this.#window, options);
    const { outgoing, incoming } = this;
    this.handshake = new SessionHandshake(options, this.#window, {
      get received() {
        return incoming.received;
      },
      get awaitsStart() {
        return incoming.awaitsStart;
      },
      canResumeAt: (offset, checksum) => outgoing.canResumeAt(offset, checksum),
      owesStart: (offset, checksum) => outgoing.owesStart(offset, checksum),
    });
  }

  /** Whether there is a connection whose prefaces were exchanged. */
  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether there ever was one. */
  get begun(): boolean {
    return this.handshake.peer !== undefined;
  }

  /** Whether both streams are confirmed: from now on the run succeeds. */
  get isDelivered(): boolean {
    return this.outgoing.confirmed && this.incoming.complete;
  }

  /**
   * Whether GOODBYE has gone both ways, or nobody needs ours: the connection can be
   * closed, once everything that `nextToSend` gave is written.
   */
  get isClosed(): boolean {
    return this.isDelivered && this.#peerDone &&
      (this.#connection?.goodbyeSent ?? true);
  }

  /** Whether one side has ended the session by ABORT. */
  get isAborted(): boolean {
    return this.#isAborted;
  }

  // Connections.

  /**
   * Makes the preface to send on a new connection; a listening side attaches
   * before. A connecting side with a token has another one to send: see
   * {@linkcode SessionHandshake.answer}.
   *
   * @param listenerKey Of a connecting side: the key that proofs are bound to.
   */
  preface(listenerKey?: Uint8Array): Uint8Array {
    return this.handshake.preface(this.#connection ?? { listenerKey });
  }

  /**
   * Begins a connection with the peer's preface. The reader and the writer of an
   * earlier connection must have stopped.
   *
   * @param context With a token: the nonce that the peer was sent, and the key of
   * the listening side.
   * @throws {DamagedError} The peer does not fit this session.
   * @throws {ConnectError} The peer has a session with somebody else, or the
   * connection leads back to this process.
   * @throws {RefusedError} The peer refuses us, or does not know the token.
   */
  attach(
    preface: Preface,
    now: number,
    context: Partial<ProofContext> = {},
  ): void {
    this.handshake.check(preface, context);
    this.lost(now);
    this.#connection = {
      resumed: this.begun,
      goodbyeSent: false,
      goodbyeReceived: false,
      heardAt: now,
      sentAt: now,
      nonce: nonceOf(preface),
      listenerKey: isBound(preface) ? context.listenerKey : undefined,
      heartbeatMs: preface.patienceMs === 0
        ? Infinity
        : Math.max(MIN_HEARTBEAT_MS, preface.patienceMs / 3),
    };
    this.handshake.adopt(preface);
    this.hints.begin(now);
    const window = Math.min(this.#window, preface.window);
    const point = { offset: preface.received, checksum: preface.checksum };
    if (awaitsStart(preface)) this.outgoing.compareWith(point, window);
    else this.outgoing.resumeAt(point, window);
    this.incoming.begin(window, now);
  }

  /** Takes note that the connection is gone, in whatever way. Idempotent. */
  lost(now: number): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    this.#lostAt = now;
    this.incoming.lost();
  }

  /** The time at which to call `giveUp`, unless there is a new connection by then. */
  get giveUpAt(): number {
    return this.#lostAt + this.options.resumeTimeoutMs;
  }

  /**
   * Ends a session that has found no new connection in time.
   *
   * @throws {TimeLimitError} Not everything is confirmed.
   */
  giveUp(): void {
    if (this.isDelivered) return;
    throw new TimeLimitError(
      `Cannot resume the session: no connection for ${
        formatDuration(this.options.resumeTimeoutMs)
      } (--resume-timeout); ${this}`,
    );
  }

  /** Writes "7 of 9 bytes sent are confirmed, 5 bytes received". */
  toString(): string {
    const { acceptedBytes, confirmedBytes } = this.outgoing;
    const received = countBytes(this.incoming.deliveredBytes);
    return `${confirmedBytes} of ${
      countBytes(acceptedBytes)
    } sent are confirmed, ${received} received`;
  }

  // The reader of the connection.

  /**
   * Takes `n` bytes that were read into the room.
   *
   * @throws {DamagedError} They are damaged or not allowed here; nothing of the bad
   * part will be delivered.
   * @throws {BrokenError} They are damaged, but both streams are confirmed: only
   * the connection is lost.
   * @throws The error that an ABORT of the peer stands for.
   */
  received(n: number, now: number): void {
    const connection = this.#connection;
    if (connection === undefined || this.#isAborted) return;
    connection.heardAt = now;
    this.incoming.filled(n);
    try {
      while (this.#handleNext(connection));
    } catch (error) {
      if (!this.isDelivered) throw error;
      throw new BrokenError("The connection is damaged", { cause: error });
    }
  }

  // The writer of the connection.

  /**
   * Gives out what to write to the connection now: one or more whole frames, in
   * order, to be written whole before the next call; or `undefined` when there is
   * nothing, until something is accepted, delivered or received, or `wakeAt` has
   * come.
   */
  nextToSend(now: number): Uint8Array | undefined {
    const connection = this.#connection;
    if (connection === undefined || this.#isAborted || connection.goodbyeSent) {
      return undefined;
    }
    const bytes = this.incoming.takeStarted() ?? this.incoming.takeConfirm() ??
      this.#nextAck(connection, now) ?? this.hints.takeSize() ??
      this.hints.takeWaited(now) ?? this.incoming.takeHeld() ??
      this.outgoing.takeStart() ??
      this.outgoing.takeData() ?? this.outgoing.takeEnd() ??
      this.#nextGoodbye(connection);
    if (bytes !== undefined) connection.sentAt = now;
    return bytes;
  }

  /**
   * The time at which `nextToSend` or `isSilent` may have a new answer through time
   * alone; `Infinity` for never.
   */
  get wakeAt(): number {
    const connection = this.#connection;
    if (connection === undefined || this.#isAborted) return Infinity;
    const { heardAt, sentAt, heartbeatMs, goodbyeSent } = connection;
    const silentAt = heardAt + (this.options.patienceMs || Infinity);
    if (goodbyeSent) return silentAt;
    return Math.min(silentAt, sentAt + heartbeatMs, this.incoming.ackAt);
  }

  /** Whether the peer was silent for too long: the connection is to be closed. */
  isSilent(now: number): boolean {
    const { patienceMs } = this.options;
    const heardAt = this.#connection?.heardAt ?? now;
    return patienceMs > 0 && now - heardAt >= patienceMs;
  }

  /**
   * Ends the session because of a failure on this side.
   *
   * @returns The ABORT frame, to be written after the write that is under way;
   * `undefined` when the peer has ended the session, or there is no connection.
   */
  abort(code: number, text: string): Uint8Array | undefined {
    const silent = this.#isAborted || (this.#connection?.goodbyeSent ?? true);
    this.#isAborted = true;
    if (silent) return undefined;
    const payload = encodeAbort({ code, text });
    return encodeControl(FRAME.abort, { payload });
  }

  /** Gives out ACK when it is due, also as a heartbeat. */
  #nextAck(
    { sentAt, heartbeatMs }: ConnectionState,
    now: number,
  ): Uint8Array | undefined {
    const dueAt = Math.min(this.incoming.ackAt, sentAt + heartbeatMs);
    return now < dueAt ? undefined : this.incoming.takeAck();
  }

  /** Gives out WAITED, then GOODBYE, when both streams are confirmed. */
  #nextGoodbye(connection: ConnectionState): Uint8Array | undefined {
    if (!this.isDelivered) return undefined;
    const waited = this.hints.takeLastWaited();
    connection.goodbyeSent = waited === undefined;
    return waited ?? encodeControl(FRAME.goodbye);
  }

  /** @returns Whether there was a frame. */
  #handleNext(connection: ConnectionState): boolean {
    const frame = this.incoming.nextFrame();
    if (frame === undefined) return false;
    this.handshake.knownToPeer = true;
    if (connection.goodbyeReceived) {
      throw damaged("a frame follows the goodbye");
    }
    this.#handle(frame, connection);
    return true;
  }

  #handle(frame: Frame, connection: ConnectionState): void {
    switch (frame.type) {
      case FRAME.data:
        return this.incoming.handleData(frame);
      case FRAME.ack:
        return this.outgoing.handleAck(frame);
      case FRAME.end:
        return this.incoming.handleEnd(frame);
      case FRAME.confirm:
        return this.outgoing.handleConfirm(frame);
      case FRAME.held:
        return this.outgoing.handleHeld(frame);
      case FRAME.start:
        return this.incoming.handleStart(frame);
      case FRAME.started:
        return this.outgoing.handleStarted(frame);
      case FRAME.goodbye:
        return this.#handleGoodbye(connection);
      case FRAME.abort:
        return this.#handleAbort(frame, connection);
      default:
        this.hints.handle(frame);
    }
  }

  #handleGoodbye(connection: ConnectionState): void {
    if (!this.incoming.confirmSent || !this.outgoing.confirmed) {
      throw damaged("the peer says goodbye too early");
    }
    connection.goodbyeReceived = true;
    this.#peerDone = true;
  }

  #handleAbort(frame: Frame, connection: ConnectionState): void {
    if (this.isDelivered) {
      connection.goodbyeReceived = true;
      this.#peerDone = true;
      return;
    }
    this.#isAborted = true;
    throw errorOf(decodeAbort(frame.payload), "peer");
  }
}

/** The part of the state that ends with the connection. */
interface ConnectionState {
  /** Whether the session is older than this connection. */
  readonly resumed: boolean;
  readonly heartbeatMs: number;
  /** The nonce of the peer's preface, for our proof. */
  readonly nonce: Uint8Array;
  /** The key that our proof is bound to, as the peer's is. */
  readonly listenerKey: Uint8Array | undefined;
  goodbyeSent: boolean;
  goodbyeReceived: boolean;
  /** The time at which a byte of the peer was last read. */
  heardAt: number;
  /** The time at which a frame was last given out. */
  sentAt: number;
}
