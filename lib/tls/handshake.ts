/** The handshake, within its limits, and the socket that comes of it. */

import { abortable } from "@std/async/abortable";
import { Deadline } from "../base/deadline.ts";
import {
  codeOf,
  HandshakeCutError,
  HandshakeTimeoutError,
  isBrokenPipe,
  RefusedError,
} from "../base/errors.ts";
import { formatDuration } from "../base/units.ts";
import type { Socket } from "../net/socket.ts";
import type { Reporter } from "../report/reporter.ts";
import {
  handshakeReason,
  speaksTls,
  streamError,
  type TlsContext,
} from "./reasons.ts";
import type { TlsStream } from "./tls.ts";

/** The limit on the handshake of a client, in ms, all that proves it included. */
export const CLIENT_HANDSHAKE_MS = 10_000;

export interface TlsHandshakeOptions {
  /** Its abort ends the handshake, which rejects with its reason. */
  readonly signal: AbortSignal;
  readonly limitMs: number;
  /** The end of the message when time is over: ` (--connect-timeout)`, or nothing. */
  readonly limitHint: string;
  /** The peer's address, for messages. */
  readonly peer: string;
  readonly context: TlsContext;
  /** Told the version, where the library of the stream tells it. */
  readonly report?: Pick<Reporter, "say"> | undefined;
  /**
   * Verifies the peer after the handshake, before data moves; what it throws is
   * taken for a refusal.
   */
  readonly verifyPeer?: ((stream: TlsStream) => Promise<void>) | undefined;
}

/**
 * Does the handshake and verifies the peer.
 *
 * @param stream Is the returned socket's from now on; closed when this rejects.
 * @throws {RefusedError | HandshakeTimeoutError} The message is the reason alone.
 * @throws `signal.reason`.
 */
export async function handshake(
  stream: TlsStream,
  options: TlsHandshakeOptions,
): Promise<Socket> {
  const { signal, limitMs, limitHint, peer, context, report } = options;
  using deadline = new Deadline(signal, limitMs, () => {
    const limit = formatDuration(limitMs);
    return new HandshakeTimeoutError(
      `the handshake took longer than ${limit}${limitHint}`,
    );
  });
  try {
    await abortable(handshakeAndVerify(stream, options), deadline.signal);
    const { version } = stream;
    if (version !== undefined) report?.say({ event: "secured", peer, version });
    return new TlsSocket(stream, peer, context);
  } catch (error) {
    stream.abort();
    throw error;
  }
}

/** The options of the connecting side's handshake. */
export type ClientHandshakeOptions = Omit<TlsHandshakeOptions, "limitHint">;

/**
 * Starts TLS and does the handshake with a server; failures are told in a sentence.
 *
 * @param start Starts TLS; its failure is one of the handshake.
 * @throws {RefusedError | TimeLimitError} See {@linkcode handshake}.
 * @throws `signal.reason`.
 */
export async function handshakeAsClient(
  start: () => TlsStream | Promise<TlsStream>,
  options: ClientHandshakeOptions,
): Promise<Socket> {
  const limitHint = " (--connect-timeout)";
  try {
    const stream = await started(start, options);
    return await handshake(stream, { ...options, limitHint });
  } catch (error) {
    if (options.signal.aborted || !(error instanceof Error)) throw error;
    const text = `Cannot set up TLS with "${options.peer}": ${error.message}`;
    const kinds = [HandshakeTimeoutError, HandshakeCutError];
    const Kind = kinds.find((kind) => error instanceof kind) ?? RefusedError;
    throw new Kind(text, { cause: error });
  }
}

/** Starts TLS on a socket that may have lost its connection. */
async function started(
  start: () => TlsStream | Promise<TlsStream>,
  { context }: ClientHandshakeOptions,
): Promise<TlsStream> {
  try {
    return await start();
  } catch (error) {
    throw handshakeError(error, context);
  }
}

function handshakeError(error: unknown, context: TlsContext): RefusedError {
  const reason = handshakeReason(error, context);
  const Kind = isCut(error) ? HandshakeCutError : RefusedError;
  return new Kind(reason, { cause: error });
}

async function handshakeAndVerify(
  stream: TlsStream,
  { context, verifyPeer }: TlsHandshakeOptions,
): Promise<void> {
  try {
    await stream.handshake();
  } catch (error) {
    // Whoever does not speak TLS would take our alert and end for an answer.
    if (speaksTls(error)) await stream.refuse();
    throw handshakeError(error, context);
  }
  await verifyPeer?.(stream).catch((error) => {
    throw handshakeError(error, context);
  });
}

/** Whether it is the connection that broke, and not the peer that was found wrong. */
function isCut(error: unknown): boolean {
  return error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.NotConnected ||
    codeOf(error) === "ECONNRESET" || isBrokenPipe(error);
}

/** A TLS stream after its handshake; its errors say what they mean. */
class TlsSocket implements Socket {
  readonly closeSaysEnd: boolean;
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #stream: TlsStream;
  readonly #peer: string;
  readonly #context: TlsContext;
  #isEnded = false;

  constructor(
    stream: TlsStream,
    peer: string,
    context: TlsContext,
  ) {
    this.closeSaysEnd = stream.closeSaysEnd ?? false;
    this.localAddr = stream.localAddr;
    this.remoteAddr = stream.remoteAddr;
    this.#stream = stream;
    this.#peer = peer;
    this.#context = context;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#explained(this.#stream.read(into));
  }

  async write(bytes: Uint8Array): Promise<number> {
    // As a TCP socket says it, so that nobody takes it for a reset.
    if (this.#isEnded) throw new Deno.errors.BrokenPipe("broken pipe");
    return await this.#explained(this.#stream.write(bytes));
  }

  closeWrite(): Promise<void> {
    this.#isEnded = true;
    return this.#explained(this.#stream.closeWrite());
  }

  async #explained<T>(result: Promise<T>): Promise<T> {
    try {
      return await result;
    } catch (error) {
      throw streamError(error, this.#peer, this.#context);
    }
  }

  close(): void {
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
