/** How the connecting side of a session gets its connections: it dials, again. */

import type { Conversation } from "./live_session.ts";
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

/** How the connecting side reaches its peer. */
export interface Dialling {
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
 * @throws What `dialling.dial` and the conversation throw.
 */
export async function dialOn(
  dialling: Dialling,
  conversation: Conversation,
): Promise<void> {
  let connection: PeerConnection | undefined = await callFirst(
    dialling,
    conversation,
  );
  let fruitless = 0;
  while (connection !== undefined) {
    const before = progress(conversation);
    await conversation.hold(connection);
    if (conversation.ended) return;
    fruitless = progress(conversation) === before ? fruitless + 1 : 0;
    connection = await callAgain(dialling, conversation, fruitless);
  }
}

/** Until the peer has answered: a connection that is reset counts as refused. */
async function callFirst(
  dialling: Dialling,
  conversation: Conversation,
): Promise<PeerConnection> {
  for (let resets = 0;; resets++) {
    const connection = await dialling.dial({});
    const { peer } = connection;
    let outcome: string;
    try {
      outcome = await greet(connection, conversation);
    } catch (error) {
      if (!(error instanceof BrokenError)) throw error;
      if (resets >= (dialling.retries ?? Infinity)) {
        throw new ConnectError(error.message, { cause: error });
      }
      await dialling.pause("connection reset", { attempt: resets + 1 });
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
 * Until the peer has answered in this session. The first attempt is made at once,
 * unless connections break as fast as they come. A connection that breaks before
 * the answer counts as an attempt.
 *
 * @returns `undefined` when everything is done and the peer is gone, or does not
 * come back.
 */
async function callAgain(
  dialling: Dialling,
  conversation: Conversation,
  fruitless: number,
): Promise<PeerConnection | undefined> {
  const { session } = conversation;
  const retryUntil = performance.now() + (dialling.timeoutMs ?? Infinity);
  let broken = 0;
  for (let failures = fruitless;; failures++) {
    const until = Math.min(session.giveUpAt, retryUntil);
    if (failures > 1) {
      const mostMs = until - performance.now();
      const attempt = failures - 1;
      await dialling.pause("the connection broke", { attempt, mostMs });
    }
    // So that it is not over before its time.
    const timeoutMs = Math.ceil(until - performance.now()) + 1;
    try {
      if (timeoutMs <= 1) return giveUp(dialling, conversation);
      const once = session.done;
      const connection = await dialling.dial({ timeoutMs, once });
      if (await greet(connection, conversation) === "met") return connection;
    } catch (error) {
      if (conversation.over.aborted) throw error;
      if (session.done && isGone(error)) return undefined;
      if (session.done) continue;
      if (performance.now() >= until) return giveUp(dialling, conversation);
      const isLast = ++broken > (dialling.retries ?? Infinity);
      if (error instanceof BrokenError && !isLast) continue;
      throw resumeError(error, conversation);
    }
  }
}

/**
 * Exchanges prefaces. The connection is closed unless the outcome is `"met"`.
 *
 * @throws {BrokenError} The connection broke.
 * @throws What `session.attach` throws: the peer does not fit, or refuses.
 */
async function greet(
  connection: PeerConnection,
  { session, over }: Conversation,
): Promise<"met" | "ended" | "late"> {
  let met = false;
  try {
    await connection.sink.write(session.preface());
    let preface = await readPreface(connection, over);
    let nonce: Uint8Array | undefined;
    if (session.hasToken && typeof preface !== "string") {
      nonce = newNonce();
      await connection.sink.write(session.answer(preface, nonce));
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

function progress({ session }: Conversation): number {
  return session.confirmedBytes + session.deliveredBytes;
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
function giveUp({ timeoutMs }: Dialling, { session }: Conversation): undefined {
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

/** Why a session that is not done cannot go on, with what is known to be there. */
function resumeError(error: unknown, { session }: Conversation): unknown {
  if (!(error instanceof SockpipeError)) return error;
  const text = `${error.message}; ${session}`;
  if (error instanceof TimeLimitError) {
    return new TimeLimitError(text, { cause: error });
  }
  return error instanceof ConnectError || error instanceof BrokenError
    ? new ConnectError(text, { cause: error })
    : error;
}
