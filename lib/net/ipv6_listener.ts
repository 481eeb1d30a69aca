/** Listening on every IPv6 address and on no IPv4 one (Linux). */

import { libc, SystemError } from "../base/libc.ts";
import { adoptListener, localAddress } from "./adopted_socket.ts";
import type { Accepting } from "./joined_listener.ts";
import { AF_INET6, encodeIp } from "./socket_address.ts";

/** Numbers of `<sys/socket.h>` and `<netinet/in.h>` of Linux. */
const SOCK_STREAM = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

/** The length of the backlog, that of Deno's own listeners. */
const BACKLOG = 511;

/**
 * Listens on a port of all IPv6 addresses, so that another socket may have the same
 * port of IPv4: Deno itself takes both.
 *
 * @param open Opens a listener of the kind that is wanted.
 * @param port The port; 0 is the system's choice.
 * @returns `undefined` where there is no such call.
 * @throws {SystemError} The port may not be taken.
 */
export function listenOnIPv6<Conn extends Disposable>(
  open: (hostname: string, port: number) => Accepting<Conn>,
  { port, reusePort }: { readonly port: number; readonly reusePort: boolean },
): Accepting<Conn> | undefined {
  const c = libc();
  const linux = c?.linux;
  if (c === undefined || linux === undefined) return undefined;
  const { SOL_SOCKET, O_CLOEXEC } = c.system;
  const fd = c.socket(AF_INET6, SOCK_STREAM | O_CLOEXEC, 0);
  if (fd < 0) throw new SystemError(c);
  const on = new Uint8Array(Int32Array.of(1).buffer);
  c.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, on, on.length);
  c.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, on, on.length);
  if (reusePort) c.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, on, on.length);
  const address = encodeIp({ ip: new Uint8Array(16), port, scope: 0 });
  const isOpen = linux.bind(fd, address, address.length) === 0 &&
    linux.listen(fd, BACKLOG) === 0;
  // Before any other call changes errno.
  const error = isOpen ? undefined : new SystemError(c);
  const addr = localAddress({ ...c, linux }, fd);
  if (addr?.transport !== "tcp" || error !== undefined) {
    c.close(fd);
    throw error ?? new Error("the socket has no address");
  }
  const listener = adoptListener(
    { ...c, linux },
    fd,
    () => open("127.0.0.1", 0),
  );
  return {
    addr,
    accept: () => listener.accept(),
    close: () => listener.close(),
  };
}
