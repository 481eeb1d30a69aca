/**
 * sockpipe's connections for programs in Deno: plain TCP and unix sockets as streams,
 * and the answer to whether the peer has got everything.
 *
 * ```ts
 * import { connect } from "jsr:@sockpipe/sockpipe/api";
 *
 * const peer = await connect("127.0.0.1:32000");
 * await new Blob(["hello"]).stream().pipeTo(peer.writable);
 * console.log(await new Response(peer.readable).text());
 * await peer.delivered;
 * ```
 *
 * It takes `--allow-net`, with unix sockets also `--allow-read` and `--allow-write`,
 * and `--allow-ffi` to ask the system what has been acknowledged. Without that (and
 * on Windows, which has no such call), `delivered` knows only that no reset has come.
 *
 * @module
 */

import { BrokenError } from "../base/errors.ts";
import { Traffic } from "../pipe/traffic.ts";
import { acceptNext } from "./accept.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { Connection } from "./connection.ts";
import { dialOnce } from "./dial.ts";
import { listenOnBoth } from "./joined_listener.ts";
import type { Socket } from "./socket.ts";
import { listenUnix } from "./unix_listener.ts";

/** The limit on one attempt to connect without another, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** A connection. Dispose of it, or wait for {@linkcode delivered}. */
export interface Peer extends Disposable {
  /**
   * The bytes that the peer sends. It errors when the connection breaks; cancelling
   * it resets the connection.
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * The bytes for the peer. Closing it ends our side alone, so that the peer can
   * still answer; aborting it resets the connection.
   */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Resolves when both sides have ended, `readable` has been read to its end, and
   * the peer's system has acknowledged everything that was written. The connection
   * is closed then. Rejects when it broke before. There is no limit to the wait.
   */
  readonly delivered: Promise<void>;
  /** The peer's address, as `connect` takes it. */
  readonly address: string;
  /** Resets the connection, unless everything has been delivered. Idempotent. */
  abort(): void;
}

/** The options of {@linkcode connect}. */
export interface ConnectOptions {
  /** Its abort ends the attempt, which rejects with its reason. */
  readonly signal?: AbortSignal;
  /** The limit on the attempt, in ms; 10,000 when absent. */
  readonly timeoutMs?: number;
}

/** A listening socket. Disposing stops listening; connections go on. */
export interface PeerListener extends Disposable, AsyncIterable<Peer> {
  /** The address that it really has, as `connect` takes it. */
  readonly address: string;
  /**
   * Waits for the next peer. Those that have left before they were accepted are
   * passed over.
   *
   * @throws The system's error, also when the listener is closed meanwhile.
   */
  accept(): Promise<Peer>;
}

/**
 * Connects, trying every address that a name has (RFC 8305).
 *
 * @param address `HOST:PORT`, `[IPV6]:PORT`, a port of 127.0.0.1, or `unix:PATH`.
 * @throws The system's error of the last address, and `signal.reason`.
 */
export async function connect(
  address: string,
  { signal, timeoutMs = CONNECT_TIMEOUT_MS }: ConnectOptions = {},
): Promise<Peer> {
  const socket = await dialOnce(parseAddress("--connect", address), {
    timeoutMs,
    signal: signal ?? new AbortController().signal,
  });
  return new SocketPeer(socket, address);
}

/**
 * Listens.
 *
 * @param address As that of {@linkcode connect}. Port 0 lets the system choose;
 * `*:PORT` is every address of this machine.
 * @throws The system's error: the address is in use, or not to be had.
 */
export async function listen(address: string): Promise<PeerListener> {
  const wanted = parseAddress("--listen", address);
  const listener = await openListener(wanted);
  const accept = async () => {
    const socket: Socket = await acceptNext(listener);
    return new SocketPeer(socket, formatAddress(socket.remoteAddr));
  };
  return {
    address: formatAddress(listener.addr ?? wanted),
    accept,
    async *[Symbol.asyncIterator]() {
      for (;;) yield await accept();
    },
    [Symbol.dispose]: () => listener.close(),
  };
}

/**
 * The part that all listening sockets have; one of unix(7) has the path it was
 * given.
 */
interface Accepting {
  readonly addr?: Deno.NetAddr;
  accept(): Promise<Socket>;
  close(): void;
}

async function openListener(address: Address): Promise<Accepting> {
  if (address.transport === "unix") {
    const { listener, close } = await listenUnix(address.path);
    return { accept: () => listener.accept(), close };
  }
  const { hostname, port } = address;
  const open = (hostname: string, port: number) =>
    Deno.listen({ hostname, port });
  if (hostname !== "*") return open(hostname, port);
  return Deno.build.os === "windows"
    ? listenOnBoth(open, port)
    : open("::", port);
}

/** A socket as streams. */
class SocketPeer implements Peer {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array>;
  readonly delivered: Promise<void>;
  readonly address: string;
  readonly #connection: Connection;
  readonly #received = Promise.withResolvers<void>();
  readonly #sent = Promise.withResolvers<void>();
  readonly #broken = Promise.withResolvers<never>();

  constructor(socket: Socket, address: string) {
    this.address = address;
    const options = { dataSize: undefined, traffic: new Traffic() };
    const connection = new Connection(socket, { ...options, isOnly: true });
    this.#connection = connection;
    this.readable = new ReadableStream({
      pull: (controller) => this.#orBreak(this.#read(controller)),
      cancel: (reason) => this.#giveUp(reason),
    }, { highWaterMark: 0 });
    this.writable = new WritableStream({
      write: (bytes) => this.#orBreak(connection.sink.write(bytes)),
      close: () =>
        this.#orBreak(connection.sink.end().then(this.#sent.resolve)),
      abort: (reason) => this.#giveUp(reason),
    });
    this.delivered = this.#conclude();
    // Whoever reads or writes is told as well.
    this.delivered.catch(() => {});
  }

  async #read(
    controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const bytes = await this.#connection.source.read();
    if (bytes !== null) return controller.enqueue(bytes.slice());
    controller.close();
    this.#received.resolve();
  }

  async #orBreak(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#broken.reject(error);
      throw error;
    }
  }

  async #conclude(): Promise<void> {
    try {
      await Promise.race([
        Promise.all([this.#received.promise, this.#sent.promise]),
        this.#broken.promise,
        this.#connection.failed,
      ]);
      this.#connection.close();
    } catch (error) {
      this.#connection.abort();
      throw error;
    }
  }

  #giveUp(cause?: unknown): void {
    const text = `Cannot go on with "${this.address}": it was given up`;
    this.#broken.reject(new BrokenError(text, { cause }));
    this.#connection.abort();
  }

  abort(): void {
    this.#giveUp();
  }

  [Symbol.dispose](): void {
    this.abort();
  }
}
