/** The listening side of a session: it takes its own peer back, and nobody else. */

import { BrokenError, DamagedError, TimeLimitError } from "../base/errors.ts";
import { type PeerConnection, readPreface } from "./frame_connection.ts";
import { ABORT_CODE } from "./abort_codes.ts";
import type { Refusal } from "./handshake.ts";
import type { LiveSession } from "./live_session.ts";
import type { Preface } from "./preface.ts";
import { newNonce, type ProofContext } from "./token.ts";
import { after } from "./wakeup.ts";
import { formatDuration } from "../base/units.ts";

/**
 * How many connections may be without a preface at one time. One more takes the
 * place of the oldest of them.
 */
const MAX_UNIDENTIFIED = 64;
/** The pause after the system could not accept a connection. */
const ACCEPT_PAUSE_MS = 100;

/** The place where the peer comes. */
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
 * @throws {DamagedError} The first who came does not speak this.
 * @throws What `listener.accept` and {@linkcode LiveSession.run} throw.
 */
export async function runAcceptor(
  listener: PeerListener,
  live: LiveSession,
): Promise<void> {
  const { acceptTimeoutMs } = listener;
  const acceptor = new Acceptor(listener, live);
  using _limit = after(acceptTimeoutMs, () => {
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
  /** Connections without a preface, the oldest first. */
  readonly #unidentified = new Set<PeerConnection>();
  #giveUp: Disposable | undefined;

  constructor(listener: PeerListener, live: LiveSession) {
    this.#listener = listener;
    this.#live = live;
  }

  /** Accepts until the session has ended, or fails. */
  async run(): Promise<void> {
    this.#acceptOn().catch(this.#ended.reject);
    try {
      await this.#ended.promise;
    } finally {
      this.#giveUp?.[Symbol.dispose]();
    }
  }

  fail(error: Error): void {
    this.#ended.reject(error);
  }

  async #acceptOn(): Promise<void> {
    while (!this.#live.ended) {
      const connection = await this.#accept();
      if (connection === undefined) continue;
      if (this.#live.ended) return connection.close();
      this.#makeRoom();
      this.#receive(connection).catch(this.#ended.reject);
    }
  }

  /** Closes the oldest connection without a preface if there are too many. */
  #makeRoom(): void {
    const [oldest] = this.#unidentified;
    if (oldest === undefined || this.#unidentified.size < MAX_UNIDENTIFIED) {
      return;
    }
    // Now, not when it notices: of a burst, each would close the same one.
    this.#unidentified.delete(oldest);
    oldest.close();
  }

  /** Accepts; a system that is short of something must not end a session. */
  async #accept(): Promise<PeerConnection | undefined> {
    try {
      return await this.#listener.accept();
    } catch (error) {
      const { session, ended } = this.#live;
      if (!session.begun && !ended) throw error;
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      return undefined;
    }
  }

  /** Refuses others; the peer's connection takes the place of its last one. */
  async #receive(connection: PeerConnection): Promise<void> {
    this.#unidentified.add(connection);
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
    const isOpen = this.#unidentified.delete(connection);
    if (!identified || refusal || !isOpen || live.ended) {
      return connection.close();
    }
    const [preface, context] = identified;
    session.attach(preface, performance.now(), context);
    this.#giveUp?.[Symbol.dispose]();
    await live.run(connection, session.preface());
    if (live.ended) this.#ended.resolve();
    else if (!session.connected) this.#limitAbsence();
  }

  /**
   * Reads the preface of a connection; where a token is wanted, the one that proves
   * it, which comes second.
   *
   * @returns `undefined` for somebody else, who does not disturb.
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
    await unlessGone(connection.sink.write(handshake.challenge(nonce)));
    const proven = await this.#prefaceOf(connection);
    return proven && [proven, { nonce, listenerKey }];
  }

  async #prefaceOf(connection: PeerConnection): Promise<Preface | undefined> {
    const { session, over } = this.#live;
    try {
      const preface = await readPreface(connection, over);
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
    await unlessGone(connection.sink.write(bytes));
    await unlessGone(connection.sink.end());
    connection.close();
  }

  #reportRefused({ peer }: PeerConnection, reason: string): void {
    const { report } = this.#live;
    report.say({ event: "handshake-failed", peer, reason });
  }

  #limitAbsence(): void {
    const { session } = this.#live;
    this.#giveUp = after(session.giveUpAt - performance.now(), () => {
      try {
        session.giveUp();
        this.#ended.resolve();
      } catch (error) {
        this.#ended.reject(error);
      }
    });
  }
}

/** The preface of a connection, and what its proof is checked with, if it has one. */
type Identified = readonly [preface: Preface, context?: ProofContext];

/** Waits for a write to somebody who may have gone. */
async function unlessGone(writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (error) {
    if (!(error instanceof BrokenError)) throw error;
  }
}
