/**
 * TLS on a connection: how it is started on either side, who is trusted, and what
 * is handed on: a socket on which the peer has been judged before a byte of data
 * moves.
 *
 * TLS 1.2 and 1.3 only, as the runtime has no other. Deno's own TLS is used
 * wherever it can do what is asked; `node_tls.ts` for the rest.
 */

import { type Address, formatAddress } from "../net/address.ts";
import { isIPv6 } from "../net/ip_address.ts";
import type { TlsSettings } from "./settings.ts";
import {
  firstCertificate,
  type KeyPair,
  readAuthorities,
  readClientAuthorities,
  readKeyPair,
  systemAuthorities,
} from "./key_files.ts";
import { RefusedError, TimeLimitError, UsageError } from "../base/errors.ts";
import type { NodeTls } from "./node_tls.ts";
import { pinOfCertificate } from "./pin.ts";
import { RecordReader } from "./record_reader.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Listener } from "../net/listener.ts";
import {
  handshakeReason,
  streamError,
  type TlsCircumstances,
} from "./reasons.ts";
import type { Dial, Socket } from "../net/socket.ts";
import { formatDuration } from "../base/units.ts";

/** The longest that a client may take for its handshake with a listener. */
const CLIENT_HANDSHAKE_MS = 10_000;

/**
 * How many handshakes a listener has under way. Whoever comes next takes the place
 * of the one that has been at it for longest, so that mute clients never fill it.
 */
const MAX_HANDSHAKES = 64;

/** The connecting side of TLS. */
export interface TlsClient {
  /** How the socket is to be connected, when not as for TCP. */
  readonly dial?: Dial;
  /**
   * Does the handshake and judges the peer.
   *
   * @param socket Connected by `dial`; closed when this rejects.
   * @throws {RefusedError} The peer is not to be trusted, or refuses us.
   * @throws {TimeLimitError} It took longer than `--connect-timeout`.
   * @throws `signal.reason`.
   */
  secure(socket: Socket, signal: AbortSignal): Promise<Socket>;
}

/** The listening side of TLS. */
export interface TlsServer {
  /** What the listener must be opened with, when the runtime's TLS is used. */
  readonly listenTls: ListenTls | undefined;
  /** What the other side needs to know of us to be sure that it is us. */
  readonly pin: string | undefined;
  /** Whether the key was made for this run, so that nobody can know it yet. */
  readonly isNew: boolean;
  /**
   * Does the handshake and judges the peer.
   *
   * @param socket Accepted from a listener opened so; closed when this rejects.
   * @throws {RefusedError} The peer is not to be trusted, or speaks no TLS.
   * @throws {TimeLimitError} It took longer than 10 s.
   * @throws `signal.reason`.
   */
  secure(socket: Socket, signal: AbortSignal): Promise<Socket>;
}

/** A key pair and more for `Deno.listenTls`. */
export interface ListenTls extends KeyPair {
  readonly alpnProtocols?: string[];
}

/**
 * Reads all that the connecting side needs; nothing is connected yet.
 *
 * @throws {RefusedError} A key or certificate is of no use.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {UsageError} This runtime cannot do it.
 */
export async function prepareClient(
  tls: TlsSettings,
  address: Address & { transport: "tcp" },
  limits: { readonly connectTimeoutMs: number },
  report: Reporter,
): Promise<TlsClient> {
  const name = tls.name ?? address.hostname;
  const peer = formatAddress(address);
  const keyPair = tls.certFile === undefined
    ? undefined
    : await readKeyPair({ cert: tls.certFile, key: tls.keyFile });
  const hasCertificate = keyPair !== undefined;
  const limitMs = limits.connectTimeoutMs;
  const handshake = { peer, limitMs, limitedBy: " (--connect-timeout)" };
  if (tls.pin !== undefined || tls.insecure) {
    const { startClient } = await loadNodeTls(
      tls.insecure ? "--tls-insecure" : "--tls-pin",
    );
    const { pin } = tls;
    if (pin === undefined) report.say({ event: "insecure", peer });
    return {
      secure: (socket, signal) =>
        secured(startClient(socket, { name, alpn: tls.alpn, keyPair }), {
          ...handshake,
          signal,
          circumstances: { role: "connect", name, hasCertificate },
          judge: pin && ((socket) => socket.requirePin([pin], "--tls-pin")),
        }),
    };
  }
  const own = tls.caFile && await readAuthorities("--tls-ca", tls.caFile);
  const authority = own ? firstCertificate(own) : undefined;
  const authorityPin = authority && await pinOfCertificate(authority);
  const options = {
    caCerts: [await systemAuthorities(), own ?? ""].filter((pem) => pem !== ""),
    ...(tls.alpn.length > 0 ? { alpnProtocols: [...tls.alpn] } : {}),
  };
  const circumstances = {
    role: "connect",
    name,
    authorityPin,
    hasCertificate,
  } as const;
  const secure = async (conn: Deno.TlsConn, signal: AbortSignal) =>
    await secured(conn, { ...handshake, signal, circumstances });
  if (keyPair === undefined) {
    return {
      secure: async (socket, signal) =>
        await secure(
          await Deno.startTls(socket as Deno.TcpConn, {
            ...options,
            hostname: name,
          }),
          signal,
        ),
    };
  }
  return {
    dial: ({ hostname, port }) => {
      const named = { ...options, ...keyPair, [SERVER_NAME]: name };
      return Deno.connectTls({ ...named, hostname, port });
    },
    secure: (socket, signal) => secure(socket as Deno.TlsConn, signal),
  };
}

/**
 * The name to verify when it is not that which is connected to. Deno.startTls can
 * be told the name but not a client's key, Deno.connectTls the other way round but
 * for this, which the runtime has for its own use. Were it gone, the name would not
 * fit and the peer be refused.
 */
const SERVER_NAME = Symbol.for("unstableServerName");

/**
 * Reads or makes all that the listening side needs; nothing is opened yet.
 *
 * @throws {RefusedError} A key or certificate is of no use.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {UsageError} This runtime cannot do it.
 */
export async function prepareServer(
  tls: TlsSettings,
  address: Address & { transport: "tcp" },
): Promise<TlsServer> {
  const keyPair = tls.certFile === undefined
    ? await (await import("./self_signed.ts")).makeSelfSigned(namesFor(address))
    : await readKeyPair({ cert: tls.certFile, key: tls.keyFile });
  const certificate = firstCertificate(keyPair.cert);
  const us = {
    pin: certificate && await pinOfCertificate(certificate),
    isNew: tls.certFile === undefined,
  };
  const { cert, key } = keyPair;
  const limits = { limitMs: CLIENT_HANDSHAKE_MS, limitedBy: "" };
  const circumstances = { role: "listen" } as const;
  if (tls.clientCaFile === undefined && tls.clientPins.length === 0) {
    const alpnProtocols = [...tls.alpn];
    return {
      ...us,
      listenTls: { cert, key, ...(tls.alpn.length > 0 && { alpnProtocols }) },
      secure: (socket, signal) => {
        const peer = formatAddress(socket.remoteAddr);
        const conn = socket as Deno.TlsConn;
        return secured(conn, { ...limits, signal, peer, circumstances });
      },
    };
  }
  const option = tls.clientCaFile ? "--tls-client-ca" : "--tls-client-pin";
  const { startServer, Vetted } = await loadNodeTls(option);
  const authorities = tls.clientCaFile === undefined
    ? undefined
    : await readClientAuthorities(option, tls.clientCaFile);
  const pins = tls.clientPins;
  const vetted = new Vetted();
  return {
    ...us,
    listenTls: undefined,
    secure: (socket, signal) =>
      secured(
        startServer(socket, {
          keyPair: { cert, key },
          alpn: tls.alpn,
          authorities,
        }),
        {
          ...limits,
          signal,
          peer: formatAddress(socket.remoteAddr),
          circumstances,
          judge: (socket) =>
            authorities === undefined
              ? socket.requirePin(pins, option)
              : socket.requireAuthority(vetted, option),
        },
      ),
  };
}

/** The names by which a listener's own machine knows it. */
function namesFor({ hostname }: { hostname: string }): string[] {
  const names = ["localhost", "127.0.0.1", "::1"];
  return hostname === "*" || names.includes(hostname)
    ? names
    : [hostname, ...names];
}

async function loadNodeTls(
  option: string,
): Promise<typeof import("./node_tls.ts")> {
  const module = await import("./node_tls.ts");
  if (!module.showsCertificates()) {
    throw new UsageError(
      `${option} cannot be had with Deno ${Deno.version.deno}, which does not show the peer's certificate: use Deno 2.9 or newer`,
    );
  }
  return module;
}

/** A TLS stream whose handshake may be still to come. */
type Handshaking = Deno.TlsConn | NodeTls;

interface HandshakeOptions<T extends Handshaking> {
  readonly signal: AbortSignal;
  readonly peer: string;
  readonly limitMs: number;
  /** What the user can change the limit with, as the message ends. */
  readonly limitedBy: string;
  readonly circumstances: TlsCircumstances;
  /** Decides on the peer after the handshake; throws a RefusedError. */
  readonly judge?: ((socket: T) => Promise<void>) | "" | undefined;
}

/** Does the handshake, and hands on a socket of which the peer has been judged. */
async function secured<T extends Handshaking>(
  socket: T,
  options: HandshakeOptions<T>,
): Promise<Socket> {
  const { signal, peer, limitMs, limitedBy, circumstances, judge } = options;
  let late: Error | undefined;
  const giveUp = (reason: Error) => {
    late ??= reason;
    socket.close();
  };
  const onAbort = () => giveUp(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => {
    const limit = formatDuration(limitMs);
    giveUp(
      new TimeLimitError(
        `Cannot set up TLS with "${peer}": the handshake took longer than ${limit}${limitedBy}`,
      ),
    );
  }, limitMs);
  try {
    signal.throwIfAborted();
    await socket.handshake();
    if (judge) await judge(socket);
    if (late !== undefined) throw late;
    return new TlsSocket(socket, peer, circumstances);
  } catch (error) {
    if (late === undefined) socket.close();
    throw late ?? new RefusedError(
      `Cannot set up TLS with "${peer}": ${
        handshakeReason(error, circumstances)
      }`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** A TLS stream after its handshake; its errors say what they mean. */
class TlsSocket implements Socket {
  /** Deno sends a close_notify when it closes a TLS stream. */
  readonly closeSaysEnd = true;
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #stream: Handshaking;
  readonly #reader: Pick<Handshaking, "read">;
  readonly #peer: string;
  readonly #circumstances: TlsCircumstances;
  #isEnded = false;

  constructor(
    stream: Handshaking,
    peer: string,
    circumstances: TlsCircumstances,
  ) {
    this.localAddr = stream.localAddr;
    this.remoteAddr = stream.remoteAddr;
    this.#stream = stream;
    // That of node:tls does it itself.
    this.#reader = "requirePin" in stream ? stream : new RecordReader(stream);
    this.#peer = peer;
    this.#circumstances = circumstances;
  }

  async read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.#reader.read(into);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    // As a TCP socket says it, so that nobody takes it for a reset.
    if (this.#isEnded) throw new Deno.errors.BrokenPipe("broken pipe");
    try {
      return await this.#stream.write(bytes);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async closeWrite(): Promise<void> {
    this.#isEnded = true;
    try {
      await this.#stream.closeWrite();
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    return streamError(error, this.#peer, this.#circumstances);
  }

  close(): void {
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Accepts those that pass. The handshakes run beside each other, so that a client
 * that is mute, broken or a stranger holds up nobody; it is said and forgotten.
 */
export class TlsListener implements Listener {
  readonly address: string;
  readonly exposed: boolean;
  readonly #listener: Listener;
  readonly #server: TlsServer;
  readonly #report: Reporter;
  /** Each aborts one handshake; the oldest first. */
  readonly #handshakes = new Set<AbortController>();
  readonly #secured: Socket[] = [];
  readonly #waiting: PromiseWithResolvers<Socket>[] = [];
  #isAccepting = false;
  #isClosed = false;

  /** @param listener Opened with `server.listenTls`; this object's from now on. */
  constructor(listener: Listener, server: TlsServer, report: Reporter) {
    this.address = listener.address;
    this.exposed = listener.exposed;
    this.#listener = listener;
    this.#server = server;
    this.#report = report;
  }

  accept(): Promise<Socket> {
    const ready = this.#secured.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    const turn = Promise.withResolvers<Socket>();
    this.#waiting.push(turn);
    if (!this.#isAccepting) this.#acceptAll();
    return turn.promise;
  }

  /** Accepts for as long as somebody waits. */
  async #acceptAll(): Promise<void> {
    this.#isAccepting = true;
    try {
      while (this.#waiting.length > 0) {
        this.#startHandshake(await this.#listener.accept());
      }
    } catch (error) {
      for (const turn of this.#waiting.splice(0)) turn.reject(error);
    } finally {
      this.#isAccepting = false;
    }
  }

  async #startHandshake(socket: Socket): Promise<void> {
    const peer = formatAddress(socket.remoteAddr);
    const handshake = new AbortController();
    const [oldest] = this.#handshakes;
    if (this.#handshakes.size >= MAX_HANDSHAKES) {
      oldest?.abort(new RefusedError("too many handshakes at once"));
    }
    this.#handshakes.add(handshake);
    try {
      this.#handOn(await this.#server.secure(socket, handshake.signal));
    } catch (error) {
      if (this.#isClosed) return;
      const text = error instanceof Error ? error.message : String(error);
      const reason = text.replace(/^Cannot set up TLS with "[^"]*": /, "");
      this.#report.say({ event: "handshake-failed", peer, reason });
    } finally {
      this.#handshakes.delete(handshake);
    }
  }

  #handOn(socket: Socket): void {
    const turn = this.#waiting.shift();
    if (this.#isClosed) socket.close();
    else if (turn === undefined) this.#secured.push(socket);
    else turn.resolve(socket);
  }

  close(): void {
    this.#listener.close();
    this.#isClosed = true;
    const reason = new RefusedError("the listener is closed");
    for (const handshake of this.#handshakes) handshake.abort(reason);
    for (const socket of this.#secured.splice(0)) socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** How the other side is started, for its user to paste. */
export function invitation(
  address: Address & { transport: "tcp" },
  listening: string,
  pin: string,
): string {
  const { hostname } = address;
  const port = /\d+$/.exec(listening)?.[0] ?? "";
  const isOpen = hostname === "*" || hostname === "::" ||
    hostname === "0.0.0.0";
  const host = isOpen
    ? "THIS-MACHINE"
    : isIPv6(hostname)
    ? `[${hostname}]`
    : hostname;
  return `sockpipe --connect ${host}:${port} --tls --tls-pin ${pin}`;
}
