/** Telling the service manager that we are ready (sd_notify(3)). */

import { AF_UNIX, libc } from "../base/libc.ts";
import { encodePath } from "./socket_address.ts";

/** The variable with the service manager's socket: a path, or `@` and a name. */
const VARIABLE = "NOTIFY_SOCKET";

const SOCK_DGRAM = 2;

/**
 * Says that we are ready, once; does nothing where nobody asks for it. A manager
 * that is not there is none of our failures.
 */
export function notifyReady(): void {
  const path = Deno.env.get(VARIABLE);
  if (path === undefined) return;
  // What is started later is not to speak for us.
  Deno.env.delete(VARIABLE);
  const c = libc();
  if (c?.linux === undefined) return;
  const { O_CLOEXEC, MSG_NOSIGNAL } = c.system;
  const fd = c.socket(AF_UNIX, SOCK_DGRAM | O_CLOEXEC, 0);
  if (fd < 0) return;
  const address = encodePath(path.replace(/^@/, "\0"));
  const message = new TextEncoder().encode("READY=1");
  if (c.connect(fd, address, address.length) === 0) {
    c.send(fd, message, BigInt(message.length), MSG_NOSIGNAL);
  }
  c.close(fd);
}
