/**
 * ADDRESS: where to listen or connect. Reading and writing; nothing is opened here
 * but the system's list of services.
 */

import { UsageError } from "../base/errors.ts";
import { isIPv4, isIPv6, unmapped } from "./ip_address.ts";
import type { IpFamily } from "./resolve.ts";
import { servicePort } from "./services.ts";

/** A TCP port of a host, by name or by IP address. */
export interface TcpAddress {
  readonly transport: "tcp";
  /**
   * A name, an IPv4 address, an IPv6 address without brackets and perhaps with a
   * zone (`fe80::1%eth0`), or `*`.
   */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** A unix domain socket. */
export interface UnixAddress {
  readonly transport: "unix";
  /** A path; or a NUL and a name in the abstract namespace of Linux (unix(7)). */
  readonly path: string;
}

export type Address = TcpAddress | UnixAddress;

/** The sockets that systemd has opened for us. */
export interface PassedAddress {
  readonly transport: "systemd";
}

/** An address that can be listened on. */
export type ListenAddress = Address | PassedAddress;

/** The options that take an ADDRESS. */
export type AddressOption = "--listen" | "--connect" | "--forward" | "--proxy";

/** The host that a bare PORT means. */
const LOOPBACK = "127.0.0.1";
/** The same with `--ipv6`. */
const LOOPBACK_6 = "::1";

/**
 * `sun_path` holds 108 bytes on Linux, 104 on macOS and the BSDs, with the
 * closing NUL of a path, or the opening one of a name (unix(7)).
 */
const MAX_UNIX_PATH_BYTES = Deno.build.os === "linux" ? 107 : 103;

/**
 * Reads `PORT`, `HOST:PORT`, `[IPV6]:PORT`, `[IPV6%ZONE]:PORT`, `:PORT`, `*:PORT`,
 * `unix:PATH` or `unix:@NAME`; PORT may be the name of a service.
 *
 * @param option The option that was given the text, for the message.
 * @param family The only family of IP addresses that is wanted, if any.
 * @throws {UsageError} When the text is none of these, or of the other family.
 */
export function parseAddress(
  option: AddressOption,
  text: string,
  family?: IpFamily,
): Address {
  const address = text.startsWith("unix:")
    ? unixAddress(option, text)
    : tcpAddress(option, text, family === 6 ? LOOPBACK_6 : LOOPBACK);
  if (family !== undefined) checkFamily(option, address, family);
  if (option !== "--listen" && address.transport === "tcp") {
    checkReachable(option, text, address);
  }
  return address;
}

/** Checks that an IP address is of the wanted family. Names pass. */
function checkFamily(
  option: AddressOption,
  address: Address,
  family: IpFamily,
): void {
  if (address.transport === "unix") return;
  const { hostname } = address;
  const isWrong = family === 4 ? isIPv6(hostname) : isIPv4(hostname);
  if (!isWrong) return;
  throw new UsageError(
    `${option} "${
      formatAddress(address)
    }" is no IPv${family} address: drop --ipv${family}`,
  );
}

/**
 * Reads what `--listen` takes: `systemd`, or else what {@linkcode parseAddress} does.
 *
 * @throws {UsageError} As that.
 */
export function parseListenAddress(
  text: string,
  family?: IpFamily,
): ListenAddress {
  return text === "systemd"
    ? { transport: "systemd" }
    : parseAddress("--listen", text, family);
}

function checkReachable(
  option: AddressOption,
  text: string,
  { hostname, port }: TcpAddress,
): void {
  if (hostname === "*") {
    throw new UsageError(
      `${option} "${text}" names no host: write HOST:PORT, or the port alone for ${LOOPBACK}`,
    );
  }
  if (port === 0) {
    throw new UsageError(
      `${option} "${text}" cannot be reached: port 0 lets the system choose, and only --listen can do that`,
    );
  }
}

function unixAddress(option: AddressOption, text: string): UnixAddress {
  const path = text.slice("unix:".length);
  if (path === "" || path === "@") {
    throw new UsageError(
      `${option} "${text}" has no path: write unix:PATH or unix:@NAME`,
    );
  }
  const isAbstract = path.startsWith("@");
  if (isAbstract && Deno.build.os !== "linux") {
    throw new UsageError(
      `${option} "${text}" is a name that only Linux has: write unix:PATH, or unix:./${path} for a file of that name`,
    );
  }
  const name = isAbstract ? path.slice(1) : path;
  if (new TextEncoder().encode(name).length > MAX_UNIX_PATH_BYTES) {
    throw new UsageError(
      `${option} "${text}" is too long: the ${
        isAbstract ? "name" : "path"
      } of a unix socket has at most ${MAX_UNIX_PATH_BYTES} bytes here`,
    );
  }
  return { transport: "unix", path: isAbstract ? `\0${name}` : path };
}

/** The form of a TCP address: a host before the last colon, if any, and the port. */
const TCP_ADDRESS =
  /^(?:(?<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\[\]:\s]*):)?(?<port>[\w-]+)$/;

/** @param loopback The host that a port alone means. */
function tcpAddress(
  option: AddressOption,
  text: string,
  loopback: string,
): TcpAddress {
  const { host, port = "" } = TCP_ADDRESS.exec(text)?.groups ?? {};
  if (port === "") throw malformed(option, text);
  const number = portNumber(option, text, port);
  if (host === undefined) {
    return { transport: "tcp", hostname: loopback, port: number };
  }
  const hostname = toAscii(host === "" ? "*" : host.replace(/^\[|\]$/g, ""));
  if (hostname === undefined) throw malformed(option, text);
  if (host.startsWith("[") && !isIPv6(hostname)) throw malformed(option, text);
  return { transport: "tcp", hostname, port: number };
}

function portNumber(
  option: AddressOption,
  text: string,
  port: string,
): number {
  if (/^\d+$/.test(port)) {
    if (Number(port) <= 65535) return Number(port);
    throw new UsageError(
      `${option} "${text}" has no such port: ports go from 0 to 65535`,
    );
  }
  const number = servicePort(port);
  if (number !== undefined) return number;
  if (!text.includes(":") || isIPv6(text)) throw malformed(option, text);
  throw new UsageError(
    `${option} "${text}" has no such port: this system knows no service "${port}", so write the number`,
  );
}

function malformed(option: AddressOption, text: string): UsageError {
  const hint = isIPv6(text.replace(/:\d+$/, "")) || isIPv6(text)
    ? "an IPv6 address goes in brackets, [ADDRESS]:PORT"
    : "write PORT, HOST:PORT, [IPV6]:PORT or unix:PATH" +
      (option === "--listen" ? ", or :PORT for every interface" : "");
  return new UsageError(`${option} "${text}" is not an address: ${hint}`);
}

/**
 * Writes a host's name as DNS has it: `bücher.example` is `xn--bcher-kva.example`
 * (UTS #46). One in ASCII stays as it is.
 *
 * @returns `undefined` when there is no such name.
 */
export function toAscii(hostname: string): string | undefined {
  if (/^[\0-\x7f]*$/.test(hostname)) return hostname;
  const url = `http://${hostname}/`;
  if (/[\0-,/:-@[-^`{-\x7f]/.test(hostname) || !URL.canParse(url)) {
    return undefined;
  }
  return new URL(url).hostname;
}

/** Whether only this machine can reach the address. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    isIPv4(hostname) && hostname.startsWith("127.");
}

/** Writes an address as the user would: `127.0.0.1:80`, `[::1]:80`, `unix:/a`. */
export function formatAddress(address: ListenAddress | Deno.Addr): string {
  if (address.transport === "systemd") return "systemd";
  if ("hostname" in address) {
    const hostname = unmapped(address.hostname);
    return `${
      hostname.includes(":") ? `[${hostname}]` : hostname
    }:${address.port}`;
  }
  if ("path" in address) {
    return `unix:${(address.path ?? "").replace(/^\0/, "@")}`;
  }
  return `vsock:${address.cid}:${address.port}`;
}
