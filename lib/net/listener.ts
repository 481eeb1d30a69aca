/** A listening socket, as everything that accepts knows it. */

import { formatDuration } from "../base/units.ts";
import type { Socket } from "./socket.ts";
import { TimeLimitError } from "../base/errors.ts";

/** A listening TCP or unix socket. */
export interface Listener extends Disposable {
  /** The address it really has, with the port that the system chose. */
  readonly address: string;
  /** Whether other machines can reach it. */
  readonly exposed: boolean;
  /**
   * Waits for the next peer.
   *
   * @returns A connected socket, the caller's to close.
   * @throws {ListenError} The system can accept no more, or the listener is closed.
   */
  accept(): Promise<Socket>;
  /**
   * Stops listening: who comes now is refused. Removes the path of a unix socket,
   * if it is still ours. Idempotent.
   */
  close(): void;
}

/** Makes the error for `--accept-timeout`: nobody came to a listener. */
export function nobodyCame(
  { address }: Pick<Listener, "address">,
  limitMs = 0,
): TimeLimitError {
  const limit = `${formatDuration(limitMs)} (--accept-timeout)`;
  return new TimeLimitError(`Nobody came to "${address}" within ${limit}`);
}
