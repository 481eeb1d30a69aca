/** Accepting in spite of clients that have left, or cannot be taken. */

import { codeOf } from "../base/errors.ts";
import { delay } from "@std/async/delay";

/** The number of failures in a row that cost no pause. */
const FREE_FAILURES = 100;
/** The pause between later ones, so that a system that only fails keeps no CPU busy. */
const PAUSE_MS = 5;

/**
 * The errors of accept(2) for one client that has not come to be: it left before it
 * was accepted, in the words of Linux, macOS and Windows, or the network had an
 * error for it, which Linux passes on.
 */
const CODES_OF_A_CLIENT: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "ECONNRESET",
  "ENOTCONN",
  "EPIPE",
  "EINVAL",
  "EPROTO",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "EPERM",
  "ETIMEDOUT",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENONET",
]);

/**
 * Accepts the next client that can be served. Those that cannot are passed over:
 * nobody from outside ends a listener. Ends only when the listener is closed.
 *
 * @throws The system's error that concerns no single client: the listener was
 * closed, there is no descriptor left.
 */
export async function acceptNext<T>(
  listener: { accept(): Promise<T> },
): Promise<T> {
  for (let failures = 1;; failures++) {
    try {
      return await listener.accept();
    } catch (error) {
      if (!isOfOneClient(error)) throw error;
    }
    if (failures > FREE_FAILURES) await delay(PAUSE_MS);
  }
}

function isOfOneClient(error: unknown): boolean {
  return CODES_OF_A_CLIENT.has(codeOf(error) ?? "") ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.NotConnected ||
    // Of a unix socket: the runtime takes no path that is not UTF-8.
    error instanceof Deno.errors.InvalidData;
}
