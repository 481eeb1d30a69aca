/** The route to a peer, as `--ipv4`, `--ipv6`, `--source` and `--proxy` say. */

import { LocalIoError, reasonOf } from "../base/errors.ts";
import { readBytes } from "../base/readable_file.ts";
import { formatAddress } from "./address.ts";
import { dialOnce, dialReason, isTemporary, type Route } from "./dial.ts";
import { ProxyError } from "./proxy_exchange.ts";
import { askProxy } from "./proxy.ts";
import {
  type ProxySettings,
  sendsNames,
  withPassword,
} from "./proxy_settings.ts";
import { familyOfSource, type SourceAddress } from "./source_address.ts";
import type { IpFamily } from "./resolve.ts";
import type { Dial } from "./socket.ts";

/** The options of the route to a peer. */
export interface RouteSettings {
  readonly family: IpFamily | undefined;
  readonly source: SourceAddress | undefined;
  readonly proxy: ProxySettings | undefined;
  /** The file of `--proxy-password-file`. */
  readonly proxyPasswordFile: string | undefined;
}

/** The environment variable with a password, instead of a file. */
const PASSWORD_VARIABLE = "SOCKPIPE_PROXY_PASSWORD";

/** The most that is read of a file with a password, in bytes. */
const MAX_FILE_BYTES = 8192;

/**
 * Reads all that the route needs; nothing is connected yet.
 *
 * @throws {LocalIoError} The file with the password cannot be read.
 * @throws {UsageError} The password is of no use.
 */
export async function prepareRoute(settings: RouteSettings): Promise<Route> {
  const { family, source, proxy } = settings;
  const dial = source && (await import("./source.ts")).dialFrom(source);
  const route = {
    family: family ?? (source && familyOfSource(source)),
    dial,
    takesNames: false,
  };
  if (proxy === undefined) return route;
  return {
    family,
    dial: dialThrough(await withItsPassword(proxy, settings), route),
    takesNames: sendsNames(proxy),
    through: `the proxy "${formatAddress(proxy.address)}"`,
  };
}

async function withItsPassword(
  proxy: ProxySettings,
  { proxyPasswordFile: path }: RouteSettings,
): Promise<ProxySettings> {
  if (path !== undefined) {
    const password = await readPassword(path);
    return withPassword(proxy, password, `--proxy-password-file "${path}"`);
  }
  const password = Deno.env.get(PASSWORD_VARIABLE);
  // The programs of --exec need not know it.
  Deno.env.delete(PASSWORD_VARIABLE);
  // That of another proxy may be in the environment.
  return password === undefined || proxy.user === undefined ||
      proxy.protocol === "socks4a"
    ? proxy
    : withPassword(proxy, password, PASSWORD_VARIABLE);
}

/**
 * Reads the first line of a file. Its permissions are not checked: many users may
 * share a password of a proxy.
 */
async function readPassword(path: string): Promise<string> {
  try {
    const { bytes } = await readBytes(path, MAX_FILE_BYTES);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.replace(/\r?\n[^]*$/, "");
  } catch (error) {
    throw new LocalIoError(
      `Cannot read the password in "${path}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Makes the function that connects through a proxy.
 *
 * @param route The route to the proxy itself.
 */
function dialThrough(proxy: ProxySettings, route: Route): Dial {
  const name = formatAddress(proxy.address);
  return async ({ hostname, port, signal }) => {
    const socket = await dialOnce(proxy.address, {
      // That of the whole attempt is in the signal.
      timeoutMs: Infinity,
      signal,
      route,
    }).catch((error) => {
      signal.throwIfAborted();
      throw new ProxyError(
        `the proxy "${name}" cannot be reached: ${dialReason(error)}`,
        isTemporary(error),
        { cause: error },
      );
    });
    await askProxy(socket, proxy, { hostname, port }, signal);
    return Object.assign(socket, {
      peerName: formatAddress({ transport: "tcp", hostname, port }),
    });
  };
}
