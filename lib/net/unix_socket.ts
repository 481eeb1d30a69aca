/** Unix sockets, asked about in ways that Deno has no call for. */

import { AF_UNIX, libc } from "../base/libc.ts";
import { encodePath } from "./socket_address.ts";

const SOCK_DGRAM = 2;

/** Puts into words that Deno before 2.9 takes no name of the abstract namespace. */
export function nameError(error: unknown): unknown {
  return error instanceof Error && error.message.includes("null byte")
    ? new Error(
      `Deno ${Deno.version.deno} cannot use names of the abstract namespace: use Deno 2.9 or newer, or unix:PATH`,
      { cause: error },
    )
    : error;
}

/**
 * Whether some process has the unix stream socket at `path` open. Connecting to it
 * would tell, too, but a listener that waits for one peer would take us for it. So
 * a datagram socket is connected, which a stream socket refuses: with EPROTOTYPE
 * while it lives, with ECONNREFUSED when it is only a name any more.
 *
 * @param path At most as long as the system allows.
 * @returns `undefined` where it cannot be known.
 */
export function isSocketAlive(path: string): boolean | undefined {
  const c = libc();
  if (c === undefined) return undefined;
  const fd = c.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return undefined;
  const address = encodePath(path, c.linux === undefined);
  const done = c.connect(fd, address, address.length) === 0;
  const errno = c.errno();
  c.close(fd);
  if (done || errno === c.system.EPROTOTYPE) return true;
  return errno === c.system.ECONNREFUSED ? false : undefined;
}
