/**
 * Connections as a {@linkcode Duplex}: TCP and unix sockets behind one face, with
 * the system's errors told apart by whose fault they are.
 */

import { delay } from "@std/async/delay";
import { formatAddress } from "./address.ts";
import { SpareBuffers } from "../pipe/buffers.ts";
import type { Duplex, Sink, Source } from "../pipe/duplex.ts";
import {
  BrokenError,
  isBrokenPipe,
  reasonOf,
  SockpipeError,
} from "../base/errors.ts";
import { DEFAULT_DATA_SIZE } from "../../framing.ts";
import { findSockets, loadKernel, type SocketHandle } from "../io/kernel.ts";
import type { Traffic } from "../pipe/traffic.ts";
import type { Socket } from "./socket.ts";

/**
 * For how long, after the first byte, a connection is taken for a short exchange
 * that needs no protection against being killed.
 */
const GUARD_AFTER_MS = 100;

/**
 * How many times as long as the last search for sockets the next one is waited for,
 * since it takes longer the more of them are open.
 */
const GUARD_PAUSE = 50;

/** The longest such pause, in ms. */
const MAX_GUARD_PAUSE_MS = 1000;

/** How much room the first read has, in bytes; it grows when that is filled. */
const FIRST_READ_BYTES = 4096;

/**
 * How long a reset may take that answers data sent to a peer which had ended its
 * side before: one round trip, when the peer was gone altogether.
 */
const LATE_RESET_MS = 50;

export interface ConnectionOptions {
  /** The most that one read may take, in bytes; the default when `undefined`. */
  readonly dataSize: number | undefined;
  /** Where what moves is counted. */
  readonly traffic: Traffic;
}

/** A connected TCP or unix socket, or TLS over it. */
export class Connection implements Duplex {
  readonly source: Source;
  readonly sink: Sink;
  /** The peer's address as the user would type it. */
  readonly peer: string;
  /** Our own address. */
  readonly local: string;
  readonly #conn: Socket;
  readonly #guard: KillGuard | undefined;
  #closed = false;

  /**
   * @param conn A connected socket; it is this object's from now on.
   * @param peer What the user knows the peer by; its address when not given.
   */
  constructor(
    conn: Socket,
    options: ConnectionOptions,
    peer = conn.peerName ?? formatAddress(conn.remoteAddr),
  ) {
    this.#conn = conn;
    this.peer = peer;
    this.local = formatAddress(conn.localAddr);
    this.#guard = isTcp(conn) ? new KillGuard(conn) : undefined;
    const shared: Shared = {
      conn,
      peer,
      ...options,
      peerEnded: false,
      ended: false,
      sentLate: false,
    };
    this.source = new SocketSource(shared);
    this.sink = new SocketSink(shared);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guard?.release();
    this.#conn.close();
  }

  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    const isReset = this.#guard?.reset() ?? false;
    // Else the end of the process closes it, and the peer sees it cut off.
    if (isReset || !this.#conn.closeSaysEnd) this.#conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What the two directions of one socket have in common. */
interface Shared extends ConnectionOptions {
  readonly conn: Socket;
  readonly peer: string;
  /** Whether the peer has ended its sending side. */
  peerEnded: boolean;
  /** Whether we have ended ours. */
  ended: boolean;
  /** Whether bytes were sent after the peer had ended its side. */
  sentLate: boolean;
}

/** First buffers of connections. */
const firstBuffers = new SpareBuffers(FIRST_READ_BYTES);

class SocketSource implements Source {
  readonly #shared: Shared;
  #buffer: Uint8Array = NOTHING;
  #filled = false;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    const { conn, dataSize, traffic, peer } = this.#shared;
    if (this.#shared.peerEnded) return null;
    const room = into ?? this.#ownRoom();
    let count: number | null;
    try {
      count = await conn.read(room.subarray(0, dataSize));
      if (count === null) {
        this.#shared.peerEnded = true;
        if (this.#shared.ended) await checkForReset(this.#shared);
      }
    } catch (error) {
      throw broken("receive from", peer, error);
    }
    if (count === null) {
      this.#giveBack();
      return null;
    }
    traffic.addReceived(count);
    this.#filled = count === room.length;
    return room.subarray(0, count);
  }

  /** Nothing is read any more, and what was has been taken. */
  #giveBack(): void {
    firstBuffers.giveBack(this.#buffer);
    this.#buffer = NOTHING;
  }

  /** Little for a connection that brings little, as there may be thousands. */
  #ownRoom(): Uint8Array {
    const { dataSize = DEFAULT_DATA_SIZE } = this.#shared;
    const { length } = this.#buffer;
    if (length === 0 && dataSize >= FIRST_READ_BYTES) {
      this.#buffer = firstBuffers.take();
    } else if (length === 0 || this.#filled && length < dataSize) {
      const wanted = Math.max(FIRST_READ_BYTES, length * 8);
      this.#buffer = new Uint8Array(Math.min(dataSize, wanted));
    }
    return this.#buffer;
  }
}

class SocketSink implements Sink {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { conn, traffic, peer } = this.#shared;
    try {
      for (let rest = bytes; rest.length > 0;) {
        const count = await conn.write(rest);
        traffic.addSent(count);
        if (this.#shared.peerEnded) this.#shared.sentLate = true;
        rest = rest.subarray(count);
      }
    } catch (error) {
      throw broken("send to", peer, error);
    }
  }

  async end(): Promise<void> {
    if (this.#shared.ended) return;
    this.#shared.ended = true;
    const { conn, peer, peerEnded } = this.#shared;
    try {
      // Fails when a reset has come before our half-close, sends nothing else.
      if (peerEnded) await conn.write(NOTHING);
      await conn.closeWrite();
      if (peerEnded) await checkForReset(this.#shared);
    } catch (error) {
      if (error instanceof Deno.errors.NotConnected) return;
      throw broken("send to", peer, error);
    }
  }
}

const NOTHING = new Uint8Array(0);

/**
 * Once both sides have ended, no read or write is left by which to learn that the
 * peer was gone and answered the last of what we sent with a reset. So the socket
 * is asked for its pending error: on TCP by a write, which after the half-close
 * sends nothing and fails with EPIPE unless a reset has come; on a unix socket by
 * a read. When bytes were sent after the peer's end, which a peer that has left
 * altogether answers with a reset, one round trip's time is given for it. TLS has
 * no such call.
 */
async function checkForReset(
  { conn, sentLate }: Pick<Shared, "conn" | "sentLate">,
): Promise<void> {
  if (conn.closeSaysEnd) return;
  const probe = new Uint8Array(1);
  if (!isTcp(conn)) {
    await conn.read(probe);
    return;
  }
  const until = performance.now() + (sentLate ? LATE_RESET_MS : 0);
  for (let waitMs = 1;; waitMs *= 7) {
    await conn.write(probe).catch((error) => {
      if (!isBrokenPipe(error)) throw error;
    });
    if (performance.now() >= until) return;
    await delay(waitMs);
  }
}

/** Connections that are not guarded yet, the oldest first. */
const unguarded = new Set<KillGuard>();
let guardTimer: ReturnType<typeof setTimeout> | undefined;
/** When the next search may be, as `performance.now()`. */
let guardNotBefore = 0;

/**
 * Makes the peer see a reset, and not an end of stream, when this process is
 * killed in the middle of a transfer. Looks for the socket's descriptor only once
 * the transfer has lasted a while, and for those of many connections at a time,
 * since that takes milliseconds.
 */
class KillGuard {
  readonly #conn: TcpSocket;
  readonly #since = performance.now();
  #socket: SocketHandle | undefined;

  constructor(conn: TcpSocket) {
    this.#conn = conn;
    unguarded.add(this);
    guardTimer ??= KillGuard.#startTimer();
  }

  static #startTimer(): ReturnType<typeof setTimeout> {
    const pauseMs = guardNotBefore - performance.now();
    const delayMs = Math.max(GUARD_AFTER_MS, pauseMs);
    return setTimeout(KillGuard.#guardAll, delayMs);
  }

  static #guardAll(): void {
    const now = performance.now();
    const due: KillGuard[] = [];
    let rest: KillGuard | undefined;
    for (const guard of unguarded) {
      if (now - guard.#since < GUARD_AFTER_MS) {
        rest = guard;
        break;
      }
      unguarded.delete(guard);
      due.push(guard);
    }
    KillGuard.#find(due);
    for (const guard of due) guard.#socket?.resetOnClose();
    guardTimer = rest === undefined ? undefined : KillGuard.#startTimer();
  }

  static #find(guards: readonly KillGuard[]): void {
    // The first time, this takes longer than any search.
    loadKernel();
    const startedAt = performance.now();
    const byConn = new Map(
      guards.filter((guard) => guard.#socket === undefined)
        .map((guard) => [guard.#conn, guard]),
    );
    for (const [conn, socket] of findSockets(byConn.keys())) {
      const guard = byConn.get(conn);
      if (guard !== undefined) guard.#socket = socket;
    }
    const endedAt = performance.now();
    const pauseMs = (endedAt - startedAt) * GUARD_PAUSE;
    guardNotBefore = endedAt + Math.min(pauseMs, MAX_GUARD_PAUSE_MS);
  }

  /** Lets the next close be an ordinary one. */
  release(): void {
    this.#forget();
    this.#socket?.closeOnClose();
    this.#socket?.letGo();
  }

  /** @returns Whether it was done. */
  reset(): boolean {
    this.#forget();
    // Where one is aborted, all may be.
    if (this.#socket === undefined) KillGuard.#find([this, ...unguarded]);
    this.#socket?.reset();
    return this.#socket !== undefined;
  }

  #forget(): void {
    unguarded.delete(this);
    if (unguarded.size > 0) return;
    clearTimeout(guardTimer);
    guardTimer = undefined;
  }
}

interface TcpSocket extends Socket {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
}

function isTcp(conn: Socket): conn is TcpSocket {
  return conn.remoteAddr.transport === "tcp";
}

function broken(action: string, peer: string, error: unknown): SockpipeError {
  if (error instanceof SockpipeError) return error;
  return new BrokenError(`Cannot ${action} "${peer}": ${reasonOf(error)}`, {
    cause: error,
  });
}
