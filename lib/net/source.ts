/** `--source`: connecting from an address and port of our choice (Linux). */

import { abortable } from "@std/async/abortable";
import { AF_INET, cString, libc, SystemError } from "../base/libc.ts";
import { reasonOf, UsageError } from "../base/errors.ts";
import { adoptConnection, type LinuxLibC } from "./adopted_socket.ts";
import { parseIp } from "./ip_address.ts";
import type { Dial, HostAndPort } from "./socket.ts";
import type { SourceAddress } from "./source_address.ts";
import { AF_INET6, encodeIp, type IpEndpoint } from "./socket_address.ts";

/** Numbers of `<sys/socket.h>`, `<netinet/in.h>` and `<errno.h>` of Linux. */
const SOCK_STREAM = 1;
const IPPROTO_IP = 0;
const IP_BIND_ADDRESS_NO_PORT = 24;
const SO_REUSEADDR = 2;
const EINPROGRESS = 115;

/** The failure of taking the address, in words. */
class SourceError extends Error {
  override readonly name = "SourceError";
  /** Whether the address may be free at the next attempt. */
  readonly isTemporary: boolean;

  constructor({ text }: SourceAddress, cause: SystemError) {
    const reason = cause.code === "EADDRNOTAVAIL"
      ? "this machine has no such address"
      : reasonOf(cause);
    super(`cannot come from "${text}" (--source): ${reason}`, { cause });
    this.isTemporary = cause.code === "EADDRINUSE";
  }
}

/**
 * Makes the function that connects from an address.
 *
 * @throws {UsageError} This system cannot do it.
 */
export function dialFrom(source: SourceAddress): Dial {
  const c = libc();
  const linux = c?.linux;
  if (c === undefined || linux === undefined) {
    throw new UsageError(
      "--source can be had on Linux only, as yet: drop it, and the system chooses",
    );
  }
  return ({ signal, ...target }) =>
    dial({ ...c, linux }, source, target, signal);
}

async function dial(
  c: LinuxLibC,
  source: SourceAddress,
  target: HostAndPort,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  signal.throwIfAborted();
  const fd = startConnecting(c, source, target);
  const conn = await adoptConnection(c, fd, { transport: "tcp", ...target });
  using unused = new DisposableStack();
  unused.adopt(conn, (conn) => conn.close());
  // Waits until it stands, sends nothing, and fails as connecting does.
  await abortable(conn.write(new Uint8Array(0)), signal);
  unused.move();
  return conn;
}

/** @returns The descriptor of a socket that is bound, and on its way. */
function startConnecting(
  c: LinuxLibC,
  source: SourceAddress,
  target: HostAndPort,
): number {
  const to = endpoint(c, target);
  const isV4 = to.ip.length === 4;
  const { O_NONBLOCK, O_CLOEXEC, SOL_SOCKET } = c.system;
  const family = isV4 ? AF_INET : AF_INET6;
  const fd = c.socket(family, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) throw new SystemError(c);
  // A port of ours may be waiting for late packets; another is found at connect.
  if (source.port > 0) setOption(c, fd, SOL_SOCKET, SO_REUSEADDR);
  else setOption(c, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  const from = encodeIp({
    ip: source.ip ?? new Uint8Array(to.ip.length),
    port: source.port,
    scope: scopeOf(c, source.zone),
  });
  const address = encodeIp(to);
  const isBound = c.linux.bind(fd, from, from.length) === 0;
  if (isBound && c.connect(fd, address, address.length) === 0) return fd;
  if (isBound && c.errno() === EINPROGRESS) return fd;
  const error = new SystemError(c);
  c.close(fd);
  throw isBound ? error : new SourceError(source, error);
}

function setOption(
  c: LinuxLibC,
  fd: number,
  level: number,
  name: number,
): void {
  const on = new Uint8Array(Int32Array.of(1).buffer);
  c.setsockopt(fd, level, name, on, on.length);
}

function endpoint(c: LinuxLibC, { hostname, port }: HostAndPort): IpEndpoint {
  const [address = "", zone] = hostname.split("%", 2);
  const ip = parseIp(address);
  if (ip === undefined) throw new Error(`"${hostname}" is no IP address`);
  return { ip, port, scope: scopeOf(c, zone) };
}

function scopeOf(c: LinuxLibC, zone: string | undefined): number {
  return zone === undefined ? 0 : c.linux.if_nametoindex(cString(zone));
}
