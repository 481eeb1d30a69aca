/** The connecting side of a session: it dials, and dials again. */

import { claim, Deadline } from "../base/deadline.ts";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  HandshakeCutError,
  HandshakeTimeoutError,
  RefusedError,
  SockpipeError,
  TimeLimitError,
} from "../base/errors.ts";
import { formatDuration } from "../base/units.ts";
import {
  type PeerConnection,
  PREFACE_LIMIT_MS,
  readPreface,
} from "./frame_connection.ts";
import type { LiveSession } from "./live_session.ts";
import type { Session } from "./session.ts";
import { newNonce } from "./token.ts";

/** A dialer of the peer, with the retry options of the user. */
export interface PeerDialer {
  readonly role: "connect";
  /** Attempts after the first; `undefined` is no limit. */
  readonly retries: number | undefined;
  /** The longest time for all attempts together, in ms. */
  readonly timeoutMs: number | undefined;
  /**
   * Dials, as the retry options say.
   *
   * @param limits.timeoutMs The most that it may take, when resuming.
   * @param limits.once Try only once.
   * @returns A connection, the caller's to close, also when it comes too late.
   */
  dial(
    limits: { timeoutMs?: number; once?: boolean },
  ): Promise<PeerConnection>;
  /**
   * Reports that an attempt failed, and waits before the next.
   *
   * @param options.attempt The number of attempts so far, 1 or more.
   * @param options.mostMs The longest wait, in ms.
   */
  pause(
    reason: string,
    options: { attempt: number; mostMs?: number },
  ): Promise<void>;
}

/**
 * Connects, again and again, until the session has ended, or both streams are
 * confirmed and the peer is gone.
 *
 * @throws {TimeLimitError} No connection for `--resume-timeout`, or `--retry-timeout`.
 * @throws {DamagedError} The peer does not speak this, or not this session.
 * @throws {RefusedError} The token of either side is missing or wrong.
 * @throws What `dialer.dial` and {@linkcode LiveSession.run} throw.
 */
export async function runInitiator(
  dialer: PeerDialer,
  live: LiveSession,
): Promise<void> {
  const initiator = new Initiator(dialer, live);
  let connection: PeerConnection | undefined = await initiator.dialFirst();
  let idleConnections = 0;
  while (connection !== undefined) {
    const before = progress(live.session);
    await live.run(connection);
    if (live.needsNoConnection) return;
    idleConnections = progress(live.session) === before
      ? idleConnections + 1
      : 0;
    connection = await initiator.dialAgain(idleConnections);
  }
}

/** Gets the connections of one session, one after another. */
class Initiator {
  readonly #dialer: PeerDialer;
  readonly #live: LiveSession;

  constructor(dialer: PeerDialer, live: LiveSession) {
    this.#dialer = dialer;
    this.#live = live;
  }

  /**
   * Dials until the peer has answered. A connection that ends, or stays silent,
   * before a byte of an answer is a failed attempt: it may lead through something
   * that accepts before the peer is there (a tunnel, a proxy).
   */
  async dialFirst(): Promise<PeerConnection> {
    const until = this.#retryUntil();
    for (let attempt = 1;; attempt++) {
      const timeoutMs = Math.max(0, Math.ceil(until - performance.now()));
      try {
        return await this.#attempt(
          timeoutMs === Infinity ? {} : { timeoutMs },
          until,
        );
      } catch (error) {
        if (performance.now() >= until && error instanceof BrokenError) {
          throw this.#retryLimitError("Cannot begin a session: no answer");
        }
        if (!(error instanceof NoAnswerError)) throw error;
        if (attempt > (this.#dialer.retries ?? Infinity)) throw error.final();
        const mostMs = until - performance.now();
        await this.#dialer.pause(error.reason, { attempt, mostMs });
      }
    }
  }

  /**
   * Dials until the peer has answered in this session. The first attempt is made at
   * once, unless connections break as fast as they come. A connection that breaks
   * before the answer counts as an attempt.
   *
   * @param failures The number of connections in a row, before this one, that moved
   * nothing.
   * @returns `undefined` when both streams are confirmed and the peer is gone, or
   * does not come back.
   */
  async dialAgain(failures: number): Promise<PeerConnection | undefined> {
    const { session, runSignal } = this.#live;
    const retryUntil = this.#retryUntil();
    for (let broken = 0;; failures++) {
      const until = Math.min(session.giveUpAt, retryUntil);
      if (failures > 1) {
        const mostMs = until - performance.now();
        const attempt = failures - 1;
        await this.#dialer.pause("the connection broke", { attempt, mostMs });
      }
      // So that it is not over before its time.
      const timeoutMs = Math.ceil(until - performance.now()) + 1;
      try {
        if (timeoutMs <= 1) return this.#giveUp();
        return await this.#attempt(
          { timeoutMs, once: session.isDelivered },
          until,
        );
      } catch (error) {
        if (runSignal.aborted) throw error;
        if (session.isDelivered && isGone(error)) return undefined;
        if (performance.now() >= until) return this.#giveUp();
        if (session.isDelivered) continue;
        const isLast = ++broken > (this.#dialer.retries ?? Infinity);
        if (error instanceof NoAnswerError && !isLast) continue;
        throw resumeError(error, session);
      }
    }
  }

  /**
   * Dials and exchanges prefaces, until `until` at the latest.
   *
   * @throws {NoAnswerError} The connection ended, or time was up, before the answer.
   * @throws What `session.attach` throws: the peer does not fit, or refuses.
   */
  async #attempt(
    limits: { timeoutMs?: number; once?: boolean },
    until: number,
  ): Promise<PeerConnection> {
    using deadline = new Deadline(
      this.#live.runSignal,
      until - performance.now(),
      () => new BrokenError("The time for all attempts is over"),
    );
    const { signal } = deadline;
    const connection = await claim(this.#dial(limits), signal);
    let answered = false;
    try {
      await exchangePrefaces(connection, this.#live.session, signal);
      answered = true;
    } catch (error) {
      if (!(error instanceof BrokenError) || error instanceof NoAnswerError) {
        throw error;
      }
      throw new NoAnswerError(connection.peer, "connection reset", error);
    } finally {
      if (!answered) connection.close();
    }
    return connection;
  }

  /**
   * Dials. A handshake that broke off or took too long is thrown as NoAnswerError,
   * so that it is tried again.
   */
  async #dial(
    limits: { timeoutMs?: number; once?: boolean },
  ): Promise<PeerConnection> {
    try {
      return await this.#dialer.dial(limits);
    } catch (error) {
      if (error instanceof HandshakeCutError) {
        throw new NoAnswerError("", "the TLS handshake broke off", error);
      }
      if (error instanceof HandshakeTimeoutError) {
        throw new NoAnswerError("", "the TLS handshake took too long", error);
      }
      throw error;
    }
  }

  #retryUntil(): number {
    return performance.now() + (this.#dialer.timeoutMs ?? Infinity);
  }

  /** @throws {TimeLimitError} Not everything is confirmed. */
  #giveUp(): undefined {
    const { session } = this.#live;
    const { timeoutMs } = this.#dialer;
    if (timeoutMs === undefined || performance.now() >= session.giveUpAt) {
      session.giveUp();
    } else if (!session.isDelivered) {
      const text = "Cannot resume the session: no connection";
      throw this.#retryLimitError(text, `; ${session}`);
    }
  }

  #retryLimitError(what: string, more = ""): TimeLimitError {
    const limit = formatDuration(this.#dialer.timeoutMs ?? 0);
    return new TimeLimitError(
      `${what} within ${limit} (--retry-timeout)${more}`,
    );
  }
}

/** A connection that ended, or stayed silent, before its peer's preface. */
class NoAnswerError extends BrokenError {
  readonly #peer: string;
  readonly reason: string;

  constructor(peer: string, reason: string, cause?: Error) {
    const text = `Cannot begin a session with "${peer}": ${reason}`;
    super(cause?.message ?? text, { cause });
    this.#peer = peer;
    this.reason = reason;
  }

  /** Makes the error for the user, when no attempt is left. */
  final(): SockpipeError {
    const { cause } = this;
    if (cause instanceof RefusedError || cause instanceof TimeLimitError) {
      return cause;
    }
    if (cause !== undefined) return new ConnectError(this.message, { cause });
    return new DamagedError(
      `Cannot begin a session with "${this.#peer}": ${this.reason}; ` +
        "the other side must be sockpipe with --reliable, too",
    );
  }
}

/**
 * Exchanges prefaces and attaches the session to the connection.
 *
 * @throws {NoAnswerError} The connection ended, or time was up, before the answer.
 * @throws {BrokenError} The connection broke.
 * @throws What `session.attach` throws.
 */
async function exchangePrefaces(
  connection: PeerConnection,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const { handshake } = session;
  const answer = async () => {
    const preface = await readPreface(connection, signal);
    if (typeof preface !== "string") return preface;
    const reason = preface === "late"
      ? `no answer within ${formatDuration(PREFACE_LIMIT_MS)}`
      : "it closed the connection";
    throw new NoAnswerError(connection.peer, reason);
  };
  const { listenerKey } = connection;
  await connection.sink.write(session.preface(listenerKey));
  let preface = await answer();
  let nonce: Uint8Array | undefined;
  if (handshake.hasToken) {
    nonce = newNonce();
    const proven = handshake.answer(preface, nonce, listenerKey);
    await connection.sink.write(proven);
    preface = await answer();
  }
  session.attach(preface, performance.now(), {
    listenerKey,
    ...nonce === undefined ? {} : { nonce },
  });
}

function progress({ outgoing, incoming }: Session): number {
  return outgoing.confirmedBytes + incoming.deliveredBytes;
}

/**
 * Whether the peer's process is gone for good: nobody listens, or somebody else
 * does (`docs/protocol.md` section 7, "Linger").
 */
function isGone(error: unknown): boolean {
  if (error instanceof DamagedError || error instanceof RefusedError) {
    return true;
  }
  if (!(error instanceof ConnectError)) return false;
  const { cause } = error;
  return cause === undefined ||
    cause instanceof Deno.errors.ConnectionRefused ||
    cause instanceof Deno.errors.NotFound;
}

/** Adds what is known to be there to the error that ends a session. */
function resumeError(error: unknown, session: Session): unknown {
  if (!(error instanceof SockpipeError)) return error;
  const text = `${error.message}; ${session}`;
  if (error instanceof TimeLimitError) {
    return new TimeLimitError(text, { cause: error });
  }
  return error instanceof ConnectError || error instanceof BrokenError
    ? new ConnectError(text, { cause: error })
    : error;
}
