/** The prefaces of a session: ours are made, the peer's are checked. */

import { ConnectError, DamagedError, RefusedError } from "../base/errors.ts";
import { ABORT_CODE, errorOf } from "./abort_codes.ts";
import {
  awaitsStart,
  encodePreface,
  FLAG,
  isBound,
  MUST_UNDERSTAND,
  type Preface,
  PROTOCOL_VERSION,
  ROLE,
  SESSION_ID_BYTES,
} from "./preface.ts";
import type { StreamPoint } from "./send_buffer.ts";
import {
  isProven,
  NONCE_BYTES,
  prefaceWithProof,
  PROOF_BYTES,
  type ProofContext,
} from "./token.ts";
import { areBytesEqual, HEADER_BYTES } from "./wire.ts";

/** The part of a session's options that its prefaces speak of. */
export interface SessionHandshakeOptions {
  readonly role: keyof typeof ROLE;
  /** The connecting side's session id: 16 random bytes. */
  readonly id?: Uint8Array;
  /** The longest silence of the peer, in ms; 0 for no limit. */
  readonly patienceMs: number;
  /** Whether END carries a SHA-256; the other side must want the same. */
  readonly digest: boolean;
  /** `--resume`: streams may go on where an earlier run has left them. */
  readonly resumesFiles?: boolean;
  /** The secret of `--token-file`; the other side must have the same. */
  readonly token?: Uint8Array | undefined;
}

/** The part of a session's state that its prefaces speak of. */
export interface StreamProgress {
  /** The end of what was received of the peer's stream. */
  readonly received: StreamPoint;
  /** Whether the peer has still to say, by START, how much of that is right. */
  readonly awaitsStart: boolean;
  /** Whether the peer can have received our stream up to there. */
  canResumeAt(offset: number, checksum: number): boolean;
  /** Whether the peer holds so much that START has to be sent. */
  owesStart(offset: number, checksum: number): boolean;
}

/** A refusal by a listening side. */
export interface Refusal {
  /** One of {@linkcode ABORT_CODE}. */
  readonly reason: number;
  /** The preface to send, which tells the reason. */
  readonly bytes: Uint8Array;
}

const KNOWN_FLAGS = FLAG.resume | FLAG.digest | FLAG.token | FLAG.held |
  FLAG.started | FLAG.bound | FLAG.refused;

/**
 * The prefaces of one session: makes our own and checks the peer's (sections 2, 4
 * and 10 of `docs/protocol.md`). Only {@linkcode adopt} changes it.
 */
export class SessionHandshake {
  readonly #options: SessionHandshakeOptions;
  readonly #progress: StreamProgress;
  /** Our window in bytes on the wire. */
  readonly #window: number;
  #id: Uint8Array;
  #peer: Preface | undefined;
  /** Whether the peer has read a preface of ours, as its frames prove. */
  knownToPeer = false;

  /** @param window Our window in bytes on the wire. */
  constructor(
    options: SessionHandshakeOptions,
    window: number,
    progress: StreamProgress,
  ) {
    this.#options = options;
    this.#window = window;
    this.#progress = progress;
    this.#id = options.id ?? new Uint8Array(SESSION_ID_BYTES);
  }

  /** The session's id; zero bytes for a listening side that has not begun. */
  get id(): Uint8Array {
    return this.#id;
  }

  /** The peer's preface of the first connection, once there was one. */
  get peer(): Preface | undefined {
    return this.#peer;
  }

  /** Whether each side must prove that it knows a token. */
  get hasToken(): boolean {
    return this.#options.token !== undefined;
  }

  /**
   * Makes the preface to send on a new connection.
   *
   * @param options.resumed Whether a listening side knew the session before.
   * @param options.nonce With a token, the nonce that a listening side has read.
   * @param options.listenerKey With a token, the key that the proofs are bound to.
   */
  preface(
    { resumed = false, nonce, listenerKey }: {
      resumed?: boolean;
      nonce?: Uint8Array | undefined;
      listenerKey?: Uint8Array | undefined;
    } = {},
  ): Uint8Array {
    const { token } = this.#options;
    const own = this.#ownPreface({ resumed, listenerKey });
    return token === undefined || nonce === undefined
      ? encodePreface(own)
      : prefaceWithProof(own, token, { nonce, listenerKey });
  }

  /** Makes the preface by which a listening side asks for the proof of the token. */
  challenge(nonce: Uint8Array): Uint8Array {
    return encodePreface({ ...this.#anonymousPreface(), additions: nonce });
  }

  /**
   * Makes the preface by which a connecting side answers a challenge.
   *
   * @param nonce A new one, for the proof of the other side.
   * @param listenerKey The key that the proofs are bound to, if it is known.
   * @throws {RefusedError} The peer does not ask for the token, or refuses us.
   * @throws What {@linkcode check} throws.
   */
  answer(
    challenge: Preface,
    nonce: Uint8Array,
    listenerKey?: Uint8Array,
  ): Uint8Array {
    this.#checkAnswer(challenge);
    const { token } = this.#options;
    if (challenge.version !== PROTOCOL_VERSION) {
      throw errorOf({ code: ABORT_CODE.version, text: "" }, "own");
    }
    if (
      token === undefined || (challenge.flags & FLAG.token) === 0 ||
      challenge.additions.length < NONCE_BYTES
    ) {
      throw new RefusedError(
        "Cannot begin a session: the peer does not ask for the token (--token-file)",
      );
    }
    const own = { ...this.#ownPreface({ listenerKey }), additions: nonce };
    const context = { nonce: nonceOf(challenge), listenerKey };
    return prefaceWithProof(own, token, context);
  }

  /**
   * Checks a preface as a listening side.
   *
   * @param context The nonce that the sender was challenged with, and our own key.
   * @returns The refusal to send, or `undefined` when the sender is welcome: to be
   * attached, or, with a token and without a nonce, to be challenged.
   */
  refusal(
    preface: Preface,
    context: Partial<ProofContext> = {},
  ): Refusal | undefined {
    const reason = this.hasToken && context.nonce === undefined
      ? this.#reasonToRefuseAny(preface, context)
      : this.#reasonToRefuse(preface, context);
    if (reason === undefined) return undefined;
    const anonymous = this.#anonymousPreface();
    const flags = anonymous.flags | FLAG.refused;
    const bytes = encodePreface({ ...anonymous, flags, checksum: reason });
    return { reason, bytes };
  }

  /**
   * Checks the peer's preface with which a connection is to begin.
   *
   * @param context With a token: the nonce that the peer was sent, and the key of
   * the listening side.
   * @throws {DamagedError} The peer does not fit this session.
   * @throws {ConnectError} The peer has a session with somebody else, or the
   * connection leads back to this process.
   * @throws {RefusedError} The peer refuses us, or does not know the token.
   */
  check(preface: Preface, context: Partial<ProofContext> = {}): void {
    if (this.#options.role === "connect") this.#checkAnswer(preface);
    const reason = this.#reasonToRefuse(preface, context);
    if (reason !== undefined) throw errorOf({ code: reason, text: "" }, "own");
  }

  /** Takes the sender of a checked preface for the peer of this session. */
  adopt(preface: Preface): void {
    this.#id = preface.id;
    this.#peer ??= preface;
  }

  #ownPreface(
    { resumed = false, listenerKey }: {
      resumed?: boolean;
      listenerKey?: Uint8Array | undefined;
    } = {},
  ): Preface {
    const { role, digest, token, resumesFiles, patienceMs } = this.#options;
    const resume = role === "connect" ? this.#peer !== undefined : resumed;
    const { offset, checksum } = this.#progress.received;
    return {
      version: PROTOCOL_VERSION,
      role: ROLE[role],
      flags: (resume ? FLAG.resume : 0) | (digest ? FLAG.digest : 0) |
        (token ? FLAG.token : 0) |
        (token && listenerKey ? FLAG.bound : 0) |
        (resumesFiles ? FLAG.held : 0) |
        (resumesFiles && !this.#progress.awaitsStart ? FLAG.started : 0),
      id: this.#id,
      received: offset,
      checksum,
      window: this.#window,
      patienceMs,
      additions: new Uint8Array(),
    };
  }

  /** Makes a preface that tells our options and nothing of the session. */
  #anonymousPreface(): Preface {
    const own = this.#ownPreface();
    const flags = own.flags & (FLAG.digest | FLAG.token | FLAG.held);
    const id = new Uint8Array(SESSION_ID_BYTES);
    return { ...own, flags, id, received: 0, checksum: 0 };
  }

  /** Checks rules 1 to 3: the reason why this preface can begin no session at all. */
  #reasonToRefuseAny(
    preface: Preface,
    { listenerKey }: Partial<ProofContext>,
  ): number | undefined {
    if (preface.version !== PROTOCOL_VERSION) return ABORT_CODE.version;
    const has = (flag: number) => (preface.flags & flag) !== 0;
    if (this.hasToken && !has(FLAG.token)) return ABORT_CODE.refused;
    if (
      has(MUST_UNDERSTAND & ~KNOWN_FLAGS) ||
      has(FLAG.digest) !== this.#options.digest ||
      has(FLAG.token) !== this.hasToken ||
      has(FLAG.held) !== (this.#options.resumesFiles ?? false) ||
      has(FLAG.bound) && (!this.hasToken || listenerKey === undefined)
    ) return ABORT_CODE.options;
    const { role } = this.#options;
    const peerRole = role === "listen" ? ROLE.connect : ROLE.listen;
    return has(FLAG.refused) || preface.role !== peerRole ||
        has(FLAG.started) && !has(FLAG.held) ||
        preface.id.every((byte) => byte === 0) || preface.window <= HEADER_BYTES
      ? ABORT_CODE.protocol
      : undefined;
  }

  #reasonToRefuse(
    preface: Preface,
    context: Partial<ProofContext>,
  ): number | undefined {
    const reason = this.#reasonToRefuseAny(preface, context);
    if (reason !== undefined) return reason;
    if (!this.#knowsToken(preface, context)) return ABORT_CODE.refused;
    return this.#peer === undefined
      ? this.#reasonToRefuseFirst(preface)
      : this.#reasonToRefuseLater(preface, this.#peer);
  }

  #knowsToken(
    preface: Preface,
    { nonce, listenerKey }: Partial<ProofContext>,
  ): boolean {
    const { token, role } = this.#options;
    if (token === undefined) return true;
    const bound = isBound(preface);
    // Who connects decides; a listener may know its key and not be asked for it.
    if (role === "connect" && bound !== (listenerKey !== undefined)) {
      return false;
    }
    const key = bound ? listenerKey : undefined;
    const least = PROOF_BYTES + (role === "listen" ? NONCE_BYTES : 0);
    return nonce !== undefined && preface.additions.length >= least &&
      isProven(preface, token, { nonce, listenerKey: key });
  }

  /** Checks rule 4: there is no session yet. */
  #reasonToRefuseFirst(preface: Preface): number | undefined {
    const { role } = this.#options;
    const expected = role === "listen"
      ? !isResume(preface)
      : areBytesEqual(preface.id, this.#id);
    if (!expected) return ABORT_CODE.session;
    return awaitsStart(preface) && preface.received > 0 ||
        preface.received === 0 && preface.checksum === 0
      ? undefined
      : ABORT_CODE.protocol;
  }

  /** Checks rules 5 and 6: there is a session. */
  #reasonToRefuseLater(preface: Preface, peer: Preface): number | undefined {
    const resume = isResume(preface);
    const connects = this.#options.role === "connect";
    if (!areBytesEqual(preface.id, this.#id)) {
      return resume || connects ? ABORT_CODE.session : ABORT_CODE.busy;
    }
    const mustResume = connects || this.knownToPeer;
    if (mustResume && !resume) return ABORT_CODE.session;
    const { received, checksum, window } = preface;
    const fits = awaitsStart(preface)
      ? this.#progress.owesStart(received, checksum)
      : this.#progress.canResumeAt(received, checksum);
    return fits && window === peer.window ? undefined : ABORT_CODE.protocol;
  }

  #checkAnswer(preface: Preface): void {
    if ((preface.flags & FLAG.refused) !== 0) throw this.#errorOf(preface);
    if (preface.role === ROLE.connect) {
      throw new ConnectError(
        "Cannot begin a session: the connection leads back to this process",
      );
    }
  }

  /** Makes the error for a refusal that the peer has sent. */
  #errorOf({ flags, checksum: code }: Preface): Error {
    const isAboutOptions = code === ABORT_CODE.refused ||
      code === ABORT_CODE.options;
    const resumesFiles = (flags & FLAG.held) !== 0;
    if (
      code === ABORT_CODE.options &&
      resumesFiles !== (this.#options.resumesFiles ?? false)
    ) {
      return new DamagedError(
        resumesFiles
          ? "Cannot begin a session: the peer has --resume; give it to both sides"
          : "Cannot begin a session: the peer has no --resume, or is too old to know it; give it to both sides",
      );
    }
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
}

/** Reads the nonce of a challenge or of the answer to one. */
export function nonceOf({ additions }: Preface): Uint8Array {
  return additions.subarray(0, NONCE_BYTES);
}

function isResume(preface: Preface): boolean {
  return (preface.flags & FLAG.resume) !== 0;
}
