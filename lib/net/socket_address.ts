/** Addresses of sockets as the C library has them (Linux). */

import { AF_INET, AF_UNIX } from "../base/libc.ts";
import { formatIp, unmappedIp } from "./ip_address.ts";

/** Numbers of `<sys/socket.h>`. */
export const AF_INET6 = 10;

/** An IP address and a port, for a call of the system. */
export interface IpEndpoint {
  /** 4 or 16 bytes. */
  readonly ip: Uint8Array;
  readonly port: number;
  /** The number of the interface that a link-local address is of, else 0. */
  readonly scope: number;
}

/** Makes `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)). */
export function encodeIp(
  { ip, port, scope }: IpEndpoint,
): Uint8Array<ArrayBuffer> {
  const isV4 = ip.length === 4;
  const address = new Uint8Array(isV4 ? 16 : 28);
  const view = new DataView(address.buffer);
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, isLittleEndian);
  view.setUint16(2, port);
  address.set(ip, isV4 ? 4 : 8);
  if (!isV4) view.setUint32(24, scope, isLittleEndian);
  return address;
}

/**
 * Makes `struct sockaddr_un` of a path, or of a NUL and a name (unix(7)).
 *
 * @param hasLength Whether a length stands before the family, as on BSD.
 */
export function encodePath(
  path: string,
  hasLength = false,
): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(path);
  // A path ends with a NUL, a name of the abstract namespace where it ends.
  const address = new Uint8Array(
    2 + bytes.length + (path.startsWith("\0") ? 0 : 1),
  );
  if (hasLength) address.set([address.length - 1, AF_UNIX]);
  else new DataView(address.buffer).setUint16(0, AF_UNIX, isLittleEndian);
  address.set(bytes, 2);
  return address;
}

/**
 * Reads what getsockname(2) has answered.
 *
 * @param bytes As many as it says.
 * @returns `undefined` for a socket of another family.
 */
export function decodeAddress(
  bytes: Uint8Array<ArrayBuffer>,
): Deno.NetAddr | Deno.UnixAddr | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = view.getUint16(0, isLittleEndian);
  if (family === AF_UNIX) {
    const [path = ""] =
      /^\0?[^\0]*/.exec(new TextDecoder().decode(bytes.subarray(2))) ?? [];
    return { transport: "unix", path };
  }
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const ip = family === AF_INET ? bytes.slice(4, 8) : bytes.slice(8, 24);
  const hostname = formatIp(unmappedIp(ip));
  return { transport: "tcp", hostname, port: view.getUint16(2) };
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
