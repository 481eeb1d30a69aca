/**
 * Sockets that Deno has not opened, put into Deno's hands (Linux): one that was
 * passed on to us, or that had to be bound before it was connected.
 *
 * Deno takes no descriptor (`node:net` of 2.9 does, but gives a stream of its own
 * that Deno's TLS does not take, and that of 2.4 does not). So Deno opens a socket
 * of the same kind, and the other is put in its place by dup3(2). What Deno waits
 * with, epoll(7), forgets the place then, and is told of it again with the number
 * that Deno had given it, which the system shows in /proc/self/fdinfo.
 */

import { openDescriptors } from "../base/descriptors.ts";
import {
  cString,
  F_GETFL,
  type LibC,
  O_RDONLY,
  SystemError,
} from "../base/libc.ts";
import { decodeAddress } from "./socket_address.ts";
import { findSockets } from "./socket_descriptors.ts";

/** A C library with the calls of Linux. */
export type LinuxLibC = LibC & { readonly linux: NonNullable<LibC["linux"]> };

const F_SETFL = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const EPOLL_CTL_ADD = 1;

/** Keeps the descriptor from programs that are started. */
export function closeOnExec(c: LinuxLibC, fd: number): void {
  c.linux.fcntlSet(fd, F_SETFD, FD_CLOEXEC);
}

/**
 * Finds the address of a socket.
 *
 * @returns `undefined` for what is no socket of TCP or unix(7).
 */
export function localAddress(
  c: LinuxLibC,
  fd: number,
): Deno.NetAddr | Deno.UnixAddr | undefined {
  const address = new Uint8Array(128);
  const length = Uint32Array.of(address.length);
  const lengthBytes = new Uint8Array(length.buffer);
  return c.getsockname(fd, address, lengthBytes) === 0
    ? decodeAddress(address.subarray(0, length[0]))
    : undefined;
}

/**
 * Puts a listening socket in the place of one that Deno opens.
 *
 * @param fd Closed afterwards, in all cases.
 * @param open Opens a listener of the same kind, of any address.
 * @returns Deno's listener, which now accepts what comes to the other socket. Its
 * `addr` is still the old one.
 * @throws {Error} It cannot be done; a {@linkcode SystemError} when a call failed.
 */
export function adoptListener<Listener extends { close(): void }>(
  c: LinuxLibC,
  fd: number,
  open: () => Listener,
): Listener {
  using passed = new DisposableStack();
  passed.defer(() => c.close(fd));
  using opened = new DisposableStack();
  const before = new Set(openDescriptors(c));
  const listener = opened.adopt(open(), (listener) => listener.close());
  // Another thread may have opened a file at the same time.
  const [place] = [...openDescriptors(c)]
    .filter((fd) => !before.has(fd) && localAddress(c, fd) !== undefined);
  replace(c, place, fd);
  opened.move();
  return listener;
}

/**
 * Puts a TCP socket in the place of a connection that Deno makes.
 *
 * @param fd Connected, or on its way to be. Closed afterwards, in all cases.
 * @param remoteAddr The address that it is connected to.
 * @returns Deno's connection, the caller's to close.
 * @throws {Error} It cannot be done; a {@linkcode SystemError} when a call failed.
 */
export async function adoptConnection(
  c: LinuxLibC,
  fd: number,
  remoteAddr: Deno.NetAddr,
): Promise<Deno.TcpConn> {
  try {
    const localAddr = localAddress(c, fd);
    using ourselves = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const conn = await Deno.connect({
      hostname: ourselves.addr.hostname,
      port: ourselves.addr.port,
    });
    try {
      const place = findSockets([conn]).get(conn);
      // Reset, it leaves nothing behind that the system would keep for a minute.
      place?.resetOnClose();
      place?.forget();
      replace(c, place?.fd, fd);
      return Object.defineProperties(conn, {
        localAddr: { value: localAddr },
        remoteAddr: { value: remoteAddr },
      });
    } catch (error) {
      conn.close();
      throw error;
    }
  } finally {
    c.close(fd);
  }
}

function replace(c: LinuxLibC, place: number | undefined, fd: number): void {
  const entry = place === undefined ? undefined : findEntry(c, place);
  if (place === undefined || entry === undefined) {
    throw new Error("the runtime does not wait for its sockets by epoll");
  }
  const flags = c.fcntl(fd, F_GETFL);
  c.linux.fcntlSet(fd, F_SETFL, flags | c.system.O_NONBLOCK);
  if (
    c.linux.dup3(fd, place, c.system.O_CLOEXEC) < 0 ||
    c.linux.epoll_ctl(entry.epoll, EPOLL_CTL_ADD, place, entry.event) < 0
  ) {
    throw new SystemError(c);
  }
}

/** The entry of a descriptor in an epoll(7). */
interface EpollEntry {
  /** The descriptor of the epoll. */
  readonly epoll: number;
  /** `struct epoll_event`, to be given again. */
  readonly event: Uint8Array<ArrayBuffer>;
}

/**
 * The epoll in which the last entry was found; most likely it has the next one,
 * too.
 */
let lastEpoll: number | undefined;

function findEntry(c: LinuxLibC, fd: number): EpollEntry | undefined {
  const line = new RegExp(
    `^tfd:\\s+${fd} events:\\s+([0-9a-f]+) data:\\s+([0-9a-f]+)`,
    "m",
  );
  const candidates = lastEpoll === undefined
    ? openDescriptors(c)
    : [lastEpoll, ...openDescriptors(c)];
  for (const epoll of candidates) {
    const [, events, data] = line.exec(descriptorInfo(c, epoll)) ?? [];
    if (events === undefined || data === undefined) continue;
    lastEpoll = epoll;
    const event = epollEvent(parseInt(events, 16), BigInt(`0x${data}`));
    return { epoll, event };
  }
  return undefined;
}

/** Makes `struct epoll_event`, which is packed on x86-64. */
function epollEvent(events: number, data: bigint): Uint8Array<ArrayBuffer> {
  const offset = Deno.build.arch === "x86_64" ? 1 : 2;
  const event = new Uint8Array(4 * offset + 8);
  event.set(new Uint8Array(Uint32Array.of(events).buffer));
  event.set(new Uint8Array(BigUint64Array.of(data).buffer), 4 * offset);
  return event;
}

/** The most that is read of what the system tells of an epoll, in bytes. */
const MAX_INFO_BYTES = 16 * 1024 * 1024;

/** Reads /proc/self/fdinfo, which Deno itself does not let its programs read. */
function descriptorInfo(c: LinuxLibC, fd: number): string {
  const file = c.open(cString(`/proc/self/fdinfo/${fd}`), O_RDONLY);
  if (file < 0) return "";
  const chunk = new Uint8Array(4096);
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < MAX_INFO_BYTES) {
    const count = c.read(file, chunk, BigInt(chunk.length));
    if (count <= 0) break;
    text += decoder.decode(chunk.subarray(0, count));
  }
  c.close(file);
  return text;
}
