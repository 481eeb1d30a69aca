/** Closing stdout. */

import { fileIdentity, replaceByNull } from "../base/descriptors.ts";
import { type LibC, SHUT_WR } from "../base/libc.ts";

/**
 * Closes stdout, so that the program that reads it sees its end now and not when
 * this process is gone. `Deno.stdout.close()` does not: the runtime keeps the
 * descriptor, and a duplicate of it, open for as long as it lives. All of them are
 * replaced by /dev/null, and stay valid for whoever writes to them by mistake.
 *
 * A socket is half-closed instead, whoever else has it: with inetd(8) and the like
 * it is stdin as well. A pipe or terminal that is also stdin or stderr stays open,
 * since its reader would see no end anyway.
 */
export function closeStdout(c: LibC): void {
  // On anything but a socket this does nothing.
  if (c.shutdown(1, SHUT_WR) === 0) return;
  const stdout = fileIdentity(c, 1);
  if (stdout === undefined) return;
  if ([0, 2].some((fd) => fileIdentity(c, fd) === stdout)) return;
  replaceByNull(c, stdout, 1);
}
