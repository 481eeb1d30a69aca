/**
 * TLS on a connection, as the rest of the program sees it, and as both TLS
 * libraries have to be: Deno's own wherever it can do what is asked
 * (`native_tls.ts`), that of `node:tls` for the rest (`node_tls.ts`).
 *
 * TLS 1.2 and 1.3 only, as the runtime has no other.
 */

import type { Dial, Socket } from "../net/socket.ts";
import type { KeyPair } from "./key_files.ts";

/** The connecting side of TLS. */
export interface TlsClient {
  /** Connects the socket, where that is not to be done as for TCP. */
  readonly dial?: Dial;
  /**
   * Does the handshake and verifies the peer.
   *
   * @param socket Connected by `dial` where there is one, else a plain TCP socket
   * of Deno; closed when the handshake fails.
   * @throws {RefusedError} The peer is not to be trusted, or refuses us.
   * @throws {TimeLimitError} It took longer than `--connect-timeout`.
   * @throws `signal.reason`.
   */
  secure(socket: Socket, signal: AbortSignal): Promise<Socket>;
}

/** The listening side of TLS. */
export interface TlsServer {
  /** Options for `Deno.listenTls`; `undefined` when the listener is one for TCP. */
  readonly listenTls: ListenTls | undefined;
  /** Our key, for the other side to know us by; `undefined` where it does anyway. */
  readonly identity: Identity | undefined;
  /**
   * Does the handshake and verifies the peer, within 10 s.
   *
   * @param socket Accepted from a listener opened so; closed when the handshake
   * fails.
   * @throws {RefusedError | TimeLimitError} The peer is not to be trusted, speaks
   * no TLS, or is too slow. The message is the reason alone.
   * @throws `signal.reason`.
   */
  secure(socket: Socket, signal: AbortSignal): Promise<Socket>;
}

/** A key by which a listener is known. */
export interface Identity {
  readonly pin: string;
  /** Whether the key was made for this run, so that nobody can know it yet. */
  readonly isNew: boolean;
  /**
   * Writes the command that starts the other side, for its user to paste.
   *
   * @param listening The address that the listener really has.
   */
  invitation(listening: string): string;
}

/** A key pair and more for `Deno.listenTls`. */
export interface ListenTls extends KeyPair {
  readonly alpnProtocols?: string[];
}

/** A TLS connection of either library, from its handshake on. */
export interface TlsStream extends Socket {
  /** The version that was negotiated, such as "TLS 1.3", where the library tells. */
  readonly version?: string | undefined;
  /**
   * Waits for the end of the handshake. To be called once, before all else.
   *
   * @throws What went wrong, in the words of the library.
   */
  handshake(): Promise<void>;
  /**
   * Closes a connection whose handshake failed, so that the peer gets the alert
   * that says why: within a second, or as soon as it has closed, too. Never rejects.
   */
  refuse(): Promise<void>;
  /** Closes at once, whatever is under way; the peer sees a failure, and no end. */
  abort(): void;
}
