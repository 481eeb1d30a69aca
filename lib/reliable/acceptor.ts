/**
 * The listening side of a session: accepts the peer's connections, the first and
 * later ones, and refuses all others.
 */

import { BrokenError, DamagedError, TimeLimitError } from "../base/errors.ts";
import { type PeerConnection, readPreface } from "./frame_connection.ts";
import { ABORT_CODE } from "./abort_codes.ts";
import type { Refusal } from "./handshake.ts";
import type { LiveSession } from "./live_session.ts";
import type { Preface } from "./preface.ts";
import { newNonce, type ProofContext } from "./token.ts";
import { callAfter } from "./wakeup.ts";
import { formatDuration } from "../base/units.ts";

/** The most connections that are pending at a time; one more closes the oldest. */
const MAX_PENDING = 64;
/** The pause after the system could not accept a connection. */
const ACCEPT_PAUSE_MS = 100;

/** The listener by which the peer's connections come. */
export interface PeerListener {
  readonly role: "listen";
  /** Waits for the next connection; rejects when the listener is closed. */
  accept(): Promise<PeerConnection>;
  /** The longest wait for the first peer, in ms. */
  readonly acceptTimeoutMs: number | undefined;
}

/**
 * Receives the peer of a session, whenever it comes, until the session has ended.
 *
 * @throws {TimeLimitError} Nobody came, or not again, in time.
 * @throws {DamagedError} The first connection, when there is no token, does not
 * begin with a preface.
 * @throws What `listener.accept` and {@linkcode LiveSession.run} throw.
 */
export async function runAcceptor(
  listener: PeerListener,
  live: LiveSession,
): Promise<void> {
  const { acceptTimeoutMs } = listener;
  const acceptor = new Acceptor(listener, live);
  using _limit = callAfter(acceptTimeoutMs, () => {
    if (live.session.begun) return;
    acceptor.fail(
      new TimeLimitError(
        `Nobody came within ${
          formatDuration(acceptTimeoutMs ?? 0)
        } (--accept-timeout)`,
      ),
    );
  });
  await acceptor.run();
}

class Acceptor {
  readonly #listener: PeerListener;
  readonly #live: LiveSession;
  readonly #ended = Promise.withResolvers<void>();
  /** Connections that are not attached yet, the oldest first. */
  readonly #pending = new Set<PeerConnection>();
  #resumeTimer: Disposable | undefined;

  constructor(listener: PeerListener, live: LiveSession) {
    this.#listener = listener;
    this.#live = live;
  }

  /** Accepts connections until the session has ended. */
  async run(): Promise<void> {
    this.#acceptAll().catch(this.#ended.reject);
    try {
      await this.#ended.promise;
    } finally {
      this.#resumeTimer?.[Symbol.dispose]();
    }
  }

  fail(error: Error): void {
    this.#ended.reject(error);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#live.needsNoConnection) {
      const connection = await this.#accept();
      if (connection === undefined) continue;
      if (this.#live.needsNoConnection) return connection.close();
      this.#makeRoom();
      this.#receive(connection).catch(this.#ended.reject);
    }
  }

  /** Closes the oldest pending connection if there are too many. */
  #makeRoom(): void {
    const [oldest] = this.#pending;
    if (oldest === undefined || this.#pending.size < MAX_PENDING) {
      return;
    }
    // Now, not when it notices: of a burst, each would close the same one.
    this.#pending.delete(oldest);
    oldest.close();
  }

  /**
   * Accepts the next connection. Once the session has begun, a failure only costs a
   * pause: `undefined`.
   */
  async #accept(): Promise<PeerConnection | undefined> {
    try {
      return await this.#listener.accept();
    } catch (error) {
      const { session, needsNoConnection } = this.#live;
      if (!session.begun && !needsNoConnection) throw error;
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      return undefined;
    }
  }

  /**
   * Receives one connection: refuses somebody else's; the peer's takes the place of
   * its last one.
   */
  async #receive(connection: PeerConnection): Promise<void> {
    this.#pending.add(connection);
    const identified = await this.#identify(connection);
    const live = this.#live;
    const { session } = live;
    let refusal = identified && session.handshake.refusal(...identified);
    while (identified && !refusal && live.connection !== undefined) {
      await live.connection.stop();
      refusal = session.handshake.refusal(...identified);
    }
    // From here on nothing else may run before the session is attached.
    if (refusal !== undefined) {
      await this.#refuse(connection, refusal, "its token is wrong");
    }
    const isOpen = this.#pending.delete(connection);
    if (!identified || refusal || !isOpen || live.needsNoConnection) {
      return connection.close();
    }
    const [preface, context] = identified;
    session.attach(preface, performance.now(), context);
    this.#resumeTimer?.[Symbol.dispose]();
    await live.run(connection, session.preface());
    if (live.needsNoConnection) this.#ended.resolve();
    else if (!session.connected) this.#startResumeTimer();
  }

  /**
   * Reads the preface of a connection; where a token is wanted, the one that proves
   * it, which comes second.
   *
   * @returns `undefined` when it is not the peer's; it has been refused, or has
   * gone.
   */
  async #identify(connection: PeerConnection): Promise<Identified | undefined> {
    const { handshake } = this.#live.session;
    const preface = await this.#prefaceOf(connection);
    if (preface === undefined || !handshake.hasToken) {
      return preface && [preface];
    }
    const { listenerKey } = connection;
    const refusal = handshake.refusal(preface, { listenerKey });
    if (refusal !== undefined) {
      await this.#refuse(connection, refusal, "it has no token");
      return undefined;
    }
    const nonce = newNonce();
    await ignoreBroken(connection.sink.write(handshake.challenge(nonce)));
    const proven = await this.#prefaceOf(connection);
    return proven && [proven, { nonce, listenerKey }];
  }

  async #prefaceOf(connection: PeerConnection): Promise<Preface | undefined> {
    const { session, runSignal } = this.#live;
    try {
      const preface = await readPreface(connection, runSignal);
      return typeof preface === "string" ? undefined : preface;
    } catch (error) {
      if (!(error instanceof DamagedError)) return undefined;
      // With a token, only who has proven to know it is the peer.
      if (!session.begun && !session.handshake.hasToken) throw error;
      if (session.handshake.hasToken) {
        this.#reportRefused(connection, "it speaks something else");
      }
      return undefined;
    }
  }

  async #refuse(
    connection: PeerConnection,
    { reason, bytes }: Refusal,
    aboutToken: string,
  ): Promise<void> {
    if (reason === ABORT_CODE.refused) {
      this.#reportRefused(connection, `${aboutToken} (--token-file)`);
    }
    await ignoreBroken(connection.sink.write(bytes));
    await ignoreBroken(connection.sink.end());
    connection.close();
  }

  #reportRefused({ peer }: PeerConnection, reason: string): void {
    const { report } = this.#live;
    report.say({ event: "handshake-failed", peer, reason });
  }

  /** Ends the session when the peer has not come back by `giveUpAt`. */
  #startResumeTimer(): void {
    const { session } = this.#live;
    this.#resumeTimer = callAfter(session.giveUpAt - performance.now(), () => {
      try {
        session.giveUp();
        this.#ended.resolve();
      } catch (error) {
        this.#ended.reject(error);
      }
    });
  }
}

/**
 * The preface of a connection, and the values that its proof is checked with, if it
 * has one.
 */
type Identified = readonly [preface: Preface, context?: ProofContext];

/** Waits for a write; that the peer has left is no error here. */
async function ignoreBroken(writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (error) {
    if (!(error instanceof BrokenError)) throw error;
  }
}
