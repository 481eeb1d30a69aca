/**
 * The sockets of Windows, by their handles: what makes one end with a reset, for
 * which Deno has no call.
 */

import type { Socket } from "./socket.ts";
import { byName, SocketNames } from "./socket_names.ts";

const SYMBOLS = {
  getpeername: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
  setsockopt: {
    parameters: ["usize", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
  shutdown: { parameters: ["usize", "i32"], result: "i32" },
} as const;

/** The calls of Winsock. */
export type Winsock = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Numbers of `<winsock2.h>` and `<ws2ipdef.h>`. */
const SOL_SOCKET = 0xffff;
const SO_LINGER = 0x80;
const SD_BOTH = 2;
const AF_INET6 = 23;

/** Handles are multiples of 4, and low ones are given out first. */
const HANDLE_STEP = 4n;
/** The highest handle that is searched: 16,384 of them take some 20 ms. */
const MAX_HANDLE = 65_536n;

let opened: Winsock | null | undefined;

/** Opens Winsock, the first time; `null` without the permission for it. */
export function winsock(): Winsock | null {
  if (opened !== undefined) return opened;
  try {
    opened = Deno.dlopen("ws2_32.dll", SYMBOLS).symbols;
  } catch {
    opened = null;
  }
  return opened;
}

/** The handles that are known already, so that no search asks about them. */
const held = new Set<bigint>();

/** The handle of one connected TCP socket. It stays Deno's to close. */
export class WindowsSocket {
  readonly #calls: Winsock;
  readonly #handle: bigint;
  readonly #closeSaysEnd: boolean;

  /** @param closeSaysEnd See {@linkcode Socket.closeSaysEnd}. */
  constructor(calls: Winsock, handle: bigint, closeSaysEnd: boolean) {
    this.#calls = calls;
    this.#handle = handle;
    this.#closeSaysEnd = closeSaysEnd;
    held.add(handle);
  }

  /** Makes a close, and the end of the process, reset the connection. */
  resetOnClose(): void {
    this.#setLinger(1);
  }

  /** Lets a close be an ordinary one again. */
  closeOnClose(): void {
    this.#setLinger(0);
  }

  /** Says that the socket is about to be closed; the last call. */
  letGo(): void {
    held.delete(this.#handle);
  }

  /** Makes Deno's close, which has to follow, a reset; the last call. */
  reset(): void {
    this.letGo();
    this.#setLinger(1);
    // So that no end of TLS goes out first: the peer sees one of TCP alone.
    if (this.#closeSaysEnd) this.#calls.shutdown(this.#handle, SD_BOTH);
  }

  #setLinger(onOff: 0 | 1): void {
    const linger = new Uint8Array(Uint16Array.of(onOff, 0).buffer);
    const { length } = linger;
    this.#calls.setsockopt(this.#handle, SOL_SOCKET, SO_LINGER, linger, length);
  }
}

/**
 * Finds the handles of connections, by their addresses.
 *
 * @returns Those that were found. A handle counts as held until it is reset or let
 * go of.
 */
export function findWindowsSockets<T extends Socket>(
  connections: Iterable<T>,
  calls: Winsock | null = winsock(),
): Map<T, WindowsSocket> {
  const found = new Map<T, WindowsSocket>();
  if (calls === null) return found;
  const names = new SocketNames<bigint>({
    ...calls,
    familyAt: 0,
    inet6: AF_INET6,
  });
  const wanted = byName(connections);
  for (let handle = HANDLE_STEP; handle < MAX_HANDLE; handle += HANDLE_STEP) {
    if (found.size === wanted.size) break;
    if (held.has(handle)) continue;
    const conn = wanted.get(names.of(handle));
    if (conn === undefined) continue;
    const socket = new WindowsSocket(calls, handle, conn.closeSaysEnd ?? false);
    found.set(conn, socket);
  }
  return found;
}
