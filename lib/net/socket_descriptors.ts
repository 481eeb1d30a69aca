/**
 * The descriptors of Deno's sockets, and what only they can do: end with a reset,
 * say what the peer has not acknowledged, say why a connection broke.
 */

import { openDescriptors } from "../base/descriptors.ts";
import type { TcpInfo } from "../pipe/traffic.ts";
import {
  cString,
  type LibC,
  libc,
  O_RDWR,
  SHUT_RDWR,
  SHUT_WR,
  SystemError,
} from "../base/libc.ts";
import {
  indexByName,
  type SocketAddresses,
  SocketNames,
} from "./socket_names.ts";

/**
 * SIOCOUTQ of Linux, the bytes that the peer's system has not acknowledged (tcp(7),
 * unix(7)).
 */
const SIOCOUTQ = 0x5411n;
/** The same of macOS, in bytes that are in the send buffer (`<sys/socket.h>`). */
const SO_NWRITE = 0x1024;

const IPPROTO_TCP = 6;
/** Numbers of `<linux/tcp.h>`: the option, a state, and words of `struct tcp_info`. */
const TCP_INFO = 11;
const TCP_CLOSE = 7;
const TCP_INFO_LAST_ACK = 14;
const TCP_INFO_RTT = 17;
const TCP_INFO_TOTAL_RETRANS = 25;
const TCP_INFO_WORDS = 26;
const TCP_USER_TIMEOUT = 18;

/** The number of unanswered questions after which TCP gives up a silent peer. */
const KEEPALIVE_QUESTIONS = 5;
/** The longest time that Linux takes for one of them, in seconds. */
const MAX_KEEPALIVE_S = 32767;

/** The size of each buffer of a socket whose peer is on this machine, in bytes. */
const LOCAL_BUFFER_BYTES = 256 * 1024;

/** The descriptor of one connected socket. It stays Deno's to close. */
export class SocketDescriptor {
  readonly fd: number;
  readonly #c: LibC;
  #userTimeoutMs = 0;

  constructor(c: LibC, fd: number) {
    this.#c = c;
    this.fd = fd;
    held.add(fd);
  }

  /**
   * Makes a close that nobody asked for (the process is killed) reset the
   * connection. The peer then sees a failure instead of what looks like the end
   * of the stream. SO_LINGER with a time of 0, RFC 9293 section 3.10.4 ABORT.
   */
  resetOnClose(): void {
    this.#setLinger(1);
  }

  /** Lets a close be an ordinary one again. */
  closeOnClose(): void {
    this.#setLinger(0);
  }

  /**
   * Takes the descriptor off the list of known ones; call it last, before the
   * socket is closed.
   */
  forget(): void {
    held.delete(this.fd);
  }

  /**
   * Ends the connection with a reset; what is under way on it fails. The last call
   * but Deno's own close.
   */
  reset(): void {
    this.forget();
    const c = this.#c;
    this.#setLinger(1);
    if (c.linux !== undefined) {
      // A connect to nobody dissolves the connection (connect(2)).
      c.connect(this.fd, new Uint8Array(16), 16);
      return;
    }
    // Closed under Deno's feet, which keeps the number.
    const nowhere = c.open(cString("/dev/null"), O_RDWR);
    if (nowhere < 0) return;
    c.dup2(nowhere, this.fd);
    c.close(nowhere);
  }

  /**
   * Has TCP ask a silent peer whether it is there, and end the connection with
   * ETIMEDOUT when it answers none of {@linkcode KEEPALIVE_QUESTIONS} questions. For
   * as long as data is on its way it does not; see {@linkcode limitSilence}.
   *
   * @param afterMs The silence before the first question, in ms; the others are a
   * quarter of that apart. TCP counts in seconds, from 1 to 32767.
   */
  keepAlive(afterMs: number): void {
    const { SOL_SOCKET, keepalive } = this.#c.system;
    const seconds = (ms: number) =>
      Math.min(Math.max(Math.round(ms / 1000), 1), MAX_KEEPALIVE_S);
    this.#setNumber(SOL_SOCKET, keepalive.SO_KEEPALIVE, 1);
    const { idle, interval, count } = keepalive;
    this.#setNumber(IPPROTO_TCP, idle, seconds(afterMs));
    this.#setNumber(IPPROTO_TCP, interval, seconds(afterMs / 4));
    this.#setNumber(IPPROTO_TCP, count, KEEPALIVE_QUESTIONS);
  }

  /**
   * Lets the system give up a peer that has acknowledged nothing of what was sent for
   * so long, with ETIMEDOUT. To be called again and again: as long as the peer answers,
   * be it that it has no room, there is no limit. Linux only.
   */
  limitSilence(ms: number): void {
    const info = this.#askTcp();
    const [states = 0] = info ?? [];
    // Of what is sent again and again, and of questions whether there is room; one
    // of those may be lost, or be answered late.
    const [retransmits, probes] = [(states >>> 16) & 0xff, states >>> 24];
    const lastAckMs = info?.[TCP_INFO_LAST_ACK] ?? 0;
    const isSilent = retransmits > 0 || probes > 1 && lastAckMs >= ms;
    // TCP_USER_TIMEOUT for good would end those who only pause (tcp(7) and its code).
    const limitMs = isSilent ? ms : 0;
    if (limitMs === this.#userTimeoutMs) return;
    this.#userTimeoutMs = limitMs;
    this.#setNumber(IPPROTO_TCP, TCP_USER_TIMEOUT, limitMs);
  }

  /**
   * Keeps what is under way small enough for the processor's cache, which makes a
   * stream faster by a quarter and cheaper by as much. Only for a peer on this
   * machine: over a line that takes time, TCP needs more (RFC 7323), and finds how
   * much by itself where this is not called.
   */
  limitBuffers(): void {
    const { SOL_SOCKET, SO_RCVBUF, SO_SNDBUF } = this.#c.system;
    for (const buffer of [SO_RCVBUF, SO_SNDBUF]) {
      this.#setNumber(SOL_SOCKET, buffer, LOCAL_BUFFER_BYTES);
    }
  }

  #setNumber(level: number, option: number, value: number): void {
    const bytes = bytesOf(Int32Array.of(value));
    this.#c.setsockopt(this.fd, level, option, bytes, bytes.length);
  }

  /** Ends our sending side. */
  shutdownWrite(): void {
    this.#c.shutdown(this.fd, SHUT_WR);
  }

  /** Ends both directions, so that whatever waits on it ends; the last call. */
  shutdownBoth(): void {
    this.forget();
    this.#c.shutdown(this.fd, SHUT_RDWR);
  }

  /**
   * Whether the peer's system has acknowledged all that was sent, our end of the
   * stream included; on a unix socket, whether the peer has read it. True where it
   * cannot be known.
   *
   * @throws {SystemError} The connection has broken.
   */
  isAcknowledged(): boolean {
    this.#throwIfBroken();
    if (this.#hasNothingLeft()) {
      // A reset that comes between the two questions empties the queue on macOS.
      if (this.#c.linux === undefined) this.#throwIfBroken();
      return true;
    }
    // The last acknowledgement may come between the two questions.
    if (!this.#isClosed() || this.#hasNothingLeft()) return false;
    throw this.takeError() ?? new Error("connection reset by peer");
  }

  #throwIfBroken(): void {
    const error = this.takeError();
    if (error !== undefined) throw error;
  }

  /** Whether a TCP connection is over, as TCP_INFO of Linux tells it (tcp(7)). */
  #isClosed(): boolean {
    const [states = 0] = this.#askTcp() ?? [];
    return (states & 0xff) === TCP_CLOSE;
  }

  /** Reads TCP's measurements, on Linux. */
  tcpInfo(): TcpInfo | undefined {
    const info = this.#askTcp();
    const { [TCP_INFO_RTT]: rtt, [TCP_INFO_TOTAL_RETRANS]: retransmits } =
      info ?? [];
    if (rtt === undefined || retransmits === undefined) return undefined;
    return { roundTripMs: rtt / 1000, retransmits };
  }

  /** Reads the words of `struct tcp_info`, if this is a TCP socket on Linux. */
  #askTcp(): Uint32Array | undefined {
    const info = new Uint32Array(TCP_INFO_WORDS);
    const bytes = bytesOf(info);
    const length = bytesOf(Uint32Array.of(bytes.length));
    const c = this.#c;
    const done = c.linux !== undefined &&
      c.getsockopt(this.fd, IPPROTO_TCP, TCP_INFO, bytes, length) === 0;
    return done ? info : undefined;
  }

  #hasNothingLeft(): boolean {
    const answer = new Int32Array(1);
    const bytes = bytesOf(answer);
    const c = this.#c;
    const done = c.linux !== undefined
      ? c.linux.ioctl(this.fd, SIOCOUTQ, bytes)
      : c.getsockopt(
        this.fd,
        c.system.SOL_SOCKET,
        SO_NWRITE,
        bytes,
        bytesOf(Uint32Array.of(4)),
      );
    return done !== 0 || answer[0] === 0;
  }

  /** Takes the error that the socket holds, if it has one; it is then forgotten. */
  takeError(): SystemError | undefined {
    const { SOL_SOCKET, SO_ERROR } = this.#c.system;
    const answer = new Int32Array(1);
    const length = bytesOf(Uint32Array.of(4));
    this.#c.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, bytesOf(answer), length);
    const [errno = 0] = answer;
    return errno === 0 ? undefined : new SystemError(this.#c, errno);
  }

  #setLinger(onOff: 0 | 1): void {
    const { SOL_SOCKET, SO_LINGER } = this.#c.system;
    const linger = bytesOf(new Int32Array([onOff, 0]));
    this.#c.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, linger, linger.length);
  }
}

/** The descriptors that are known already, so that no search asks about them. */
const held = new Set<number>();

/**
 * Finds the descriptors of connections, by their addresses. One search costs about
 * a microsecond for each descriptor that this process has open and that is not
 * held, so it is better done for many connections at a time.
 *
 * A TCP connection is the only one with both its addresses, so a search for such is
 * over with the last of them. Of unix sockets several may be alike; those are not
 * found.
 *
 * @returns Those that were found; none where there is no such call. A descriptor
 * counts as held until it is reset or let go of.
 */
export function findSockets<T extends SocketAddresses>(
  connections: Iterable<T>,
): Map<T, SocketDescriptor> {
  const found = new Map<T, SocketDescriptor>();
  const c = libc();
  if (c === undefined) return found;
  const numbers = new Map<T, number | "several">();
  const names = new SocketNames({
    getpeername: c.getpeername,
    getsockname: c.getsockname,
    // struct sockaddr: macOS has a length before the family, both have one byte.
    familyAt: c.linux === undefined ? 1 : 0,
    inet6: c.system.AF_INET6,
  });
  const wanted = indexByName(connections);
  const areUnique = [...wanted.values()]
    .every(({ localAddr }) => localAddr.transport === "tcp");
  for (const fd of openDescriptors(c)) {
    if (fd < 3 || held.has(fd)) continue;
    const connection = wanted.get(names.of(fd));
    if (connection === undefined) continue;
    numbers.set(connection, numbers.has(connection) ? "several" : fd);
    if (areUnique && numbers.size === wanted.size) break;
  }
  for (const [connection, fd] of numbers) {
    if (fd === "several") continue;
    found.set(connection, new SocketDescriptor(c, fd));
  }
  return found;
}

function bytesOf(array: Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>) {
  return new Uint8Array(array.buffer);
}
