/**
 * The request to a proxy, before the connection is the peer's. Of each answer
 * exactly its bytes are read, so that what the peer says behind it stays in the
 * socket, which is handed on as it is.
 */

import { Deadline, onAbort } from "../base/deadline.ts";
import { isIPv6 } from "./ip_address.ts";
import { notAProxy, ProxyError, ProxyStream } from "./proxy_exchange.ts";
import type { ProxySettings } from "./proxy_settings.ts";
import type { HostAndPort, Socket } from "./socket.ts";
import { askSocks4a, askSocks5 } from "./socks.ts";

const encoder = new TextEncoder();

/** The functions that ask, by protocol. */
const ASK = {
  socks5h: askSocks5,
  socks5: askSocks5,
  socks4a: askSocks4a,
  http: askHttp,
};

/**
 * Has the proxy connect to the target.
 *
 * @param socket Connected to the proxy. Afterwards it is connected to the target,
 * nothing of which has been read; when this rejects, it is closed.
 * @param signal Its abort ends the wait for the proxy.
 * @throws {ProxyError} The proxy refuses, or is none.
 * @throws `signal.reason`.
 */
export async function askProxy(
  socket: Socket,
  proxy: ProxySettings,
  target: HostAndPort,
  signal: AbortSignal,
): Promise<void> {
  using failed = new Deadline(signal);
  // A pending read rejects then.
  onAbort(failed.signal, () => socket.close());
  try {
    failed.signal.throwIfAborted();
    await ASK[proxy.protocol](new ProxyStream(socket), proxy, target);
  } catch (error) {
    failed.abort(
      error instanceof ProxyError ? error.withAddress(proxy) : error,
    );
    throw failed.signal.reason;
  }
}

/** The most bytes that the answer of an HTTP proxy may have before its empty line. */
const MAX_HEAD_BYTES = 16 * 1024;

/** The longest reason of an HTTP proxy that is repeated, in characters. */
const MAX_REASON_LENGTH = 80;

/** Asks by CONNECT (RFC 9110, 9.3.6), with the Basic scheme of RFC 7617. */
async function askHttp(
  proxy: ProxyStream,
  { user, password = "" }: ProxySettings,
  { hostname, port }: HostAndPort,
): Promise<void> {
  const host = `${isIPv6(hostname) ? `[${hostname}]` : hostname}:${port}`;
  const lines = [`CONNECT ${host} HTTP/1.1`, `Host: ${host}`];
  if (user !== undefined) {
    const credentials = btoa(
      String.fromCharCode(...encoder.encode(`${user}:${password}`)),
    );
    lines.push(`Proxy-Authorization: Basic ${credentials}`);
  }
  await proxy.write(encoder.encode(`${lines.join("\r\n")}\r\n\r\n`));
  const { status, reason } = await readHead(proxy);
  if (status >= 200 && status < 300) return;
  if (status === 407) {
    throw new ProxyError(
      user === undefined
        ? "wants a user: write USER@ into the URL, and give the password by --proxy-password-file FILE or SOCKPIPE_PROXY_PASSWORD"
        : "does not take this user and password",
      false,
    );
  }
  // It could not reach the target: 502, 503, 504; tinyproxy says 500.
  throw new ProxyError(
    `answered ${status}${reason && ` ${reason}`}`,
    status >= 500,
  );
}

/** Reads the head of an answer (RFC 9112, section 4), and not a byte more. */
async function readHead(
  proxy: ProxyStream,
): Promise<{ status: number; reason: string }> {
  let head = "";
  while (!head.endsWith("\r\n\r\n") && !head.endsWith("\n\n")) {
    const [byte = 0] = await proxy.readExactly(1);
    head += String.fromCharCode(byte);
    if (!"HTTP/1.".startsWith(head.slice(0, 7))) throw notAProxy("HTTP", byte);
    if (head.length > MAX_HEAD_BYTES) {
      throw new ProxyError(
        `answers with more than ${MAX_HEAD_BYTES} bytes`,
        false,
      );
    }
  }
  const [, status, reason = ""] =
    /^HTTP\/1\.\d (\d{3})(?: (.*))?\r?\n/.exec(head) ?? [];
  if (status === undefined) throw notAProxy("HTTP", 0);
  return { status: Number(status), reason: asciiOnly(reason) };
}

/** Makes a text of somebody else fit for a terminal. */
function asciiOnly(text: string): string {
  return text.replace(/[^ -~]/g, "").trim().slice(0, MAX_REASON_LENGTH);
}
