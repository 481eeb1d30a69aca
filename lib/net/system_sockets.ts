/** The system's own sockets behind those of the runtime, whichever system it is. */

import { libc } from "../base/libc.ts";
import type { Socket } from "./socket.ts";
import { findSockets, type SocketDescriptor } from "./socket_descriptors.ts";
import {
  findWindowsSockets,
  type WindowsSocket,
  winsock,
} from "./windows_sockets.ts";

/** A descriptor, or a handle of Windows. */
export type SystemSocket = SocketDescriptor | WindowsSocket;

/**
 * Finds the sockets behind connections; see {@linkcode findSockets} for what that
 * costs, and what counts as held.
 */
export function findSystemSockets<T extends Socket>(
  connections: Iterable<T>,
): Map<T, SystemSocket> {
  return Deno.build.os === "windows"
    ? findWindowsSockets(connections)
    : findSockets(connections);
}

/** Whether there is a library to find sockets with, and the right to it. */
export function canFindSockets(): boolean {
  return Deno.build.os === "windows"
    ? winsock() !== null
    : libc() !== undefined;
}

/**
 * Closes a connection of somebody who is refused, or not served any more. Over TCP
 * the peer sees a reset, and no end that it could take for that of an empty stream.
 */
export function refuseSocket(conn: Socket): void {
  const socket = isTcp(conn) ? findSystemSockets([conn]).get(conn) : undefined;
  socket?.reset();
  // A socket that has no peer any more is not found. One of TLS that cannot be
  // reset is closed by the end of the process, so that the peer sees it cut off.
  if (canFindSockets() || !conn.closeSaysEnd) conn.close();
}

/** Whether it is a TCP connection, or TLS over one. */
export function isTcp(conn: Socket): boolean {
  return conn.remoteAddr.transport === "tcp";
}
