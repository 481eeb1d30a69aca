/**
 * SOCKS5 (RFC 1928, with the user and password of RFC 1929) and SOCKS4a, as the
 * side that asks.
 */

import { isIPv4, parseIp } from "./ip_address.ts";
import { notAProxy, ProxyError, type ProxyStream } from "./proxy_exchange.ts";
import type { ProxySettings } from "./proxy_settings.ts";
import type { HostAndPort } from "./socket.ts";

const encoder = new TextEncoder();

const NO_PASSWORD = 0;
const BY_PASSWORD = 2;
const NO_METHOD = 0xff;

/** The answers of SOCKS5 (RFC 1928, section 6), and which may change. */
const SOCKS5_REASONS: Partial<Record<number, [string, boolean]>> = {
  1: ["failed, and does not say why", true],
  2: ["does not allow this connection", false],
  3: ["cannot reach it: network unreachable", true],
  4: ["cannot reach it: host unreachable", true],
  5: ["cannot reach it: connection refused", true],
  6: ["cannot reach it: the time to live has expired", true],
  7: ["does not know CONNECT", false],
  8: ["does not know this type of address", false],
};

/**
 * Asks a SOCKS5 proxy for a connection.
 *
 * @throws {ProxyError} It refuses, or is none.
 */
export async function askSocks5(
  proxy: ProxyStream,
  { user, password }: ProxySettings,
  { hostname, port }: HostAndPort,
): Promise<void> {
  const methods = user === undefined
    ? [NO_PASSWORD]
    : [NO_PASSWORD, BY_PASSWORD];
  await proxy.write(Uint8Array.of(5, methods.length, ...methods));
  const [version = 0, method = NO_METHOD] = await proxy.readExactly(2);
  if (version !== 5) throw notAProxy("SOCKS5", version);
  if (method === NO_METHOD || !methods.includes(method)) {
    throw new ProxyError(
      user === undefined
        ? "wants a user: write USER@ into the URL"
        : "accepts neither a user with a password nor none",
      false,
    );
  }
  if (method === BY_PASSWORD) await sendPassword(proxy, user, password);
  const ip = parseIp(hostname);
  const host = ip ?? withLength(hostname);
  const type = ip === undefined ? 3 : ip.length === 4 ? 1 : 4;
  await proxy.write(
    Uint8Array.of(5, 1, 0, type, ...host, port >> 8, port & 255),
  );
  await hearSocks5(proxy);
}

async function sendPassword(
  proxy: ProxyStream,
  user = "",
  password = "",
): Promise<void> {
  await proxy.write(
    Uint8Array.of(1, ...withLength(user), ...withLength(password)),
  );
  const [, status] = await proxy.readExactly(2);
  if (status === 0) return;
  throw new ProxyError(
    password === ""
      ? "wants a password: give --proxy-password-file FILE or SOCKPIPE_PROXY_PASSWORD"
      : "does not take this user and password",
    false,
  );
}

/** Reads the answer to a request, up to the address that it ends with. */
async function hearSocks5(proxy: ProxyStream): Promise<void> {
  const [version = 0, reply = 0, , type = 0] = await proxy.readExactly(4);
  if (version !== 5) throw notAProxy("SOCKS5", version);
  if (reply !== 0) {
    const [reason, isTemporary] = SOCKS5_REASONS[reply] ??
      [`answered ${reply}, which nobody has defined`, false];
    throw new ProxyError(reason, isTemporary);
  }
  const length = type === 1
    ? 4
    : type === 4
    ? 16
    : type === 3
    ? (await proxy.readExactly(1))[0] ?? 0
    : undefined;
  if (length === undefined) throw notAProxy("SOCKS5", type);
  await proxy.readExactly(length + 2);
}

/** Encodes a text of at most 255 bytes, with its length before it, in one byte. */
function withLength(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return Uint8Array.of(bytes.length, ...bytes);
}

/** The answers of SOCKS4, and which may change. */
const SOCKS4_REASONS: Partial<Record<number, [string, boolean]>> = {
  91: ["refused or failed, and does not say why", true],
  92: ["does not reach the identd of this machine", false],
  93: ["was told another user by the identd of this machine", false],
};

/**
 * Asks a SOCKS4a proxy for a connection.
 *
 * @param target Not an IPv6 address.
 * @throws {ProxyError} It refuses, or is none.
 */
export async function askSocks4a(
  proxy: ProxyStream,
  { user = "" }: ProxySettings,
  { hostname, port }: HostAndPort,
): Promise<void> {
  // 0.0.0.x says that a name follows.
  const isAddress = isIPv4(hostname);
  const ip = isAddress ? parseIp(hostname) ?? [] : [0, 0, 0, 1];
  const name = isAddress ? [] : [...encoder.encode(hostname), 0];
  await proxy.write(
    Uint8Array.of(
      4,
      1,
      port >> 8,
      port & 255,
      ...ip,
      ...encoder.encode(user),
      0,
      ...name,
    ),
  );
  const [version = 0, reply = 0] = await proxy.readExactly(8);
  if (version !== 0) throw notAProxy("SOCKS4", version);
  if (reply === 90) return;
  const [reason, isTemporary] = SOCKS4_REASONS[reply] ??
    [`answered ${reply}, which nobody has defined`, false];
  throw new ProxyError(reason, isTemporary);
}
