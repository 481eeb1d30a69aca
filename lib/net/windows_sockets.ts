/**
 * The sockets of Windows, by their handles: what makes one end with a reset, for
 * which Deno has no call.
 */

import { AF_INET } from "../base/libc.ts";
import type { Socket } from "./socket.ts";
import { indexByName, SocketNames } from "./socket_names.ts";

const SYMBOLS = {
  closesocket: { parameters: ["usize"], result: "i32" },
  getpeername: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
  setsockopt: {
    parameters: ["usize", "i32", "i32", "buffer", "i32"],
    result: "i32",
  },
  shutdown: { parameters: ["usize", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "usize" },
} as const;

/** The calls of Winsock. */
export type Winsock = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Numbers of `<winsock2.h>` and `<ws2ipdef.h>`. */
const SOL_SOCKET = 0xffff;
const SO_LINGER = 0x80;
const SD_BOTH = 2;
const AF_INET6 = 23;
const SOCK_STREAM = 1;
const INVALID_SOCKET = 0xffff_ffff_ffff_ffffn;

/** Handles are multiples of 4, and low ones are given out first. */
const HANDLE_STEP = 4n;
/** The highest handle that is searched: 16,384 of them take some 20 ms. */
const MAX_HANDLE = 65_536n;

/**
 * The most sockets that are opened until one has the number that has just become
 * free: mostly it is the first.
 */
const MAX_PLACES = 256;

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

  constructor(calls: Winsock, handle: bigint) {
    this.#calls = calls;
    this.#handle = handle;
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

  /**
   * Takes the handle off the list of known ones; call it last, before the socket is
   * closed.
   */
  forget(): void {
    held.delete(this.#handle);
  }

  /**
   * Ends the connection with a reset; the last call but Deno's own close, which has
   * to follow at once. That one alone would send an end before the reset: the
   * runtime shuts the sending side down first. So the socket is closed under its
   * feet, and another, which is connected to nobody, gets its number, so that
   * what the runtime still does with that hits nobody else.
   */
  reset(): void {
    this.forget();
    this.#setLinger(1);
    this.#calls.closesocket(this.#handle);
    occupy(this.#calls, this.#handle);
  }

  /**
   * Ends both directions, so that whatever waits on it ends, and makes Deno's close
   * a reset; the last call but that.
   */
  shutdownBoth(): void {
    this.forget();
    this.#setLinger(1);
    this.#calls.shutdown(this.#handle, SD_BOTH);
  }

  #setLinger(onOff: 0 | 1): void {
    const linger = new Uint8Array(Uint16Array.of(onOff, 0).buffer);
    const { length } = linger;
    this.#calls.setsockopt(this.#handle, SOL_SOCKET, SO_LINGER, linger, length);
  }
}

/** Opens a socket that has a given number, which is free. */
function occupy(calls: Winsock, wanted: bigint): void {
  const others: bigint[] = [];
  while (others.length < MAX_PLACES) {
    const handle = calls.socket(AF_INET, SOCK_STREAM, 0);
    if (handle === wanted || handle === INVALID_SOCKET) break;
    others.push(handle);
  }
  for (const handle of others) calls.closesocket(handle);
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
  const wanted = indexByName(connections);
  for (let handle = HANDLE_STEP; handle < MAX_HANDLE; handle += HANDLE_STEP) {
    if (found.size === wanted.size) break;
    if (held.has(handle)) continue;
    const conn = wanted.get(names.of(handle));
    if (conn === undefined) continue;
    found.set(conn, new WindowsSocket(calls, handle));
  }
  return found;
}
