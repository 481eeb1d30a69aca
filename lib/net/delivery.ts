/**
 * The delivery of everything to the peer: it must be known once both sides have
 * ended, when no read or write is left that would tell.
 */

import { delay } from "@std/async/delay";
import { isBrokenPipe } from "../base/errors.ts";
import type { Socket } from "./socket.ts";
import type { SocketDescriptor } from "./socket_descriptors.ts";
import { isTcp } from "./system_sockets.ts";

/** The longest pause between two questions, in ms. */
const MAX_PAUSE_MS = 50;

/**
 * The time that a reset may take, in ms, which answers data sent to a peer that had
 * ended its side before: one round trip, when the peer was gone altogether.
 */
const LATE_RESET_MS = 50;

/**
 * Waits until the peer's system has acknowledged all that was sent, our end of the
 * stream included. Waits without limit, also for a peer that is stopped; the caller
 * ends it by closing the connection.
 *
 * @param isClosed Whether the connection has been closed.
 * @throws {SystemError} The connection has broken.
 */
export async function untilAcknowledged(
  descriptor: SocketDescriptor,
  isClosed: () => boolean,
): Promise<void> {
  for (let pauseMs = 1; !isClosed();) {
    if (descriptor.isAcknowledged()) return;
    await delay(pauseMs);
    pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
  }
}

/**
 * Asks a socket for its pending error where its descriptor is not known: on TCP by
 * a write, which after the half-close sends nothing and fails with EPIPE unless a
 * reset has come; on a unix socket by a read. TLS has no such call.
 *
 * @param sentLate Whether bytes were sent after the peer's end, which a peer that
 * has left altogether answers with a reset: a round trip's time is given for it.
 * @throws The system's error, when a reset has come.
 */
export async function checkForReset(
  conn: Socket,
  sentLate: boolean,
): Promise<void> {
  if (conn.closeSaysEnd) return;
  const probe = new Uint8Array(1);
  if (!isTcp(conn)) {
    await conn.read(probe);
    return;
  }
  const until = performance.now() + (sentLate ? LATE_RESET_MS : 0);
  for (let waitMs = 1;; waitMs *= 7) {
    await conn.write(probe).catch((error) => {
      if (!isBrokenPipe(error)) throw error;
    });
    if (performance.now() >= until) return;
    await delay(waitMs);
  }
}
