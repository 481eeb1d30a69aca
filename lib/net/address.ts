/**
 * ADDRESS: where to listen or connect. Parsing and printing; nothing is opened
 * or looked up here.
 */

import { UsageError } from "../base/errors.ts";

/** A TCP port of a host, by name or by IP address. */
export interface TcpAddress {
  readonly transport: "tcp";
  /** A name, an IPv4 address, an IPv6 address without brackets, or `*`. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** A unix domain socket. */
export interface UnixAddress {
  readonly transport: "unix";
  readonly path: string;
}

export type Address = TcpAddress | UnixAddress;

/** The host that a bare PORT means. */
const LOOPBACK = "127.0.0.1";

/**
 * `sun_path` holds 108 bytes on Linux, 104 on macOS and the BSDs, with the
 * closing NUL (unix(7)).
 */
const MAX_UNIX_PATH_BYTES = Deno.build.os === "linux" ? 107 : 103;

/**
 * Reads `PORT`, `HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `*:PORT` or `unix:PATH`.
 *
 * @param option The option that was given the text, for the message.
 * @throws {UsageError} When the text is none of these.
 */
export function parseAddress(
  option: "--listen" | "--connect" | "--forward",
  text: string,
): Address {
  const address = text.startsWith("unix:")
    ? unixAddress(option, text)
    : tcpAddress(option, text);
  if (option !== "--listen" && address.transport === "tcp") {
    if (address.hostname === "*") {
      throw new UsageError(
        `${option} "${text}" names no host: write HOST:PORT, or the port alone for ${LOOPBACK}`,
      );
    }
    if (address.port === 0) {
      throw new UsageError(
        `${option} "${text}" cannot be reached: port 0 lets the system choose, and only --listen can do that`,
      );
    }
  }
  return address;
}

function unixAddress(option: string, text: string): UnixAddress {
  const path = text.slice("unix:".length);
  if (path === "") {
    throw new UsageError(`${option} "${text}" has no path: write unix:PATH`);
  }
  if (new TextEncoder().encode(path).length > MAX_UNIX_PATH_BYTES) {
    throw new UsageError(
      `${option} "${text}" is too long: the path of a unix socket has at most ${MAX_UNIX_PATH_BYTES} bytes here`,
    );
  }
  return { transport: "unix", path };
}

function tcpAddress(option: string, text: string): TcpAddress {
  const match =
    /^(?:(?<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\[\]:\s]*):)?(?<port>\d+)$/
      .exec(text);
  if (match?.groups === undefined) throw malformed(option, text);
  const { host, port } = match.groups;
  const number = Number(port);
  if (number > 65535) {
    throw new UsageError(
      `${option} "${text}" has no such port: ports go from 0 to 65535`,
    );
  }
  if (host === undefined) {
    return { transport: "tcp", hostname: LOOPBACK, port: number };
  }
  const hostname = host === "" ? "*" : host.replace(/^\[|\]$/g, "");
  if (host.startsWith("[") && !isIPv6(hostname)) {
    throw malformed(option, text);
  }
  return { transport: "tcp", hostname, port: number };
}

function malformed(option: string, text: string): UsageError {
  const hint = isIPv6(text.replace(/:\d+$/, "")) || isIPv6(text)
    ? "an IPv6 address goes in brackets, [ADDRESS]:PORT"
    : "write PORT, HOST:PORT, [IPV6]:PORT or unix:PATH" +
      (option === "--listen" ? ", or :PORT for every interface" : "");
  return new UsageError(`${option} "${text}" is not an address: ${hint}`);
}

/** Whether the text is an IPv6 address, with or without a zone. */
export function isIPv6(text: string): boolean {
  const [address = "", zone] = text.split("%", 2);
  if (!address.includes(":") || zone === "") return false;
  return URL.canParse(`http://[${address}]/`);
}

/** Whether the text is a dotted IPv4 address. */
export function isIPv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 &&
    parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

/** Whether only this machine can reach the address. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    isIPv4(hostname) && hostname.startsWith("127.");
}

/** An IPv4 address that arrived at an IPv6 socket, as people write it. */
export function unmapped(hostname: string): string {
  const v4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(hostname)?.[1];
  return v4 ?? hostname;
}

/** The address as the user would type it: `127.0.0.1:80`, `[::1]:80`, `unix:/a`. */
export function formatAddress(address: Address | Deno.Addr): string {
  if ("hostname" in address) {
    const hostname = unmapped(address.hostname);
    return `${
      hostname.includes(":") ? `[${hostname}]` : hostname
    }:${address.port}`;
  }
  if ("path" in address) return `unix:${address.path ?? ""}`;
  return `vsock:${address.cid}:${address.port}`;
}
