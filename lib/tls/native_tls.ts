/** TLS by the runtime's own library: the faster one, which shows no certificates. */

import type { Socket } from "../net/socket.ts";
import { findSystemSockets } from "../net/system_sockets.ts";
import { RecordReader } from "./record_reader.ts";
import type { TlsStream } from "./tls.ts";

/** A connection of `Deno.startTls`, `Deno.connectTls` or `Deno.listenTls`. */
export class NativeTls implements TlsStream {
  /** Deno sends a close_notify when it closes a TLS stream. */
  readonly closeSaysEnd = true;
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #conn: Deno.TlsConn;
  readonly #reader: RecordReader;
  #isSecured = false;
  #isClosed = false;

  /** @param conn Is this object's from now on. */
  constructor(conn: Deno.TlsConn) {
    // Deno.startTls leaves the transport out.
    this.localAddr = { ...conn.localAddr, transport: "tcp" };
    this.remoteAddr = { ...conn.remoteAddr, transport: "tcp" };
    this.#conn = conn;
    this.#reader = new RecordReader(conn);
  }

  async handshake(): Promise<void> {
    await this.#conn.handshake();
    this.#isSecured = true;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#reader.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  /** Sends the close_notify, and ends the sending side of TCP: Deno does both. */
  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }

  /** Closes the connection; the library has sent the alert already. */
  refuse(): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * Resets TCP, then closes. Without the reset the runtime would go on with a
   * handshake after a close, for as long as the peer is mute; and after one, tell
   * the peer that all is well.
   */
  abort(): void {
    if (!this.#isClosed) {
      const socket = findSystemSockets([this]).get(this);
      if (this.#isSecured || Deno.build.os === "linux") socket?.reset();
      // A reset does not end what is under way there.
      else socket?.shutdownBoth();
    }
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Starts TLS as the client; the handshake is still to come.
 *
 * @param socket Plain TCP; the stream's from now on.
 * @throws The system's error, when its connection is gone already.
 */
export async function startNativeTls(
  socket: Socket,
  options: Deno.StartTlsOptions,
): Promise<NativeTls> {
  if (isTcpConn(socket)) {
    return new NativeTls(await Deno.startTls(socket, options));
  }
  throw new TypeError("TLS can only be started on a TCP socket of Deno");
}

function isTcpConn(socket: Socket): socket is Deno.TcpConn {
  return "setNoDelay" in socket && !("handshake" in socket);
}

/**
 * Narrows a socket to a TLS connection of Deno.
 *
 * @throws {TypeError} It is none.
 */
export function tlsConn(socket: Socket): Deno.TlsConn {
  if (isTlsConn(socket)) return socket;
  throw new TypeError("the socket is not one of Deno's TLS");
}

function isTlsConn(socket: Socket): socket is Deno.TlsConn {
  return "handshake" in socket;
}
