/**
 * `--reliable`: our end of the pipe joined to a peer over as many connections as
 * it takes. `session.ts` has the state, `wire.ts` and `preface.ts` the bytes,
 * `docs/protocol.md` the rules; from here on there are loops, a clock and sockets.
 *
 *     stdin → #readStdin → Session → writer → connection
 *     stdout ← #writeStdout ← Session ← reader ← connection
 *
 * The two on the left live here, as long as the session; the two on the right in
 * `frame_connection.ts`, as long as one connection. `initiator.ts` and
 * `acceptor.ts` get the connections.
 */

import { Wakeup } from "./wakeup.ts";
import { LiveSession, type PeerAddresses } from "./live_session.ts";
import { onAbort } from "../base/deadline.ts";
import { copyBytes } from "../base/bytes.ts";
import type {
  HashedPoint,
  HeldPrefix,
  PrefixComparison,
} from "./held_prefix.ts";
import { type PeerDialer, runInitiator } from "./initiator.ts";
import type { Sink } from "../pipe/duplex.ts";
import { idleDeadline, type LocalEnd } from "../pipe/pipe.ts";
import { abortCodeOf, abortTextOf } from "./abort_codes.ts";
import { type PeerListener, runAcceptor } from "./acceptor.ts";
import type { Reporter } from "../report/reporter.ts";
import { Session } from "./session.ts";
import type { Traffic } from "../pipe/traffic.ts";

/** The most that is written to stdout at once. */
const MAX_DELIVERY_BYTES = 1024 * 1024;

/** The source of connections: a dialer or a listener. */
export type PeerSource = PeerDialer | PeerListener;

export interface ReliableOptions {
  readonly window: number;
  readonly heartbeatMs: number;
  readonly resumeTimeoutMs: number;
  readonly digest: boolean;
  readonly token: Uint8Array | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** Whether both sides have `--resume`. */
  readonly resumesFiles: boolean;
  /** The part of the peer's stream that is there already (`--resume`). */
  readonly held?: ResumableFile | undefined;
  /** Whether the SHA-256 of both streams is to be known in the end. */
  readonly hashes: boolean;
  /** The length of our own stream, in bytes, if it is known. */
  readonly size?: number | undefined;
  /** Takes the length that the peer announces; what it throws ends the session. */
  readonly onPeerSize?: ((bytes: number) => Promise<void>) | undefined;
}

/** A session whose streams are confirmed, and the peer that it was with. */
export interface SessionResult {
  readonly session: Session;
  readonly id: Uint8Array;
  readonly role: "connect" | "listen";
  readonly addresses: PeerAddresses | undefined;
}

/** A file with the beginning of the peer's stream, from an earlier run. */
export interface ResumableFile {
  readonly prefix: HeldPrefix;
  /** Cuts off everything after `offset`. @returns The new end. */
  cutTo(offset: number): Promise<HashedPoint>;
}

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
  readonly #local: LocalEnd;
  readonly #context: ReliableContext;
  readonly #live: LiveSession;
  /** Aborted when the run is over, however it ended. */
  readonly #run = new AbortController();
  /** Rejects with the first failure of any loop. */
  readonly #failure = Promise.withResolvers<never>();
  readonly #incomingComplete = Promise.withResolvers<void>();
  /** Resolves when there is the first connection. */
  readonly #begun = Promise.withResolvers<void>();
  /** Wakes the reader of stdin: the peer may have made room. */
  readonly #stdinWakeup: Wakeup;
  /** Wakes the writer of stdout: the peer may have sent something. */
  readonly #stdoutWakeup: Wakeup;
  readonly #held: ResumableFile | undefined;
  /**
   * Called with the peer's size; `undefined` once it has come, or where it does not
   * matter.
   */
  #onPeerSize: ReliableOptions["onPeerSize"];

  constructor(
    session: Session,
    local: LocalEnd,
    context: ReliableContext,
    { held, onPeerSize }: ReliableOptions,
  ) {
    this.#held = held;
    this.#onPeerSize = onPeerSize;
    this.#session = session;
    this.#local = local;
    this.#context = context;
    const { waited } = context.traffic;
    this.#stdinWakeup = new Wakeup(waited, "sending");
    this.#stdoutWakeup = new Wakeup(waited, "receiving");
    this.#live = new LiveSession(session, {
      report: context.report,
      traffic: context.traffic,
      runSignal: this.#run.signal,
      onProgress: () => {
        this.#begun.resolve();
        this.#stdoutWakeup.notify();
        this.#stdinWakeup.notify();
      },
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
    this.#readStdin().catch(this.#failure.reject);
    this.#writeStdout().catch(this.#failure.reject);
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

  async #readStdin(): Promise<void> {
    const { sends, endsWithPeer } = this.#local;
    const { outgoing } = this.#session;
    await this.#begun.promise;
    const incomingComplete = this.#incomingComplete.promise;
    await this.#compareStdin(sends);
    if (!sends) {
      await incomingComplete;
    } else if (endsWithPeer) {
      await Promise.race([this.#copyStdin(), incomingComplete]);
    } else {
      await this.#copyStdin();
    }
    outgoing.end();
    this.#live.connection?.wake();
    // So that the time until the peer has taken everything counts.
    while (!outgoing.confirmed) await this.#stdinWakeup.wait();
  }

  /** Takes from stdin what the peer holds already, and compares it. */
  async #compareStdin(sends: boolean): Promise<void> {
    const { outgoing } = this.#session;
    const { comparison } = outgoing;
    if (comparison === undefined) return;
    if (!sends) comparison.end();
    // A source that has its bytes elsewhere may give more than there is room for.
    let rest: Uint8Array = new Uint8Array();
    while (comparison.result === undefined) {
      const room = comparison.room();
      if (room === undefined) {
        await this.#stdinWakeup.wait();
        continue;
      }
      const bytes = rest.length > 0
        ? rest
        : await this.#local.source.read(room);
      if (bytes === null) comparison.end();
      else rest = bytes.slice(comparison.take(bytes));
      // So that --idle-timeout sees that something moves.
      this.#context.traffic.addSent(0);
    }
    this.#live.connection?.wake();
    this.#reportComparison(comparison);
    await this.#acceptAll(comparison.result.rest);
    await this.#acceptAll(rest);
  }

  #reportComparison({ heldBytes, result }: PrefixComparison): void {
    const from = result?.start.offset ?? 0;
    this.#context.report.say({ event: "continuing", held: heldBytes, from });
  }

  async #copyStdin(): Promise<void> {
    const session = this.#session;
    for (;;) {
      const room = session.outgoing.reserve();
      if (room === undefined) {
        await this.#stdinWakeup.wait();
        continue;
      }
      const bytes = await this.#local.source.read(room);
      // What a person types after the peer's end comes too late.
      if (bytes === null || session.outgoing.summary !== undefined) return;
      await this.#acceptAll(bytes);
    }
  }

  async #acceptAll(bytes: Uint8Array): Promise<void> {
    for (let rest = this.#accept(bytes); rest.length > 0;) {
      await this.#stdinWakeup.wait();
      rest = this.#accept(rest);
    }
    this.#context.traffic.addSent(bytes.length);
  }

  /**
   * Takes bytes that lie in reserved room already, or are copied there.
   *
   * @returns Those for which the window has no room now.
   */
  #accept(bytes: Uint8Array): Uint8Array {
    const session = this.#session;
    let rest = bytes;
    while (rest.length > 0) {
      const room = session.outgoing.reserve(rest.length);
      if (room === undefined) break;
      const isThere = rest.buffer === room.buffer &&
        rest.byteOffset === room.byteOffset;
      const piece = rest.subarray(0, room.length);
      if (!isThere) copyBytes(piece, room);
      rest = rest.subarray(
        session.outgoing.accept(room.subarray(0, piece.length)),
      );
    }
    this.#live.connection?.wake();
    return rest;
  }

  async #writeStdout(): Promise<void> {
    const { incoming } = this.#session;
    const { sink } = this.#local;
    await this.#begun.promise;
    while (!incoming.allDelivered) {
      await this.#takePeerSize();
      const bytes = incoming.toDeliver();
      if (incoming.startAt !== undefined) {
        await this.#truncateFile(incoming.startAt);
      } else if (bytes !== undefined && bytes.length > 0) {
        await this.#deliver(bytes.subarray(0, MAX_DELIVERY_BYTES));
      } else {
        await this.#stdoutWakeup.wait();
      }
    }
    await sink.end();
    incoming.end();
    this.#live.connection?.wake();
    this.#incomingComplete.resolve();
  }

  async #takePeerSize(): Promise<void> {
    const { peerSize } = this.#session.hints;
    if (peerSize === undefined) return;
    const take = this.#onPeerSize;
    this.#onPeerSize = undefined;
    await take?.(peerSize);
  }

  /** Cuts the file to the part that the peer has found to be right. */
  async #truncateFile(offset: number): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const { end } = held.prefix;
    const point = offset === end.offset ? end : await held.cutTo(offset);
    this.#session.incoming.continueAt(point);
    const { report } = this.#context;
    report.say({ event: "continuing", held: end.offset, from: offset });
    this.#live.connection?.wake();
  }

  /** Writes some of the bytes, and counts them. */
  async #deliver(bytes: Uint8Array): Promise<void> {
    const written = await handOver(bytes, this.#local.sink);
    this.#session.incoming.delivered(written, performance.now());
    this.#context.traffic.addReceived(written);
    this.#live.connection?.wake();
  }
}

/** Writes some of the bytes; returns how many. */
async function handOver(bytes: Uint8Array, sink: Sink): Promise<number> {
  const room = await sink.reserve?.();
  if (room === undefined) {
    await sink.write(bytes);
    return bytes.length;
  }
  const piece = bytes.subarray(0, room.length);
  copyBytes(piece, room);
  await sink.write(room.subarray(0, piece.length));
  return piece.length;
}
