/**
 * `--reliable`: our end of the pipe joined to a peer over as many connections as
 * it takes. `session.ts` has the state, `wire.ts` and `preface.ts` the bytes,
 * `docs/protocol.md` the rules; from here on there are loops, a clock and sockets.
 *
 *     stdin → LocalStreams → Session → FrameConnection → connection
 *     stdout ← LocalStreams ← Session ← FrameConnection ← connection
 *
 * `local_streams.ts` lives as long as the session, `frame_connection.ts` as long as
 * one connection. `initiator.ts` and `acceptor.ts` get the connections.
 */

import { LiveSession, type PeerAddresses } from "./live_session.ts";
import { LocalStreams, type LocalStreamsOptions } from "./local_streams.ts";
import { onAbort } from "../base/deadline.ts";
import { type PeerDialer, runInitiator } from "./initiator.ts";
import { idleDeadline, type LocalEnd } from "../pipe/pipe.ts";
import { abortCodeOf, abortTextOf } from "./abort_codes.ts";
import { type PeerListener, runAcceptor } from "./acceptor.ts";
import type { Reporter } from "../report/reporter.ts";
import { Session } from "./session.ts";
import type { ReliableSettings } from "./settings.ts";
import type { Traffic } from "../pipe/traffic.ts";

/** The source of connections: a dialer or a listener. */
export type PeerSource = PeerDialer | PeerListener;

/** The options of a session. */
export interface ReliableOptions extends
  Pick<
    ReliableSettings,
    "window" | "heartbeatMs" | "resumeTimeoutMs" | "digest"
  >,
  Pick<LocalStreamsOptions, "held" | "onPeerSize"> {
  /** The secret that both sides prove to know; nothing is proven if absent. */
  readonly token: Uint8Array | undefined;
  /** The longest time without a byte either way, in ms. */
  readonly idleTimeoutMs: number | undefined;
  /** Whether both sides have `--resume`. */
  readonly resumesFiles: boolean;
  /** Whether the SHA-256 of both streams is to be known in the end. */
  readonly hashes: boolean;
  /** The length of our own stream, in bytes, if it is known. */
  readonly size?: number | undefined;
}

/** A session whose streams are confirmed, and the peer that it was with. */
export interface SessionResult {
  readonly session: Session;
  /** The id of the session, 16 bytes: the same on both sides. */
  readonly id: Uint8Array;
  readonly role: "connect" | "listen";
  readonly addresses: PeerAddresses | undefined;
}

/** The surroundings of a session. */
export interface ReliableContext {
  /** Its abort ends the session on both sides; rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
  /** Counts what the session has taken from stdin and given to stdout. */
  readonly traffic: Traffic;
}

/**
 * Joins our end and the peer's until both streams have arrived whole and both
 * sides know it. Once that is certain nothing can turn it into a failure, an abort
 * of `signal` neither.
 *
 * The caller closes `local` and whatever `peers` uses to get connections; the
 * connections themselves are closed here.
 *
 * @returns The session, and the peer that it was with.
 * @throws {DamagedError} Something is damaged, or the peer does not speak this.
 * @throws {TimeLimitError} No connection for `resumeTimeoutMs`, no byte for
 * `idleTimeoutMs`, nobody came.
 * @throws {RefusedError} The token of either side is missing or wrong.
 * @throws {BrokenError} The peer ended the session for a failure of its own.
 * @throws What `local` and `peers` throw, and `signal.reason`.
 */
export async function runReliable(
  local: LocalEnd,
  peers: PeerSource,
  options: ReliableOptions,
  context: ReliableContext,
): Promise<SessionResult> {
  context.signal.throwIfAborted();
  const session = new Session({
    role: peers.role,
    ...(peers.role === "connect"
      ? { id: crypto.getRandomValues(new Uint8Array(16)) }
      : {}),
    window: options.window,
    patienceMs: options.heartbeatMs,
    resumeTimeoutMs: options.resumeTimeoutMs,
    digest: options.digest,
    token: options.token,
    resumesFiles: options.resumesFiles,
    held: options.held?.prefix,
    hashes: options.hashes,
  });
  const { waited } = context.traffic;
  session.hints.waited = () => waited.total(performance.now());
  session.hints.size = options.size;
  const driver = new SessionDriver(session, local, context, options);
  using _limits = driver.limit(options.idleTimeoutMs);
  const addresses = await driver.run(peers);
  return { session, id: session.handshake.id, role: peers.role, addresses };
}

/** Drives a session: the loops of our own end, and the end of the run. */
class SessionDriver {
  readonly #session: Session;
  readonly #context: ReliableContext;
  readonly #live: LiveSession;
  /** Aborted when the run is over, however it ended. */
  readonly #run = new AbortController();
  /** Rejects with the first failure of any loop. */
  readonly #failure = Promise.withResolvers<never>();
  readonly #streams: LocalStreams;

  constructor(
    session: Session,
    local: LocalEnd,
    context: ReliableContext,
    options: ReliableOptions,
  ) {
    this.#session = session;
    this.#context = context;
    this.#live = new LiveSession(session, {
      report: context.report,
      traffic: context.traffic,
      runSignal: this.#run.signal,
      onProgress: () => this.#streams.takeProgress(),
    });
    this.#streams = new LocalStreams(session, local, {
      ...context,
      ...options,
      wakeConnection: () => this.#live.connection?.wake(),
      fail: this.#failure.reject,
    });
    this.#failure.promise.catch(() => {});
    // They fail while nobody reads or writes: the peer may be silent for long.
    for (const failed of [local.sink.failed, local.failed]) {
      failed?.catch(this.#failure.reject);
    }
  }

  /** Lets the run fail when `signal` aborts or nothing moves for so long. */
  limit(idleTimeoutMs: number | undefined): Disposable {
    const { signal, traffic } = this.#context;
    const deadline = idleDeadline(signal, traffic, idleTimeoutMs);
    onAbort(
      deadline.signal,
      () => this.#failure.reject(deadline.signal.reason),
    );
    return deadline;
  }

  async run(peers: PeerSource): Promise<PeerAddresses | undefined> {
    this.#streams.start();
    const connections = peers.role === "connect"
      ? runInitiator(peers, this.#live)
      : runAcceptor(peers, this.#live);
    try {
      await Promise.race([connections, this.#failure.promise]);
    } catch (error) {
      await this.#endWithPeer(error);
      if (!this.#session.isDelivered) throw error;
    } finally {
      this.#run.abort();
      this.#live.connection?.close();
      connections.catch(() => {});
    }
    return this.#live.addresses;
  }

  /** Ends the session with the peer, which may still need a CONFIRM or an ABORT. */
  async #endWithPeer(error: unknown): Promise<void> {
    const { connection } = this.#live;
    if (this.#session.isDelivered) {
      await connection?.finish();
    } else {
      const abort = this.#session.abort(
        abortCodeOf(error),
        abortTextOf(error),
      );
      if (abort !== undefined) await connection?.sendAbort(abort);
    }
  }
}
