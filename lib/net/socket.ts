/** Sockets that are connected, and how they come to be. */

/** A connected socket of Deno, or TLS that looks like one; its owner closes it. */
export interface Socket extends Disposable {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** The endpoints as a trusted proxy has told them, which passed the connection on. */
  readonly origin?: Endpoints | undefined;
  /**
   * The name by which the user knows the peer, when it is not its address: behind a
   * proxy.
   */
  readonly peerName?: string;
  /** Reads at least one byte; `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the sending side; what was written is still sent. */
  closeWrite(): Promise<void>;
  /** Closes it at once. Once only: the second call of a plain socket throws. */
  close(): void;
  /** The pin of the listening side's TLS key, where this side knows it. */
  readonly listenerPin?: string | undefined;
  /** Whether `close` tells the peer that it has got everything. */
  readonly closeSaysEnd?: boolean;
}

/**
 * Whether a socket is one of Deno's own, plain TCP or unix(7), so that its descriptor
 * carries just the bytes that are sent.
 */
export function isPlain(socket: Socket): boolean {
  return "readable" in socket && !("handshake" in socket);
}

/** The two endpoints of a connection, as the first who accepted it saw them. */
export interface Endpoints {
  /** The address that the connection comes from. */
  readonly source: Deno.NetAddr;
  /** The address that it was made to. */
  readonly destination: Deno.NetAddr;
}

/** A TCP port of a host, which `Deno.connect` and `Deno.listen` know as well. */
export interface HostAndPort {
  /** A name or an IP address, IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/**
 * Connects to a host: an IP address or, where the route takes names, a name.
 *
 * @param target.signal Its abort ends the attempt. An implementation may ignore it;
 * the caller then closes the socket that comes late.
 * @returns A connected socket, the caller's to close.
 * @throws The system's error, with its `code`.
 */
export type Dial = (
  target: HostAndPort & { signal: AbortSignal },
) => Promise<Socket>;
