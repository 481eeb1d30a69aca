/**
 * TLS by way of `node:tls`, for what Deno's own TLS cannot do: judge a peer by a
 * pin, or not at all, and ask a client for its certificate.
 *
 * Only loaded when one of these is wanted: it is half as fast, and loading it
 * takes some 30 ms.
 */

import { delay } from "@std/async/delay";
import { Buffer } from "node:buffer";
import type { Socket as NetSocket } from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { isIPv4, isIPv6 } from "../net/ip_address.ts";
import { isReadable, type KeyPair, maySign, toPem } from "./key_files.ts";
import { copyBytes } from "../base/bytes.ts";
import { RefusedError } from "../base/errors.ts";
import { type Pin, pinOfCertificate } from "./pin.ts";
import { authorityReason } from "./reasons.ts";
import type { Socket } from "../net/socket.ts";

/**
 * Whether this runtime's `node:tls` shows the peer's certificate and can ask for
 * one: that of Deno 2.4 makes up a certificate and a verdict.
 */
export function showsCertificates(): boolean {
  return "getPeerX509Certificate" in tls.TLSSocket.prototype;
}

export interface NodeClientOptions {
  /** The host name or IP address that is asked for. */
  readonly name: string;
  readonly alpn: readonly string[];
  readonly keyPair: KeyPair | undefined;
}

/** Starts TLS as the client; the peer is not judged. */
export function startClient(
  conn: Socket,
  { name, alpn, keyPair }: NodeClientOptions,
): NodeTls {
  const carrier = new Carrier(conn);
  const isAddress = isIPv4(name) || isIPv6(name);
  const options = {
    ...keyPair,
    socket: carrier,
    // RFC 6066 section 3: an IP address is no server name.
    ...(isAddress ? { host: name } : { servername: name }),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    minVersion: "TLSv1.2",
    // Judged by requirePin, or not at all.
    rejectUnauthorized: false,
    allowHalfOpen: true,
  } as const;
  const socket = tls.connect(options);
  return new NodeTls(conn, carrier, socket, "secureConnect");
}

export interface NodeServerOptions {
  readonly keyPair: KeyPair;
  readonly alpn: readonly string[];
  /**
   * PEM of the CAs that `requireAuthority` is about. They go to the client too,
   * behind our own certificate: `node:tls` wants it so.
   */
  readonly authorities?: string | undefined;
}

/**
 * Starts TLS as the server, which asks the client for a certificate. Anybody gets
 * through the handshake: `rejectUnauthorized` only keeps out who has no certificate.
 * The client is then to be judged, by `requirePin` or `requireAuthority`.
 */
export function startServer(
  conn: Socket,
  { keyPair, alpn, authorities }: NodeServerOptions,
): NodeTls {
  const carrier = new Carrier(conn);
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
  const socket = new tls.TLSSocket(carrier as unknown as NetSocket, options);
  return new NodeTls(conn, carrier, socket, "secure");
}

/**
 * How much is read from TCP at once, in bytes. More takes longer: each is new
 * memory several times on its way, and so much the system gives anew each time.
 */
const READ_BYTES = 64 * 1024;

/**
 * The most that is encrypted at once, in bytes. The TLS library takes 64 KiB of
 * ciphertext; what is beyond that `node:tls` keeps back until the next event and
 * forgets when something else is written before.
 */
const MAX_WRITE_BYTES = 48 * 1024;

/** How long a peer that was refused has time to take notice, in ms. */
const LEAVE_MS = 1000;

/** How much decrypted data may wait to be read before TCP is read no further. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * The encrypted bytes as a node stream. Its reading side never ends: so the end
 * that the TLS socket reports is the peer's close_notify, and not that of TCP,
 * which anyone on the way can forge.
 */
class Carrier extends Duplex {
  /** Waited for before more is read. */
  room: Promise<void> | undefined;
  /** Called when TCP has ended. */
  onEnd: () => void = () => {};
  /** Called when there is something to write. */
  onWrite: () => void = () => {};
  readonly #conn: Socket;
  #writing: Promise<void> = Promise.resolve();
  #chunks = 0;

  constructor(conn: Socket) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_BYTES });
    this.#conn = conn;
  }

  override async _read(): Promise<void> {
    try {
      await this.room;
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const count = await this.#conn.read(buffer);
      if (count === null) this.onEnd();
      else this.push(buffer.subarray(0, count));
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  override _write(
    chunk: Uint8Array,
    _encoding: string,
    callback: (error?: Error) => void,
  ): void {
    this.#chunks++;
    this.onWrite();
    this.#writing = this.#writeAll(chunk);
    this.#writing.then(() => callback(), callback);
  }

  /** How many chunks the TLS socket has handed on. */
  get chunks(): number {
    return this.#chunks;
  }

  /**
   * Neither this nor `destroy` does it, as the TLS socket calls them while its
   * close_notify is still to come.
   */
  override end(...args: unknown[]): this {
    const callback = args.at(-1);
    if (typeof callback === "function") this.#writing.then(() => callback());
    return this;
  }

  override destroy(error?: Error): this {
    return error === undefined ? this : super.destroy(error);
  }

  /**
   * Waits until TCP has taken what was handed on, which the TLS socket does not.
   *
   * @throws What went wrong with TCP.
   */
  async written(): Promise<void> {
    while (this.writableLength > 0 && !this.destroyed) await this.#writing;
  }

  async #writeAll(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0;) {
      rest = rest.subarray(await this.#conn.write(rest));
    }
  }

  /** Ends the sending side of TCP after what is being written, the close_notify. */
  async closeWrite(): Promise<void> {
    await this.#writing;
    await this.#conn.closeWrite();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/**
 * A TLS connection of `node:tls` with the face of a socket of Deno.
 *
 * What is received is taken from the TLS socket at once, since that one drops what
 * nobody has read when the last of what was sent is out and the peer has ended.
 */
export class NodeTls implements Socket {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #conn: Socket;
  readonly #carrier: Carrier;
  readonly #socket: tls.TLSSocket;
  readonly #received: Uint8Array[] = [];
  #waitingBytes = 0;
  #roomAgain = Promise.withResolvers<void>();
  #error: Error | undefined;
  #isSecured = false;
  #isEnded = false;
  #isCut = false;
  #isClosed = false;
  #news = Promise.withResolvers<void>();

  /**
   * @param socket A TLS socket over `carrier`, and that over `conn`; all three are
   * this object's from now on.
   * @param secured The event that tells of the end of the handshake.
   */
  constructor(
    conn: Socket,
    carrier: Carrier,
    socket: tls.TLSSocket,
    secured: "secure" | "secureConnect",
  ) {
    this.localAddr = conn.localAddr as Deno.NetAddr;
    this.remoteAddr = conn.remoteAddr as Deno.NetAddr;
    this.#conn = conn;
    this.#carrier = carrier;
    this.#socket = socket;
    const on = (name: string, change: () => void) =>
      socket.on(name, () => {
        change();
        this.#tell();
      });
    on(secured, () => this.#isSecured = true);
    on("end", () => this.#isEnded = true);
    on("close", () => this.#onClose());
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#fail(error));
    // What a server's socket calls an error of the handshake.
    socket.on("_tlsError", (error: Error) => this.#fail(error));
    carrier.on("error", (error) => this.#fail(error));
    carrier.onWrite = () => this.#tell();
    carrier.onEnd = () => {
      this.#isCut = true;
      this.#tell();
    };
  }

  #receive(bytes: Uint8Array): void {
    this.#received.push(bytes);
    const hadRoom = this.#waitingBytes < MAX_WAITING_BYTES;
    this.#waitingBytes += bytes.length;
    if (hadRoom && this.#waitingBytes >= MAX_WAITING_BYTES) {
      this.#roomAgain = Promise.withResolvers();
      this.#carrier.room = this.#roomAgain.promise;
    }
    this.#tell();
  }

  /** The socket closes by itself when both sides have ended, or after an error. */
  #onClose(): void {
    if (this.#socket.writableFinished) this.#isEnded = true;
    else this.#error ??= new Error("the connection is closed");
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /**
   * Waits for the end of the handshake.
   *
   * @throws What went wrong, in the words of `node:tls` or rustls.
   */
  async handshake(): Promise<void> {
    while (!this.#isSecured) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isCut) throw new Deno.errors.UnexpectedEof("handshake");
      await this.#news.promise;
    }
  }

  /**
   * Checks that the peer has one of the keys, and has proved it.
   *
   * @param option Where the pins come from, for the message.
   * @throws {RefusedError} It has another, or none; the reason alone.
   */
  async requirePin(pins: readonly Pin[], option: string): Promise<void> {
    const certificate = this.#socket.getPeerX509Certificate()?.raw;
    const pin = certificate && await provenPin(new Uint8Array(certificate));
    if (pin === undefined) {
      throw new RefusedError(
        "its certificate is not one that can be pinned (X.509 v3)",
      );
    }
    if (!pins.includes(pin)) {
      throw new RefusedError(
        `its key has the pin ${pin}, and ${option} wants ${pins.join(" or ")}`,
      );
    }
  }

  /**
   * Checks that a CA which the socket was started with vouches for the peer's
   * certificate, and that the peer has proved to have its key.
   *
   * @param vetted Who passed before in this run; the peer is added.
   * @param option Where the CAs come from, for the message.
   * @throws {RefusedError} It is not so; the reason alone.
   */
  async requireAuthority(vetted: Vetted, option: string): Promise<void> {
    const certificate = this.#socket.getPeerX509Certificate();
    // A session that is resumed was not looked at again, but its ticket was also
    // given to those who were refused.
    const isVouchedFor = certificate !== undefined &&
      (this.#socket.isSessionReused()
        ? vetted.has(certificate.fingerprint256)
        : isVerified(this.#socket));
    const isProven = certificate !== undefined &&
      await provenPin(new Uint8Array(certificate.raw)) !== undefined;
    if (!isProven) {
      throw new RefusedError(
        "its certificate is not one that can be verified (X.509 v3)",
      );
    }
    const reason = authorityReason(certificate, { isVouchedFor, option });
    if (reason !== undefined) throw new RefusedError(reason);
    vetted.add(certificate.fingerprint256);
  }

  async read(into: Uint8Array): Promise<number | null> {
    let isLastTurn = false;
    for (;;) {
      if (this.#received.length > 0) return this.#take(into);
      if (this.#isEnded) return null;
      if (this.#error !== undefined) throw this.#error;
      if (!this.#isCut) await this.#news.promise;
      else if (isLastTurn) throw new Deno.errors.UnexpectedEof("close_notify");
      else {
        // What came before the end of TCP is on its way through node's streams.
        isLastTurn = this.#carrier.readableLength === 0;
        await delay(0);
      }
    }
  }

  /** As much as there is and has room. */
  #take(into: Uint8Array): number {
    let filled = 0;
    for (;;) {
      const [first] = this.#received;
      if (first === undefined || filled === into.length) break;
      const part = first.subarray(0, into.length - filled);
      copyBytes(part, into.subarray(filled));
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
    await this.#carrier.written();
    return part.length;
  }

  async closeWrite(): Promise<void> {
    if (this.#socket.writableEnded) return;
    const { chunks } = this.#carrier;
    this.#socket.end();
    // The one that follows is the close_notify.
    while (this.#carrier.chunks === chunks) {
      if (this.#error !== undefined) throw this.#error;
      await this.#news.promise;
    }
    await this.#carrier.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#roomAgain.resolve();
    this.#socket.destroy();
    if (this.#isSecured) this.#conn.close();
    else this.#leave();
  }

  /** Closes so that the peer gets the alert that says why. */
  async #leave(): Promise<void> {
    const timer = setTimeout(() => this.#conn.close(), LEAVE_MS);
    try {
      await this.#carrier.closeWrite();
      // Closed with unread bytes, it would be reset, and the alert lost.
      while (await this.#conn.read(new Uint8Array(4096)) !== null);
      this.#conn.close();
    } catch {
      // The peer has gone, or too slow.
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** How many certificates are remembered as good. */
const MAX_VETTED = 4096;

/**
 * The certificates that were found good in a whole handshake. Of more than 4096
 * the one that was not back for longest is forgotten: who has it must do a whole
 * handshake again.
 */
export class Vetted {
  readonly #fingerprints = new Set<string>();

  has(fingerprint: string): boolean {
    return this.#fingerprints.has(fingerprint);
  }

  add(fingerprint: string): void {
    this.#fingerprints.delete(fingerprint);
    this.#fingerprints.add(fingerprint);
    const [oldest = ""] = this.#fingerprints;
    if (this.#fingerprints.size > MAX_VETTED) this.#fingerprints.delete(oldest);
  }
}

/**
 * Whether the TLS library has found a chain of good certificates (RFC 5280 section
 * 6) from the peer's to one of the CAs, and all that were sent with it may sign
 * others, which the library does not ask.
 *
 * `node:tls` has this for its own servers, which ask the socket's handle: `""`
 * (`null` in Node.js) is no error. Were it gone, nobody would be let in.
 */
function isVerified(socket: tls.TLSSocket): boolean {
  const { _handle: handle } = socket as unknown as {
    readonly _handle?: {
      verifyError?(): unknown;
      getPeerCertificateChain?(): { readonly certificates?: Uint8Array[] };
    };
  };
  const error = handle?.verifyError?.();
  const chain = handle?.getPeerCertificateChain?.().certificates;
  if (chain === undefined || (error !== "" && error !== null)) return false;
  return chain.slice(1).every((sent) => maySign(new Uint8Array(sent)));
}

/**
 * The pin of a certificate whose key the peer has proved to have.
 *
 * `node:tls` of Deno 2.9.6 takes a handshake as good without checking the peer's
 * signature when its TLS library cannot read the certificate: one of X.509 before
 * version 3, or with an encoding that it does not understand. Such a certificate
 * proves nothing; anybody could have made it out of a public key that is known.
 */
async function provenPin(
  certificate: Uint8Array<ArrayBuffer>,
): Promise<Pin | undefined> {
  return isReadable(toPem("CERTIFICATE", certificate))
    ? await pinOfCertificate(certificate)
    : undefined;
}
