/** `--accept-proxy-protocol`: clients that come by way of a proxy that we trust. */

import { Deadline, onAbort } from "../base/deadline.ts";
import { type AccessRule, covers } from "./access_list.ts";
import { HandshakeListener, type OnRefused } from "./handshake_listener.ts";
import type { Listener } from "./listener.ts";
import { readProxyHeader } from "./proxy_protocol.ts";
import type { Socket } from "./socket.ts";
import { refuseSocket } from "./system_sockets.ts";

/** The time limit of a header, in ms. */
const HEADER_MS = 10_000;

/**
 * Makes a listener that reads a PROXY header first of the connections that come
 * from trusted addresses, and takes the endpoints that it tells for theirs. Others
 * are taken as they are.
 *
 * @param trusted The addresses whose header is believed.
 * @param onRefused Called with those that were closed for want of a header.
 */
export function readProxyHeaders(
  listener: Listener,
  trusted: readonly AccessRule[],
  onRefused: OnRefused,
): Listener {
  return new HandshakeListener(
    listener,
    async (socket, signal) => {
      const { remoteAddr } = socket;
      const isTrusted = remoteAddr.transport === "tcp" &&
        covers(trusted, remoteAddr.hostname);
      return isTrusted ? await withOrigin(socket, signal) : socket;
    },
    onRefused,
  );
}

async function withOrigin(
  socket: Socket,
  signal: AbortSignal,
): Promise<Socket> {
  using deadline = new Deadline(
    signal,
    HEADER_MS,
    () => new Error(`no PROXY header within ${HEADER_MS / 1000}s`),
  );
  // A pending read rejects then.
  onAbort(deadline.signal, () => refuseSocket(socket));
  try {
    deadline.signal.throwIfAborted();
    return Object.assign(socket, { origin: await readProxyHeader(socket) });
  } catch (error) {
    deadline.abort(error);
    throw deadline.signal.reason;
  }
}
