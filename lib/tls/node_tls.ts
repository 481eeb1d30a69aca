/**
 * TLS by way of `node:tls`, for what Deno's own TLS cannot do: verify a peer by a
 * pin, or not at all, and ask a client for its certificate.
 *
 * Only loaded when one of these is wanted: it is half as fast, and loading it
 * takes some 30 ms.
 */

import { delay } from "@std/async/delay";
import type { Socket as NetSocket } from "node:net";
import tls from "node:tls";
import { isIPv4, isIPv6 } from "../net/ip_address.ts";
import type { Socket } from "../net/socket.ts";
import type { KeyPair } from "./key_files.ts";
import { SocketStream } from "./socket_stream.ts";
import type { TlsStream } from "./tls.ts";
import type { PeerEvidence } from "./verify_peer.ts";

export interface NodeClientOptions {
  /** The host name or IP address that is asked for. */
  readonly name: string;
  readonly alpn: readonly string[];
  readonly keyPair: KeyPair | undefined;
}

/** Starts TLS as the client; the peer is not verified. */
export function startClient(
  conn: Socket,
  { name, alpn, keyPair }: NodeClientOptions,
): NodeTls {
  const encrypted = new SocketStream(conn);
  const isAddress = isIPv4(name) || isIPv6(name);
  const options = {
    ...keyPair,
    socket: encrypted,
    // RFC 6066 section 3: an IP address is no server name.
    ...(isAddress ? { host: name } : { servername: name }),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    minVersion: "TLSv1.2",
    // Verified by its evidence, or not at all.
    rejectUnauthorized: false,
    allowHalfOpen: true,
  } as const;
  const socket = tls.connect(options);
  return new NodeTls(conn, encrypted, socket, "secureConnect");
}

export interface NodeServerOptions {
  readonly keyPair: KeyPair;
  readonly alpn: readonly string[];
  /**
   * The CAs that are asked to vouch for the client, in PEM. They go to the client
   * too, behind our own certificate: `node:tls` wants it so.
   */
  readonly authorities?: string | undefined;
}

/**
 * Starts TLS as the server, which asks the client for a certificate. Anybody gets
 * through the handshake: `rejectUnauthorized` only keeps out who has no
 * certificate. The caller then verifies the client by its evidence.
 */
export function startServer(
  conn: Socket,
  { keyPair, alpn, authorities }: NodeServerOptions,
): NodeTls {
  const encrypted = new SocketStream(conn);
  const options = {
    isServer: true,
    secureContext: tls.createSecureContext({
      ...keyPair,
      ...(authorities === undefined ? {} : { ca: authorities }),
      minVersion: "TLSv1.2",
    }),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    requestCert: true,
    rejectUnauthorized: true,
    allowHalfOpen: true,
  } as const;
  // Node's types know a socket of node:net only.
  const socket = new tls.TLSSocket(encrypted as unknown as NetSocket, options);
  return new NodeTls(conn, encrypted, socket, "secure");
}

/**
 * The most that is encrypted at once, in bytes. The TLS library takes 64 KiB of
 * ciphertext; what is beyond that `node:tls` keeps back until the next event and
 * forgets when something else is written before.
 */
const MAX_WRITE_BYTES = 48 * 1024;

/** The time that a peer has for reading the alert that refuses it, in ms. */
const ALERT_MS = 1000;

/** The decrypted bytes that may wait to be read before TCP is read no further. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * A TLS connection of `node:tls`.
 *
 * What is received is taken from the TLS socket at once, since that one drops what
 * nobody has read when the last of what was sent is out and the peer has ended.
 */
export class NodeTls implements TlsStream {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #conn: Socket;
  readonly #encrypted: SocketStream;
  readonly #socket: tls.TLSSocket;
  readonly #received: Uint8Array[] = [];
  #waitingBytes = 0;
  #roomAgain = Promise.withResolvers<void>();
  #error: Error | undefined;
  #isSecured = false;
  #isEnded = false;
  #isCut = false;
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  /**
   * @param socket A TLS socket over `encrypted`, and that over `conn`; all three are
   * this object's from now on.
   * @param secured The event that tells of the end of the handshake.
   */
  constructor(
    conn: Socket,
    encrypted: SocketStream,
    socket: tls.TLSSocket,
    secured: "secure" | "secureConnect",
  ) {
    this.localAddr = conn.localAddr;
    this.remoteAddr = conn.remoteAddr;
    this.#conn = conn;
    this.#encrypted = encrypted;
    this.#socket = socket;
    const on = (name: string, change: () => void) =>
      socket.on(name, () => {
        change();
        this.#notify();
      });
    on(secured, () => this.#isSecured = true);
    on("end", () => this.#isEnded = true);
    on("close", () => this.#onClose());
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#fail(error));
    // What a server's socket calls an error of the handshake.
    socket.on("_tlsError", (error: Error) => this.#fail(error));
    encrypted.on("error", (error) => this.#fail(error));
    encrypted.onWrite = () => this.#notify();
    encrypted.onEnd = () => {
      this.#isCut = true;
      this.#notify();
    };
  }

  #receive(bytes: Uint8Array): void {
    this.#received.push(bytes);
    const hadRoom = this.#waitingBytes < MAX_WAITING_BYTES;
    this.#waitingBytes += bytes.length;
    if (hadRoom && this.#waitingBytes >= MAX_WAITING_BYTES) {
      this.#roomAgain = Promise.withResolvers();
      this.#encrypted.resumed = this.#roomAgain.promise;
    }
    this.#notify();
  }

  /**
   * Ends what is waited for: the socket closes by itself when both sides have
   * ended, or after an error.
   */
  #onClose(): void {
    if (this.#socket.writableFinished) this.#isEnded = true;
    else this.#error ??= new Error("the connection is closed");
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async handshake(): Promise<void> {
    while (!this.#isSecured) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isCut) throw new Deno.errors.UnexpectedEof("handshake");
      await this.#changed.promise;
    }
  }

  get version(): string | undefined {
    return this.#socket.getProtocol()?.replace("TLSv", "TLS ");
  }

  /** Collects the facts about the peer; call it after the handshake. */
  evidence(): PeerEvidence {
    const { isGood, chain } = verdictOf(this.#socket);
    return {
      certificate: this.#socket.getPeerX509Certificate(),
      intermediates: chain.slice(1),
      isChainGood: isGood,
      isResumed: this.#socket.isSessionReused(),
    };
  }

  async read(into: Uint8Array): Promise<number | null> {
    let isLastTurn = false;
    for (;;) {
      if (this.#received.length > 0) return this.#take(into);
      if (this.#isEnded) return null;
      if (this.#error !== undefined) throw this.#error;
      if (!this.#isCut) await this.#changed.promise;
      else if (isLastTurn) throw new Deno.errors.UnexpectedEof("close_notify");
      else {
        // What came before the end of TCP is on its way through node's streams.
        isLastTurn = this.#encrypted.readableLength === 0;
        await delay(0);
      }
    }
  }

  /** Takes as much as there is and as fits. */
  #take(into: Uint8Array): number {
    let filled = 0;
    for (;;) {
      const [first] = this.#received;
      if (first === undefined || filled === into.length) break;
      const part = first.subarray(0, into.length - filled);
      into.subarray(filled).set(part);
      filled += part.length;
      if (part.length === first.length) this.#received.shift();
      else this.#received[0] = first.subarray(part.length);
    }
    this.#waitingBytes -= filled;
    if (this.#waitingBytes < MAX_WAITING_BYTES) this.#roomAgain.resolve();
    return filled;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#socket.writableEnded) throw new Deno.errors.BrokenPipe("ended");
    if (this.#error !== undefined) throw this.#error;
    // One without a byte would never be called back.
    if (bytes.length === 0) return 0;
    const part = bytes.subarray(0, MAX_WRITE_BYTES);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(part, (error) => error ? reject(error) : resolve());
    await promise;
    await this.#encrypted.written();
    return part.length;
  }

  /**
   * Sends the close_notify. The FIN of TCP is left to `close`: servers like nginx
   * take one for a client that has left, and answer no more.
   */
  async closeWrite(): Promise<void> {
    if (this.#socket.writableEnded) return;
    const { chunks } = this.#encrypted;
    this.#socket.end();
    // The one that follows is the close_notify.
    while (this.#encrypted.chunks === chunks) {
      if (this.#error !== undefined) throw this.#error;
      await this.#changed.promise;
    }
    await this.#encrypted.written();
  }

  close(): void {
    this.#destroy();
    this.#closeConn();
  }

  /** Closes: an end of TCP without close_notify is a failure to the peer. */
  abort(): void {
    this.close();
  }

  async refuse(): Promise<void> {
    this.#destroy();
    await this.#passOnAlert();
    this.#closeConn();
  }

  async #passOnAlert(): Promise<void> {
    const timer = setTimeout(() => this.#closeConn(), ALERT_MS);
    try {
      await this.#encrypted.written();
      await this.#conn.closeWrite();
      // Closed with unread bytes, it would be reset, and the alert lost.
      while (await this.#conn.read(new Uint8Array(4096)) !== null);
    } catch {
      // The peer has gone, or is too slow.
    } finally {
      clearTimeout(timer);
    }
  }

  #destroy(): void {
    this.#roomAgain.resolve();
    this.#socket.destroy();
  }

  #closeConn(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Asks the TLS library for its verdict on the peer's certificate, and for the
 * chain, in DER.
 *
 * `node:tls` has this for its own servers, which ask the socket's handle: `""`
 * (`null` in Node.js) is no error. Were it gone, nobody would be let in.
 */
function verdictOf(
  socket: tls.TLSSocket,
): { isGood: boolean; chain: Uint8Array<ArrayBuffer>[] } {
  const handle: Handle | undefined = Reflect.get(socket, "_handle");
  const error = handle?.verifyError?.();
  const chain = handle?.getPeerCertificateChain?.().certificates;
  return {
    isGood: chain !== undefined && (error === "" || error === null),
    chain: chain?.map((der) => new Uint8Array(der)) ?? [],
  };
}

/** The part of a TLS socket's handle that is asked. */
interface Handle {
  verifyError?(): unknown;
  getPeerCertificateChain?(): { readonly certificates?: Uint8Array[] };
}
