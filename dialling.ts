/** How the connecting side of a session gets its connections: it dials, again. */

import type { Conversation } from "./conversation.ts";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  SockpipeError,
  TimeLimitError,
} from "./errors.ts";
import { type PeerConnection, readPreface } from "./link.ts";

/** How the connecting side reaches its peer. */
export interface Dialling {
  readonly role: "connect";
  /** Attempts after the first; `undefined` is no limit. */
  readonly retries: number | undefined;
  /**
   * Dials, as the retry options say.
   *
   * @param limits.timeoutMs The most that it may take, when resuming.
   * @param limits.once Try only once.
   */
  dial(
    limits: { timeoutMs?: number; once?: boolean },
  ): Promise<PeerConnection>;
  /** Says that an attempt failed, and waits before the next. */
  pause(reason: string): Promise<void>;
}

/**
 * Dials until the session has ended, or is done and the peer is gone.
 *
 * @throws {TimeLimitError} No connection for `--resume-timeout`.
 * @throws {DamagedError} The peer does not speak this, or not this session.
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
      await dialling.pause("connection reset");
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
 * unless connections break as fast as they come.
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
  for (let failures = fruitless;; failures++) {
    if (failures > 1) await dialling.pause("the connection broke");
    const timeoutMs = session.giveUpAt - performance.now();
    try {
      if (timeoutMs <= 0) {
        session.giveUp();
        return undefined;
      }
      const once = session.done;
      const connection = await dialling.dial({ timeoutMs, once });
      if (await greet(connection, conversation) === "met") return connection;
    } catch (error) {
      if (conversation.over.aborted) throw error;
      if (session.done && isGone(error)) return undefined;
      if (error instanceof BrokenError) continue;
      if (!session.done) throw resumeError(error, conversation);
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
    const preface = await readPreface(connection, over);
    if (typeof preface === "string") return preface;
    session.attach(preface, performance.now());
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
  if (error instanceof DamagedError) return true;
  if (!(error instanceof ConnectError)) return false;
  const { cause } = error;
  return cause === undefined ||
    cause instanceof Deno.errors.ConnectionRefused ||
    cause instanceof Deno.errors.NotFound;
}

/** Why a session that is not done cannot go on, with what is known to be there. */
function resumeError(error: unknown, { session }: Conversation): unknown {
  if (!(error instanceof SockpipeError)) return error;
  try {
    if (error instanceof TimeLimitError) session.giveUp();
  } catch (limit) {
    return limit;
  }
  return error instanceof ConnectError
    ? new ConnectError(`${error.message}; ${session}`, { cause: error })
    : error;
}
