/** The connecting side of a session: it dials, and dials again. */

import type { LiveSession } from "./live_session.ts";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  RefusedError,
  SockpipeError,
  TimeLimitError,
} from "../base/errors.ts";
import { type PeerConnection, readPreface } from "./frame_connection.ts";
import { newNonce } from "./token.ts";
import { formatDuration } from "../base/units.ts";

/** The way to the peer, with the retry options of the user. */
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
   */
  dial(
    limits: { timeoutMs?: number; once?: boolean },
  ): Promise<PeerConnection>;
  /**
   * Says that an attempt failed, and waits before the next.
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
 * Dials until the session has ended, or is done and the peer is gone.
 *
 * @throws {TimeLimitError} No connection for `--resume-timeout`.
 * @throws {DamagedError} The peer does not speak this, or not this session.
 * @throws {RefusedError} The token of either side is missing or wrong.
 * @throws What `dialer.dial` and {@linkcode LiveSession.run} throw.
 */
export async function runInitiator(
  dialer: PeerDialer,
  live: LiveSession,
): Promise<void> {
  let connection: PeerConnection | undefined = await dialFirst(
    dialer,
    live,
  );
  let fruitless = 0;
  while (connection !== undefined) {
    const before = progress(live);
    await live.run(connection);
    if (live.ended) return;
    fruitless = progress(live) === before ? fruitless + 1 : 0;
    connection = await dialAgain(dialer, live, fruitless);
  }
}

/** Dials until the peer has answered; a connection that is reset counts as refused. */
async function dialFirst(
  dialer: PeerDialer,
  live: LiveSession,
): Promise<PeerConnection> {
  for (let resets = 0;; resets++) {
    const connection = await dialer.dial({});
    const { peer } = connection;
    let outcome: "met" | "ended" | "late";
    try {
      outcome = await exchangePrefaces(connection, live);
    } catch (error) {
      if (!(error instanceof BrokenError)) throw error;
      if (resets >= (dialer.retries ?? Infinity)) {
        throw new ConnectError(error.message, { cause: error });
      }
      await dialer.pause("connection reset", { attempt: resets + 1 });
      continue;
    }
    if (outcome === "met") return connection;
    const what = outcome === "late"
      ? "no answer within 10s"
      : "it closed the connection";
    throw new DamagedError(
      `Cannot begin a session with "${peer}": ${what}; ` +
        "the other side must be sockpipe with --reliable, too",
    );
  }
}

/**
 * Dials until the peer has answered in this session. The first attempt is made at once,
 * unless connections break as fast as they come. A connection that breaks before
 * the answer counts as an attempt.
 *
 * @returns `undefined` when everything is done and the peer is gone, or does not
 * come back.
 */
async function dialAgain(
  dialer: PeerDialer,
  live: LiveSession,
  fruitless: number,
): Promise<PeerConnection | undefined> {
  const { session } = live;
  const retryUntil = performance.now() + (dialer.timeoutMs ?? Infinity);
  let broken = 0;
  for (let failures = fruitless;; failures++) {
    const until = Math.min(session.giveUpAt, retryUntil);
    if (failures > 1) {
      const mostMs = until - performance.now();
      const attempt = failures - 1;
      await dialer.pause("the connection broke", { attempt, mostMs });
    }
    // So that it is not over before its time.
    const timeoutMs = Math.ceil(until - performance.now()) + 1;
    try {
      if (timeoutMs <= 1) return giveUp(dialer, live);
      const once = session.done;
      const connection = await dialer.dial({ timeoutMs, once });
      if (await exchangePrefaces(connection, live) === "met") return connection;
    } catch (error) {
      if (live.over.aborted) throw error;
      if (session.done && isGone(error)) return undefined;
      if (session.done) continue;
      if (performance.now() >= until) return giveUp(dialer, live);
      const isLast = ++broken > (dialer.retries ?? Infinity);
      if (error instanceof BrokenError && !isLast) continue;
      throw resumeError(error, live);
    }
  }
}

/**
 * Exchanges prefaces. The connection is closed unless the outcome is `"met"`.
 *
 * @throws {BrokenError} The connection broke.
 * @throws What `session.attach` throws: the peer does not fit, or refuses.
 */
async function exchangePrefaces(
  connection: PeerConnection,
  { session, over }: LiveSession,
): Promise<"met" | "ended" | "late"> {
  let met = false;
  try {
    await connection.sink.write(session.preface());
    let preface = await readPreface(connection, over);
    let nonce: Uint8Array | undefined;
    if (session.handshake.hasToken && typeof preface !== "string") {
      nonce = newNonce();
      await connection.sink.write(session.handshake.answer(preface, nonce));
      preface = await readPreface(connection, over);
    }
    if (typeof preface === "string") return preface;
    session.attach(preface, performance.now(), nonce);
    met = true;
    return "met";
  } finally {
    if (!met) connection.close();
  }
}

function progress({ session }: LiveSession): number {
  return session.outgoing.confirmedBytes + session.incoming.deliveredBytes;
}

/**
 * Whether the peer's process is gone for good: nobody listens, or somebody else
 * does (docs/protocol.md section 7, "Linger").
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

/** @throws {TimeLimitError} Not everything is done. */
function giveUp(
  { timeoutMs }: PeerDialer,
  { session }: LiveSession,
): undefined {
  if (timeoutMs === undefined || performance.now() >= session.giveUpAt) {
    session.giveUp();
  } else if (!session.done) {
    throw new TimeLimitError(
      `Cannot resume the session: no connection within ${
        formatDuration(timeoutMs)
      } (--retry-timeout); ${session}`,
    );
  }
}

/** Adds what is known to be there to the error that ends a session. */
function resumeError(error: unknown, { session }: LiveSession): unknown {
  if (!(error instanceof SockpipeError)) return error;
  const text = `${error.message}; ${session}`;
  if (error instanceof TimeLimitError) {
    return new TimeLimitError(text, { cause: error });
  }
  return error instanceof ConnectError || error instanceof BrokenError
    ? new ConnectError(text, { cause: error })
    : error;
}
