/**
 * The state of a `--reliable` session, as `docs/protocol.md` defines it: what was
 * sent, received, delivered and confirmed, over any number of connections.
 *
 * No sockets, no timers, no clock: whoever has them calls in, and passes the time
 * in ms of any clock that never goes back.
 */

import { createHash, type Hash } from "node:crypto";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  RefusedError,
  TimeLimitError,
} from "../base/errors.ts";
import {
  decodeAbort,
  decodeSummary,
  encodeAbort,
  encodeControl,
  encodePreface,
  encodeSummary,
  FLAG,
  FRAME,
  type Frame,
  FrameDecoder,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  MUST_UNDERSTAND,
  type Preface,
  PROTOCOL_VERSION,
  ROLE,
  SESSION_ID_BYTES,
  type StreamSummary,
} from "../../framing.ts";
import { errorOf, REASON } from "./abort_codes.ts";
import { ReplayBuffer } from "./send_buffer.ts";
import {
  isProven,
  NONCE_BYTES,
  prefaceWithProof,
  PROOF_BYTES,
} from "./token.ts";
import { countBytes } from "../pipe/traffic.ts";
import { formatDuration } from "../base/units.ts";

/** How long a delivery waits for others that are acknowledged along with it. */
const ACK_DELAY_MS = 100;
/** Below this window every delivery is acknowledged at once. */
const SMALL_WINDOW = 64 * 1024;
/** However impatient the peer is, heartbeats are not sent more often. */
const MIN_HEARTBEAT_MS = 100;
/** The most that is handed out for one write: four of the largest frames. */
const MAX_WRITE_BYTES = 4 * (HEADER_BYTES + MAX_DATA_BYTES);

export interface SessionOptions {
  readonly role: keyof typeof ROLE;
  /** The connecting side's: 16 random bytes. */
  readonly id?: Uint8Array;
  /** `--window`: how much of each stream may be unconfirmed, in bytes; at least 1. */
  readonly window: number;
  /** `--heartbeat`: how long the peer may be silent, in ms; 0 is for ever. */
  readonly patienceMs: number;
  /** `--resume-timeout`, in ms. */
  readonly resumeTimeoutMs: number;
  /** `--digest sha256`; the other side must have it as well. */
  readonly digest: boolean;
  /** `--token-file`; the other side must have the same. */
  readonly token?: Uint8Array | undefined;
}

/**
 * One run of two processes with a stream each way.
 *
 * On each connection exactly one reader calls `room` and `received`, and one
 * writer calls `nextToSend`, until `lost`. One reader of stdin calls `reserve`,
 * `accept` and `endLocal`; one writer of stdout calls `toDeliver` and `delivered`;
 * these two do not care whether there is a connection.
 *
 * What throws an error has ended the session: `abort` it, send what `nextToSend`
 * still has, and close the connection.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #window: number;
  readonly #replay: ReplayBuffer;
  readonly #decoder: FrameDecoder;
  readonly #outgoingHash: Hash | undefined;
  readonly #incomingHash: Hash | undefined;
  /** Zero bytes until a listening side has adopted one. */
  #id: Uint8Array;
  /** What the peer said of itself on the first connection. */
  #peer: Preface | undefined;
  /** Whether the peer has read a preface of ours, as its frames prove. */
  #knownToPeer = false;

  #outgoing: StreamSummary | undefined;
  #endSent = false;
  #confirmed = false;

  #received = 0;
  #runningChecksum = 0;
  #delivered = 0;
  #incoming: StreamSummary | undefined;
  #confirmSent = false;
  #peerDone = false;

  /** What is known of the present connection. */
  #link: Link | undefined;
  #lostAt = 0;
  #over = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#window = options.window + HEADER_BYTES;
    this.#id = options.id ?? new Uint8Array(SESSION_ID_BYTES);
    this.#replay = new ReplayBuffer(this.#window);
    this.#decoder = new FrameDecoder(this.#window);
    this.#outgoingHash = options.digest ? createHash("sha256") : undefined;
    this.#incomingHash = options.digest ? createHash("sha256") : undefined;
  }

  /** Whether there is a connection whose prefaces were exchanged. */
  get connected(): boolean {
    return this.#link !== undefined;
  }

  /** Whether there ever was one. */
  get begun(): boolean {
    return this.#peer !== undefined;
  }

  /** All of the peer's stream was delivered and matches: stdout can be closed. */
  get incomingComplete(): boolean {
    return this.#incoming !== undefined && this.#delivered === this.#received;
  }

  /** The peer has confirmed all of our stream. */
  get outgoingConfirmed(): boolean {
    return this.#confirmed;
  }

  /** Both of the above: the exit code is 0 from now on, whatever happens. */
  get done(): boolean {
    return this.#confirmed && this.incomingComplete;
  }

  /**
   * Done, and nobody needs us any more: the connection can be closed, once
   * everything that `nextToSend` gave is written.
   */
  get finished(): boolean {
    return this.done && this.#peerDone && (this.#link?.goodbyeSent ?? true);
  }

  /** Whether one side has ended the session by ABORT. */
  get over(): boolean {
    return this.#over;
  }

  /** Bytes taken from stdin. */
  get acceptedBytes(): number {
    return this.#replay.end.offset;
  }

  /** Bytes that the peer is known to have delivered. */
  get confirmedBytes(): number {
    return this.#replay.acknowledged;
  }

  /** Bytes written to stdout. */
  get deliveredBytes(): number {
    return this.#delivered;
  }

  /** Bytes that wait for stdout. */
  get undeliveredBytes(): number {
    return this.#decoder.heldBytes;
  }

  /** What END said of our stream, once stdin has ended. */
  get outgoingSummary(): StreamSummary | undefined {
    return this.#outgoing;
  }

  /** What END said of the peer's stream, and was found to be true. */
  get incomingSummary(): StreamSummary | undefined {
    return this.#incoming;
  }

  // Connections.

  /** Whether each side must prove that it knows a token. */
  get hasToken(): boolean {
    return this.#options.token !== undefined;
  }

  /**
   * The preface to send on a new connection; a listening side attaches before. A
   * connecting side with a token has another one to send: see `answer`.
   */
  preface(): Uint8Array {
    const { token } = this.#options;
    const nonce = this.#link?.nonce;
    return token === undefined || nonce === undefined
      ? encodePreface(this.#ownPreface())
      : prefaceWithProof(this.#ownPreface(), token, nonce);
  }

  /**
   * What a listening side with a token sends to whoever sent a preface that it does
   * not refuse, who then has to send another.
   *
   * @param nonce A new one; the same is to be given to `refusal` and `attach`.
   */
  challenge(nonce: Uint8Array): Uint8Array {
    return encodePreface({ ...this.#anonymousPreface(), additions: nonce });
  }

  /**
   * What a connecting side with a token sends when it has been challenged.
   *
   * @param nonce A new one; the same is to be given to `attach`.
   * @throws {RefusedError} The peer does not ask for the token, or refuses us.
   * @throws What `attach` throws.
   */
  answer(challenge: Preface, nonce: Uint8Array): Uint8Array {
    this.#checkAnswer(challenge);
    const { token } = this.#options;
    if (challenge.version !== PROTOCOL_VERSION) {
      throw errorOf({ code: REASON.version, text: "" }, "own");
    }
    if (
      token === undefined || (challenge.flags & FLAG.token) === 0 ||
      challenge.additions.length < NONCE_BYTES
    ) {
      throw new RefusedError(
        "Cannot begin a session: the peer does not ask for the token (--token-file)",
      );
    }
    const own = { ...this.#ownPreface(), additions: nonce };
    return prefaceWithProof(own, token, nonceOf(challenge));
  }

  /**
   * The refusal that a listening side sends to whoever sent `preface`, or
   * `undefined` if it is welcome: to be attached, or, with a token and without a
   * nonce, to be challenged. Changes nothing.
   *
   * @param nonce What the sender of the preface was challenged with.
   */
  refusal(preface: Preface, nonce?: Uint8Array): Refusal | undefined {
    const reason = this.hasToken && nonce === undefined
      ? this.#reasonToRefuseAny(preface)
      : this.#reasonToRefuse(preface, nonce);
    if (reason === undefined) return undefined;
    const anonymous = this.#anonymousPreface();
    const flags = anonymous.flags | FLAG.refused;
    const bytes = encodePreface({ ...anonymous, flags, checksum: reason });
    return { reason, bytes };
  }

  /**
   * Begins a connection with the peer's preface. The reader and the writer of an
   * earlier connection must have stopped.
   *
   * @param nonce With a token: what was sent to the peer on this connection.
   * @throws {DamagedError} The peer does not fit this session.
   * @throws {ConnectError} The peer is busy, or ourselves.
   * @throws {RefusedError} The peer says so, or does not know the token.
   */
  attach(preface: Preface, now: number, nonce?: Uint8Array): void {
    if (this.#options.role === "connect") this.#checkAnswer(preface);
    const reason = this.#reasonToRefuse(preface, nonce);
    if (reason !== undefined) throw errorOf({ code: reason, text: "" }, "own");
    this.lost(now);
    this.#link = {
      resumed: this.begun,
      endSent: false,
      endReceived: false,
      confirmSent: false,
      goodbyeSent: false,
      goodbyeReceived: false,
      acknowledged: 0,
      acknowledgeAt: this.#delivered > 0 ? now : Infinity,
      heardAt: now,
      sentAt: now,
      nonce: nonceOf(preface),
      heartbeatMs: preface.patienceMs === 0
        ? Infinity
        : Math.max(MIN_HEARTBEAT_MS, preface.patienceMs / 3),
    };
    this.#id = preface.id;
    this.#peer ??= preface;
    this.#replay.limit = this.#smallerWindow(preface);
    this.#replay.rewind(preface.received);
  }

  /** Says that the connection is gone, in whatever way. Idempotent. */
  lost(now: number): void {
    if (this.#link === undefined) return;
    this.#link = undefined;
    this.#lostAt = now;
    this.#decoder.reset();
  }

  /** When `giveUp` is to be called, unless there is a new connection by then. */
  get giveUpAt(): number {
    return this.#lostAt + this.#options.resumeTimeoutMs;
  }

  /**
   * Ends a session that has found no new connection in time.
   *
   * @throws {TimeLimitError} Not everything is confirmed.
   */
  giveUp(): void {
    if (this.done) return;
    throw new TimeLimitError(
      `Cannot resume the session: no connection for ${
        formatDuration(this.#options.resumeTimeoutMs)
      } (--resume-timeout); ${this}`,
    );
  }

  /** "7 of 9 bytes sent are confirmed, 5 bytes received". */
  toString(): string {
    return `${this.confirmedBytes} of ${
      countBytes(this.acceptedBytes)
    } sent are confirmed, ${countBytes(this.#delivered)} received`;
  }

  // The reader of the connection.

  /** Room for the next read from the connection, of at least one byte. */
  room(): Uint8Array {
    return this.#decoder.room();
  }

  /**
   * Takes `n` bytes that were read into the room.
   *
   * @throws {DamagedError} They are damaged or not allowed here; nothing of the bad
   * part will be delivered.
   * @throws {BrokenError} The same, when the session is done: then it is no more
   * than a connection lost.
   * @throws The error that an ABORT of the peer stands for.
   */
  received(n: number, now: number): void {
    const link = this.#link;
    if (link === undefined || this.#over) return;
    link.heardAt = now;
    this.#decoder.filled(n);
    try {
      while (this.#handleNext(link));
    } catch (error) {
      if (!this.done) throw error;
      throw new BrokenError("The connection is damaged", { cause: error });
    }
  }

  // The writer of the connection.

  /**
   * What to write to the connection now: one or more whole frames, in order, to
   * be written whole before the next call; or `undefined` when there is nothing,
   * until something is accepted, delivered or received, or `wakeAt` has come.
   */
  nextToSend(now: number): Uint8Array | undefined {
    const link = this.#link;
    if (link === undefined || this.#over || link.goodbyeSent) return undefined;
    const bytes = this.#nextControl(link, now) ??
      this.#replay.take(MAX_WRITE_BYTES) ?? this.#nextEnding(link);
    if (bytes !== undefined) link.sentAt = now;
    return bytes;
  }

  /**
   * When `nextToSend` or `isSilent` may have a new answer through time alone;
   * `Infinity` for never.
   */
  get wakeAt(): number {
    const link = this.#link;
    if (link === undefined || this.#over) return Infinity;
    const silentAt = link.heardAt + (this.#options.patienceMs || Infinity);
    if (link.goodbyeSent) return silentAt;
    const heartbeatAt = link.sentAt + link.heartbeatMs;
    return Math.min(silentAt, heartbeatAt, link.acknowledgeAt);
  }

  /** Whether the peer was silent for too long: the connection is to be closed. */
  isSilent(now: number): boolean {
    const { patienceMs } = this.#options;
    const heardAt = this.#link?.heardAt ?? now;
    return patienceMs > 0 && now - heardAt >= patienceMs;
  }

  /**
   * Ends the session because of a failure on this side.
   *
   * @returns ABORT, to be written if the writer is idle and the peer may still
   * listen; `undefined` when the peer has ended the session itself, or there is
   * no connection.
   */
  abort(reason: number, text: string): Uint8Array | undefined {
    const silent = this.#over || this.#link === undefined ||
      this.#link.goodbyeSent;
    this.#over = true;
    if (silent) return undefined;
    const payload = encodeAbort({ code: reason, text });
    return encodeControl(FRAME.abort, { payload });
  }

  // The reader of stdin.

  /**
   * Room to read stdin into, or `undefined` while the window is full or there was
   * no connection yet. The same room until `accept`.
   *
   * @param most How much at most, in bytes.
   */
  reserve(most: number = MAX_DATA_BYTES): Uint8Array | undefined {
    return this.begun ? this.#replay.reserve(most) : undefined;
  }

  /**
   * Takes bytes of stdin, which may lie at the beginning of the reserved room; if
   * they do not, they are copied.
   *
   * @returns How many were taken; all that lie in the room, and of others as many
   * as the window has room for.
   */
  accept(bytes: Uint8Array): number {
    if (!this.begun) return 0;
    let taken = 0;
    while (taken < bytes.length) {
      const n = this.#replay.append(bytes.subarray(taken));
      if (n === 0) break;
      this.#outgoingHash?.update(bytes.subarray(taken, taken + n));
      taken += n;
    }
    return taken;
  }

  /** Says that stdin has ended. Idempotent. */
  endLocal(): void {
    this.#outgoing ??= {
      checksum: this.#replay.end.checksum,
      digest: this.#outgoingHash?.digest(),
    };
  }

  // The writer of stdout.

  /**
   * What is to be written to stdout, in one piece; `undefined` when there is
   * nothing now. Valid until `delivered`.
   */
  toDeliver(): Uint8Array | undefined {
    return this.#decoder.held();
  }

  /** Says that the first `n` bytes of `toDeliver` were written. */
  delivered(n: number, now: number): void {
    this.#decoder.release(n);
    this.#delivered += n;
    const link = this.#link;
    if (link === undefined) return;
    const owed = this.#delivered - link.acknowledged;
    const at = owed >= this.#acknowledgeEvery() ? now : now + ACK_DELAY_MS;
    link.acknowledgeAt = Math.min(link.acknowledgeAt, at);
  }

  #smallerWindow(peer: Preface): number {
    return Math.min(this.#window, peer.window);
  }

  #acknowledgeEvery(): number {
    const window = this.#peer ? this.#smallerWindow(this.#peer) : 0;
    return window < SMALL_WINDOW ? 1 : Math.floor(window / 4);
  }

  #ownPreface(): Preface {
    const { role, digest, token, patienceMs } = this.#options;
    const resume = role === "connect" ? this.begun : this.#link?.resumed;
    return {
      version: PROTOCOL_VERSION,
      role: ROLE[role],
      flags: (resume ? FLAG.resume : 0) | (digest ? FLAG.digest : 0) |
        (token ? FLAG.token : 0),
      id: this.#id,
      received: this.#received,
      checksum: this.#runningChecksum,
      window: this.#window,
      patienceMs,
      additions: new Uint8Array(),
    };
  }

  /** With our options, and without a word about the session. */
  #anonymousPreface(): Preface {
    const own = this.#ownPreface();
    const flags = own.flags & (FLAG.digest | FLAG.token);
    const id = new Uint8Array(SESSION_ID_BYTES);
    return { ...own, flags, id, received: 0, checksum: 0 };
  }

  /** Why nobody may begin or go on with any session by this preface. */
  #reasonToRefuseAny(preface: Preface): number | undefined {
    if (preface.version !== PROTOCOL_VERSION) return REASON.version;
    const known = FLAG.resume | FLAG.digest | FLAG.token | FLAG.refused;
    const digest = (preface.flags & FLAG.digest) !== 0;
    const token = (preface.flags & FLAG.token) !== 0;
    if (this.hasToken && !token) return REASON.refused;
    if (
      (preface.flags & MUST_UNDERSTAND & ~known) !== 0 ||
      digest !== this.#options.digest || token !== this.hasToken
    ) return REASON.options;
    const { role } = this.#options;
    const peerRole = role === "listen" ? ROLE.connect : ROLE.listen;
    return (preface.flags & FLAG.refused) !== 0 || preface.role !== peerRole ||
        preface.id.every((byte) => byte === 0) || preface.window <= HEADER_BYTES
      ? REASON.protocol
      : undefined;
  }

  #reasonToRefuse(
    preface: Preface,
    nonce: Uint8Array | undefined,
  ): number | undefined {
    const reason = this.#reasonToRefuseAny(preface);
    if (reason !== undefined) return reason;
    if (!this.#knowsToken(preface, nonce)) return REASON.refused;
    return this.#peer === undefined
      ? this.#reasonToRefuseNew(preface)
      : this.#reasonToRefuseOther(preface, this.#peer);
  }

  #knowsToken(preface: Preface, nonce: Uint8Array | undefined): boolean {
    const { token, role } = this.#options;
    if (token === undefined) return true;
    const least = PROOF_BYTES + (role === "listen" ? NONCE_BYTES : 0);
    return nonce !== undefined && preface.additions.length >= least &&
      isProven(preface, token, nonce);
  }

  #reasonToRefuseNew(preface: Preface): number | undefined {
    const { role } = this.#options;
    const expected = role === "listen"
      ? !isResume(preface)
      : equal(preface.id, this.#id);
    if (!expected) return REASON.session;
    return preface.received === 0 && preface.checksum === 0
      ? undefined
      : REASON.protocol;
  }

  #reasonToRefuseOther(preface: Preface, peer: Preface): number | undefined {
    const resume = isResume(preface);
    const connects = this.#options.role === "connect";
    if (!equal(preface.id, this.#id)) {
      return resume || connects ? REASON.session : REASON.busy;
    }
    const mustResume = connects || this.#knownToPeer;
    if (mustResume && !resume) return REASON.session;
    return preface.window === peer.window &&
        this.#replay.canRewind(preface.received, preface.checksum)
      ? undefined
      : REASON.protocol;
  }

  #checkAnswer(preface: Preface): void {
    if ((preface.flags & FLAG.refused) !== 0) throw this.#errorOf(preface);
    if (preface.role === ROLE.connect) {
      throw new ConnectError(
        "Cannot begin a session: the connection leads back to this process",
      );
    }
  }

  /** What a refusal means. */
  #errorOf({ flags, checksum: code }: Preface): Error {
    const isAboutOptions = code === REASON.refused || code === REASON.options;
    const wantsToken = (flags & FLAG.token) !== 0;
    if (!isAboutOptions || wantsToken === this.hasToken) {
      return errorOf({ code, text: "" }, "peer");
    }
    return new RefusedError(
      wantsToken
        ? "Cannot begin a session: the peer wants a token; give --token-file FILE, with what is in its own"
        : "Cannot begin a session: the peer has no token; give --token-file to both sides",
    );
  }

  /** @returns Whether there was a frame. */
  #handleNext(link: Link): boolean {
    const frame = this.#decoder.next(this.#runningChecksum);
    if (frame === undefined) return false;
    this.#knownToPeer = true;
    if (link.goodbyeReceived) throw damaged("a frame follows the goodbye");
    this.#handle(frame, link);
    return true;
  }

  #handle(frame: Frame, link: Link): void {
    switch (frame.type) {
      case FRAME.data:
        return this.#handleData(frame);
      case FRAME.ack:
        return this.#handleAck(frame);
      case FRAME.end:
        return this.#handleEnd(frame, link);
      case FRAME.confirm:
        return this.#handleConfirm(frame);
      case FRAME.goodbye:
        return this.#handleGoodbye(link);
      case FRAME.abort:
        return this.#handleAbort(frame, link);
    }
  }

  #handleData(frame: Frame): void {
    if (this.#incoming !== undefined) throw damaged("data follows the end");
    if (frame.offset !== this.#received) {
      throw damaged(
        `byte "${frame.offset}" came where byte "${this.#received}" belongs`,
      );
    }
    this.#incomingHash?.update(frame.payload);
    this.#received += frame.length;
    this.#runningChecksum = frame.checksum;
    this.#decoder.hold(frame.length);
  }

  #handleAck({ offset }: Frame): void {
    if (offset > this.#replay.next.offset) {
      throw damaged(`byte "${offset}" is acknowledged but was never sent`);
    }
    if (offset < this.#replay.acknowledged) {
      throw damaged(`byte "${offset}" is acknowledged after a later one`);
    }
    this.#replay.acknowledge(offset);
  }

  #handleEnd(frame: Frame, link: Link): void {
    const summary = decodeSummary(frame.payload);
    if (link.endReceived) throw damaged("it ends twice");
    if (frame.offset !== this.#received) {
      throw damaged(
        `it ends at byte "${frame.offset}", but byte "${this.#received}" was reached`,
      );
    }
    const known = this.#incoming ?? {
      checksum: this.#runningChecksum,
      digest: this.#incomingHash?.digest(),
    };
    if (!sameSummary(summary, known)) {
      throw damaged("its checksum or digest does not match");
    }
    link.endReceived = true;
    this.#incoming = known;
  }

  #handleConfirm(frame: Frame): void {
    const { checksum } = decodeSummary(frame.payload);
    const { offset } = this.#replay.next;
    const mine = this.#outgoing;
    if (
      mine === undefined || !this.#endSent || checksum !== mine.checksum ||
      offset !== this.#replay.end.offset || offset !== frame.offset
    ) throw damaged("the peer confirms what was not sent");
    this.#confirmed = true;
    this.#replay.acknowledge(offset);
  }

  #handleGoodbye(link: Link): void {
    if (!this.#confirmSent || !this.#confirmed) {
      throw damaged("the peer says goodbye too early");
    }
    link.goodbyeReceived = true;
    this.#peerDone = true;
  }

  #handleAbort(frame: Frame, link: Link): void {
    if (this.done) {
      link.goodbyeReceived = true;
      this.#peerDone = true;
      return;
    }
    this.#over = true;
    throw errorOf(decodeAbort(frame.payload), "peer");
  }

  /** CONFIRM before all else; ACK when it is due. */
  #nextControl(link: Link, now: number): Uint8Array | undefined {
    if (this.incomingComplete && !link.confirmSent) {
      link.confirmSent = true;
      this.#confirmSent = true;
      this.#acknowledged(link);
      return encodeControl(FRAME.confirm, {
        offset: this.#received,
        payload: encodeSummary({
          checksum: this.#runningChecksum,
          digest: undefined,
        }),
      });
    }
    const heartbeatAt = link.sentAt + link.heartbeatMs;
    if (now < Math.min(link.acknowledgeAt, heartbeatAt)) return undefined;
    this.#acknowledged(link);
    return encodeControl(FRAME.ack, { offset: this.#delivered });
  }

  #acknowledged(link: Link): void {
    link.acknowledged = this.#delivered;
    link.acknowledgeAt = Infinity;
  }

  /** END after all data, GOODBYE after all else. */
  #nextEnding(link: Link): Uint8Array | undefined {
    if (this.#outgoing === undefined) return undefined;
    if (!this.#confirmed && !link.endSent) {
      link.endSent = true;
      this.#endSent = true;
      return encodeControl(FRAME.end, {
        offset: this.#replay.end.offset,
        payload: encodeSummary(this.#outgoing),
      });
    }
    if (!this.done) return undefined;
    link.goodbyeSent = true;
    return encodeControl(FRAME.goodbye);
  }
}

/** What is said to whom a listening side does not take. */
export interface Refusal {
  /** One of {@linkcode REASON}. */
  readonly reason: number;
  /** A preface that says so, to be sent. */
  readonly bytes: Uint8Array;
}

/** What a session knows of one connection. */
interface Link {
  /** Whether the session is older than this connection. */
  readonly resumed: boolean;
  readonly heartbeatMs: number;
  /** What the peer's preface has for our proof. */
  readonly nonce: Uint8Array;
  endSent: boolean;
  endReceived: boolean;
  confirmSent: boolean;
  goodbyeSent: boolean;
  goodbyeReceived: boolean;
  /** The last offset that was acknowledged on it. */
  acknowledged: number;
  acknowledgeAt: number;
  heardAt: number;
  sentAt: number;
}

function damaged(what: string): DamagedError {
  return new DamagedError(`Cannot receive the stream: ${what}`);
}

/** Of a preface that has one. */
function nonceOf({ additions }: Preface): Uint8Array {
  return additions.subarray(0, NONCE_BYTES);
}

function isResume(preface: Preface): boolean {
  return (preface.flags & FLAG.resume) !== 0;
}

function sameSummary(a: StreamSummary, b: StreamSummary): boolean {
  if (a.checksum !== b.checksum) return false;
  if (a.digest === undefined || b.digest === undefined) {
    return a.digest === b.digest;
  }
  return equal(a.digest, b.digest);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
