/** The settings of `--proxy URL`: the proxy, its protocol, and the user. */

import { UsageError } from "../base/errors.ts";
import { parseAddress, type TcpAddress } from "./address.ts";
import { isIPv6 } from "./ip_address.ts";
import type { HostAndPort } from "./socket.ts";

/** The protocols, as `--proxy` names them, with their usual ports. */
const PROTOCOLS = { socks5h: 1080, socks5: 1080, socks4a: 1080, http: 80 };

/** `--proxy` and what belongs to it. */
export interface ProxySettings {
  /** With `socks5` names are resolved here, with all others by the proxy. */
  readonly protocol: keyof typeof PROTOCOLS;
  readonly address: TcpAddress;
  readonly user: string | undefined;
  /** Only with a user. */
  readonly password?: string | undefined;
}

const encoder = new TextEncoder();

/** The longest name, user and password of SOCKS5, in bytes. */
const MAX_SOCKS_BYTES = 255;

/** The longest user and password that are sent by HTTP, in bytes. */
const MAX_BASIC_BYTES = 4096;

/**
 * Reads `socks5h://`, `socks5://`, `socks4a://` or `http://`, then
 * `[USER@]HOST[:PORT]`. The user may be percent-encoded.
 *
 * @throws {UsageError} When the text is none of these, or has a password.
 */
export function parseProxy(text: string): ProxySettings {
  const { protocol = "", user, place = "" } =
    /^(?<protocol>[\w-]+):\/\/(?:(?<user>.*)@)?(?<place>[^@/]+)\/?$/
      .exec(text)?.groups ?? {};
  if (!isProtocol(protocol)) {
    throw new UsageError(
      `--proxy ${
        withoutPassword(text)
      } is not a proxy: write socks5h://, socks5://, socks4a:// or http://, then [USER@]HOST[:PORT]`,
    );
  }
  if (user?.includes(":")) {
    throw new UsageError(
      `--proxy ${
        withoutPassword(text)
      } has a password, which everybody on this machine could see: give it by --proxy-password-file FILE or SOCKPIPE_PROXY_PASSWORD`,
    );
  }
  const hasPort = /:[^:\]]*$/.test(place);
  const address = parseAddress(
    "--proxy",
    hasPort ? place : `${place}:${PROTOCOLS[protocol]}`,
  );
  if (address.transport !== "tcp") {
    throw new UsageError(`--proxy "${text}" is no TCP address`);
  }
  return { protocol, address, user: readUser(protocol, user) };
}

function isProtocol(text: string): text is ProxySettings["protocol"] {
  return Object.hasOwn(PROTOCOLS, text);
}

function withoutPassword(text: string): string {
  return `"${text.replace(/:[^:/@]*@/, ":…@")}"`;
}

function readUser(
  protocol: ProxySettings["protocol"],
  text: string | undefined,
): string | undefined {
  if (text === undefined || text === "") return undefined;
  const user = decoded(text);
  const most = protocol === "http" ? MAX_BASIC_BYTES : MAX_SOCKS_BYTES;
  if (
    user === undefined || encoder.encode(user).length > most ||
    // deno-lint-ignore no-control-regex
    /[\x00-\x1f\x7f]/.test(user) || protocol === "http" && user.includes(":")
  ) {
    throw new UsageError(
      `--proxy has the user "${text}", which ${protocol}:// cannot send: it takes at most ${most} bytes without control characters` +
        (protocol === "http" ? " and colons" : ""),
    );
  }
  return user;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * Adds a password to the settings.
 *
 * @param source The origin of the password, for the message.
 * @throws {UsageError} There is no user, or the protocol cannot send it.
 */
export function withPassword(
  proxy: ProxySettings,
  password: string,
  source: string,
): ProxySettings {
  const most = proxy.protocol === "http" ? MAX_BASIC_BYTES : MAX_SOCKS_BYTES;
  const { length } = encoder.encode(password);
  if (proxy.protocol === "socks4a") {
    throw new UsageError(
      `${source} cannot be used: socks4a:// has no passwords, so drop it or use socks5h://`,
    );
  }
  if (proxy.user === undefined) {
    throw new UsageError(
      `${source} needs a user: write it into the URL, --proxy ${proxy.protocol}://USER@${proxy.address.hostname}`,
    );
  }
  if (length < 1 || length > most) {
    throw new UsageError(
      `${source} cannot be used: the password has ${length} bytes, and ${proxy.protocol}:// takes from 1 to ${most}`,
    );
  }
  return { ...proxy, password };
}

/** Whether names are sent to the proxy, which resolves them. */
export function sendsNames({ protocol }: ProxySettings): boolean {
  return protocol !== "socks5";
}

/**
 * Checks that the protocol can name the target.
 *
 * @throws {UsageError} With SOCKS4a, an IPv6 address; a name that is too long.
 */
export function checkTarget(
  { protocol }: ProxySettings,
  { hostname, port }: HostAndPort,
): void {
  if (protocol === "socks4a" && isIPv6(hostname)) {
    throw new UsageError(
      `--proxy socks4a:// cannot reach "[${hostname}]:${port}": it knows no IPv6 addresses, so use socks5h://`,
    );
  }
  if (encoder.encode(hostname).length > MAX_SOCKS_BYTES) {
    throw new UsageError(
      `--proxy cannot reach "${hostname}": a name has at most ${MAX_SOCKS_BYTES} bytes`,
    );
  }
}
