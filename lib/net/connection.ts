/**
 * Connections as a {@linkcode Duplex}: TCP and unix sockets behind one face, with
 * the system's errors told apart by whose fault they are.
 */

import { BrokenError, reasonOf, SockpipeError } from "../base/errors.ts";
import { BufferPool, DEFAULT_DATA_SIZE } from "../../framing.ts";
import type {
  Duplex,
  ReadEach,
  ReadEnd,
  Sink,
  Source,
} from "../pipe/duplex.ts";
import type { Line, TcpInfo, Traffic } from "../pipe/traffic.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { unmapped } from "./ip_address.ts";
import { checkForReset, untilAcknowledged } from "./delivery.ts";
import { ResetGuard } from "./reset_on_kill.ts";
import { isPlain, type Socket } from "./socket.ts";
import { watchForReset } from "./reset_watch.ts";
import type { SocketDescriptor } from "./socket_descriptors.ts";

/** The room for the first read, in bytes; it grows when it is filled. */
const FIRST_READ_BYTES = 4096;

export interface ConnectionOptions {
  /** The most that one read may take, in bytes; the default when `undefined`. */
  readonly dataSize: number | undefined;
  /** The counters of what moves. */
  readonly traffic: Traffic;
  /**
   * Whether it is the only connection of this process. Then its descriptor is
   * looked for at once, so that its end is certain: see {@linkcode untilAcknowledged}.
   */
  readonly isOnly?: boolean;
  /** The silence after which TCP asks the peer, in ms; 0 for never. */
  readonly keepaliveMs?: number;
  /**
   * Whether what is sent says itself where it ends (`--reliable`). The peer may then
   * see an abort as an end, where TLS cannot be closed in another way.
   */
  readonly isSelfDelimited?: boolean;
}

/** The way that the bytes of a socket are moved. */
export interface SocketIo extends Pick<Socket, "read" | "write"> {
  /** Ends all waits; called before the socket is closed. */
  release?(): void;
  /** Reads on as {@linkcode ReadEach} says; `failed` makes the error to throw. */
  readEach?(
    args: Parameters<ReadEach>,
    failed: (cause: unknown) => Error,
  ): Promise<ReadEnd>;
  /** Writes what there is room for, maybe nothing; returns how many bytes. */
  writeNow?(bytes: Uint8Array): number;
}

/** A connected TCP or unix socket, or TLS over it. */
export class Connection implements Duplex, Line {
  readonly source: Source;
  readonly sink: Sink;
  /** The peer's address as the user would type it. */
  readonly peer: string;
  /** Our own address. */
  readonly local: string;
  /** Both addresses, as they were before somebody passed it on. */
  readonly endpoints: {
    readonly source: Deno.Addr;
    readonly destination: Deno.Addr;
  };
  readonly #conn: Socket;
  /** Rejects when it was reset while it was neither read nor written. */
  readonly failed: Promise<never>;
  readonly #guard: ResetGuard;
  readonly #state: SocketState;
  /** Whether a connection that is aborted may be closed when no reset was possible. */
  readonly #mayClose: boolean;
  /** The measurements of TCP when it was closed. */
  #lastTcpInfo: TcpInfo | undefined;

  /**
   * @param conn A connected socket; it is this object's from now on.
   * @param peer The name by which the user knows the peer; its address when not
   * given.
   */
  constructor(
    conn: Socket,
    options: ConnectionOptions,
    peer = conn.peerName ??
      formatAddress(conn.origin?.source ?? conn.remoteAddr),
  ) {
    this.#conn = conn;
    this.peer = peer;
    const { source = conn.remoteAddr, destination = conn.localAddr } =
      conn.origin ?? {};
    this.endpoints = { source, destination };
    this.local = formatAddress(destination);
    this.#guard = new ResetGuard(conn, options);
    this.#mayClose = !conn.closeSaysEnd || options.isSelfDelimited === true;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#state = {
      fail: reject,
      conn,
      io: conn,
      peer,
      ...options,
      guard: this.#guard,
      peerEnded: false,
      ended: false,
      sentLate: false,
      isWriting: false,
      isClosed: false,
    };
    options.traffic.line = this;
    this.source = new SocketSource(this.#state);
    this.sink = new SocketSink(this.#state);
  }

  /** The descriptor, if it is known: see {@linkcode ConnectionOptions.isOnly}. */
  get descriptor(): SocketDescriptor | undefined {
    return this.#guard.descriptor;
  }

  /** The counters of what moves. */
  get traffic(): Traffic {
    return this.#state.traffic;
  }

  get tcpInfo(): TcpInfo | undefined {
    return this.#state.isClosed
      ? this.#lastTcpInfo
      : this.descriptor?.tcpInfo();
  }

  /**
   * Finds the descriptor of a plain socket, for whoever moves bytes past this object.
   *
   * @returns `undefined` for TLS, and where it cannot be found.
   */
  plainDescriptor(): SocketDescriptor | undefined {
    if (!isPlain(this.#conn)) return undefined;
    ResetGuard.findDescriptors([this.#guard]);
    return this.#guard.descriptor;
  }

  /**
   * Finds the same for a relay, and limits the buffers of a connection within this
   * machine.
   */
  relayDescriptor(): SocketDescriptor | undefined {
    const descriptor = this.plainDescriptor();
    if (isOnThisMachine(this.#conn)) descriptor?.limitBuffers();
    return descriptor;
  }

  /**
   * Reads and writes in another way from now on. What moves is counted, and failures
   * are told, as before.
   *
   * @param io The way, released before the connection is closed.
   */
  moveBy(io: SocketIo): void {
    this.#state.io = io;
  }

  close(): void {
    // A write that is under way would keep the descriptor open for as long as the
    // peer takes nothing.
    if (this.#state.isWriting) this.abort();
    if (this.#state.isClosed) return;
    this.#beforeClose();
    this.#guard.release();
    this.#conn.close();
  }

  /**
   * Resets the connection. One of TLS that cannot be reset, as there is no C library
   * to do it with, stays open until the process ends, and its reads stay pending:
   * closing it would tell the peer that it has got everything.
   */
  abort(): void {
    if (this.#state.isClosed) return;
    this.#beforeClose();
    const isReset = this.#guard.reset();
    if (isReset || this.#mayClose) this.#conn.close();
  }

  #beforeClose(): void {
    this.#lastTcpInfo = this.tcpInfo;
    this.#state.isClosed = true;
    this.#state.watch?.[Symbol.dispose]();
    this.#state.io.release?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Whether the peer is on this machine, reached by TCP. */
function isOnThisMachine({ localAddr, remoteAddr }: Socket): boolean {
  if (!("hostname" in remoteAddr) || !("hostname" in localAddr)) return false;
  const { hostname } = remoteAddr;
  return hostname === localAddr.hostname || isLoopback(unmapped(hostname));
}

/** The state that both directions of a socket share. */
interface SocketState extends ConnectionOptions {
  readonly conn: Socket;
  /** The way to read and write: `conn`, unless there is another. */
  io: SocketIo;
  readonly peer: string;
  readonly guard: ResetGuard;
  readonly fail: (error: Error) => void;
  /** The watch for a reset, after the peer's end and before ours. */
  watch?: Disposable;
  /** Whether the peer has ended its sending side. */
  peerEnded: boolean;
  /** Whether we have ended ours. */
  ended: boolean;
  /** Whether bytes were sent after the peer had ended its side. */
  sentLate: boolean;
  /** Whether a write is under way. */
  isWriting: boolean;
  isClosed: boolean;
}

/**
 * Waits until the peer has got everything, once both sides have ended.
 *
 * @throws The system's error.
 */
async function confirmDelivery(shared: SocketState): Promise<void> {
  const { conn, guard: { descriptor }, sentLate } = shared;
  if (descriptor === undefined) await checkForReset(conn, sentLate);
  else await untilAcknowledged(descriptor, () => shared.isClosed);
}

/** Watches for a reset from the peer's end to ours. */
function watch(shared: SocketState): void {
  const { guard, fail, peer, isClosed } = shared;
  if (isClosed) return;
  shared.watch = watchForReset(
    guard,
    (error) => fail(broken("send to", peer, error)),
  );
}

/** The pool of the first buffers of connections. */
const firstBuffers = new BufferPool(FIRST_READ_BYTES);

class SocketSource implements Source {
  readonly #state: SocketState;
  #buffer: Uint8Array = NOTHING;
  #filled = false;

  constructor(shared: SocketState) {
    this.#state = shared;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    const { io, dataSize, traffic, peer } = this.#state;
    if (this.#state.peerEnded) return null;
    const room = into ?? this.#ownRoom();
    let count: number | null;
    try {
      count = await io.read(room.subarray(0, dataSize));
      if (count === null) await this.#end();
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

  get readEach(): ReadEach | undefined {
    return this.#state.io.readEach && ((...args) => this.#readEach(args));
  }

  async #readEach([room, take]: Parameters<ReadEach>): Promise<ReadEnd> {
    const { io, dataSize, traffic, peer, peerEnded } = this.#state;
    if (peerEnded) return "ended";
    const failed = (error: unknown) => broken("receive from", peer, error);
    const reason = await io.readEach?.([
      () => room()?.subarray(0, dataSize),
      (bytes) => {
        traffic.addReceived(bytes.length);
        take(bytes);
      },
    ], failed);
    try {
      if (reason === "ended") await this.#end();
    } catch (error) {
      throw failed(error);
    }
    return reason ?? "full";
  }

  /** Takes the peer's end, and waits for delivery if ours was before. */
  async #end(): Promise<void> {
    this.#state.peerEnded = true;
    if (this.#state.ended) await confirmDelivery(this.#state);
    else watch(this.#state);
  }

  /** Gives the buffer back; call it when nothing more is read. */
  #giveBack(): void {
    firstBuffers.giveBack(this.#buffer);
    this.#buffer = NOTHING;
  }

  /**
   * Finds room for a read: little at first, as there may be thousands of
   * connections.
   */
  #ownRoom(): Uint8Array {
    const { dataSize = DEFAULT_DATA_SIZE } = this.#state;
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
  readonly #state: SocketState;

  constructor(shared: SocketState) {
    this.#state = shared;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { io, traffic, peer } = this.#state;
    this.#state.isWriting = true;
    try {
      for (let rest = bytes; rest.length > 0;) {
        const count = await io.write(rest);
        traffic.addSent(count);
        if (this.#state.peerEnded) this.#state.sentLate = true;
        rest = rest.subarray(count);
      }
    } catch (error) {
      throw broken("send to", peer, error);
    } finally {
      this.#state.isWriting = false;
    }
  }

  writeNow(bytes: Uint8Array): number {
    const { io, traffic, peer } = this.#state;
    try {
      const count = io.writeNow?.(bytes) ?? 0;
      if (count > 0) traffic.addSent(count);
      if (this.#state.peerEnded) this.#state.sentLate = true;
      return count;
    } catch (error) {
      throw broken("send to", peer, error);
    }
  }

  async end(): Promise<void> {
    if (this.#state.ended) return;
    this.#state.ended = true;
    this.#state.watch?.[Symbol.dispose]();
    const { conn, peer, peerEnded } = this.#state;
    try {
      // Fails when a reset has come before our half-close, sends nothing else. On a
      // unix socket it would also fail because the peer has closed, which is none.
      const isTcp = conn.remoteAddr.transport === "tcp";
      if (peerEnded && isTcp) await conn.write(NOTHING);
      await conn.closeWrite();
      if (peerEnded) await confirmDelivery(this.#state);
    } catch (error) {
      if (error instanceof Deno.errors.NotConnected) return;
      throw broken("send to", peer, error);
    }
  }
}

const NOTHING = new Uint8Array(0);

function broken(action: string, peer: string, error: unknown): SockpipeError {
  if (error instanceof SockpipeError) return error;
  return new BrokenError(`Cannot ${action} "${peer}": ${reasonOf(error)}`, {
    cause: error,
  });
}
