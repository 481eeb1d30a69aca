/**
 * The listening side: opens the listening socket, lets in who may come, accepts,
 * and runs what `--listen` is to do.
 */

import {
  type Address,
  formatAddress,
  isLoopback,
  type ListenAddress,
  type TcpAddress,
  type UnixAddress,
} from "./lib/net/address.ts";
import { unmapped } from "./lib/net/ip_address.ts";
import { notifyServiceManager } from "./lib/run/context.ts";
import type { ListenOptions } from "./lib/cli/options.ts";
import type { RunContext } from "./lib/run/context.ts";
import { acceptNext } from "./lib/net/accept.ts";
import { refuseSocket } from "./lib/net/system_sockets.ts";
import { claim, Deadline } from "./lib/base/deadline.ts";
import { codeOf, ListenError, reasonOf } from "./lib/base/errors.ts";
import type { Accepting } from "./lib/net/joined_listener.ts";
import { type IpFamily, resolve } from "./lib/net/resolve.ts";
import {
  type AccessRule,
  admitter,
  restricted,
} from "./lib/net/access_list.ts";
import { type Listener, nobodyCame } from "./lib/net/listener.ts";
import type { Socket } from "./lib/net/socket.ts";
import { runOnePeer } from "./lib/run/one_peer.ts";
import { dropRightsAtStart } from "./lib/run/rights.ts";
import type { Reporter } from "./lib/report/reporter.ts";
import type { ListenTls } from "./lib/tls/tls.ts";

/**
 * Runs the listening side to its end.
 *
 * @throws An error of `errors.ts`. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function runServer(
  options: ListenOptions,
  context: RunContext,
): Promise<void> {
  dropRightsAtStart(options);
  const { reliable, keepOpen, acceptTimeoutMs: timeoutMs } = options;
  const open = async () => {
    // What it reads first may be a named pipe, which lets us wait.
    const opening = openListener(options, context.report);
    const listener = await claim(opening, context.signal);
    if (options.portFile === undefined) return listener;
    const { writePortFile } = await import("./lib/run/port_file.ts");
    try {
      await writePortFile(options.portFile, listener.address);
    } catch (error) {
      listener.close();
      throw error;
    }
    return listener;
  };
  if (reliable !== undefined) {
    const { runReliableServer } = await import("./lib/run/reliable_run.ts");
    await runReliableServer({ ...options, reliable }, context, open);
  } else if (keepOpen !== undefined) {
    const { serveClients } = await import("./lib/run/keep_open.ts");
    await serveClients(options, keepOpen, context, open);
  } else {
    await runOnePeer(options, context, async () => {
      const { signal } = context;
      return await acceptOne(await open(), { signal, timeoutMs });
    });
  }
}

/**
 * Opens the listener: only peers that may connect and, with `--tls`, have been
 * verified come through.
 */
async function openListener(
  { address, access, trustedProxies, reusePort, route, tls }: ListenOptions,
  report: Reporter,
): Promise<Listener> {
  const admits = access && admitter(access);
  const open = async (tls?: ListenTls) => {
    const family = route?.family;
    const listener = await readingProxyHeaders(
      await listen(address, { reusePort, family, report, tls }),
      trustedProxies,
      report,
    );
    if (admits === undefined) return listener;
    return restricted(listener, admits, (peer) => {
      report.say({ event: "refused", peer: formatAddress(peer) });
    });
  };
  if (tls === undefined) return await open();
  const target = address.transport === "systemd" ? UNKNOWN_ADDRESS : address;
  const { prepareServer } = await import("./lib/tls/server.ts");
  const { TlsListener } = await import("./lib/tls/listener.ts");
  const { hasNodeTls, NODE_TLS_NEEDS } = await import(
    "./lib/tls/load_node_tls.ts"
  );
  const server = await prepareServer(tls, target, report);
  const listener = await open(server.listenTls);
  if (server.identity !== undefined) {
    const { pin, isNew, invitation } = server.identity;
    const text = invitation(listener.address);
    const needs = hasNodeTls() ? {} : { needs: NODE_TLS_NEEDS };
    report.say({ event: "pin", pin, isNew, invitation: text, ...needs });
  }
  return new TlsListener(listener, server, report);
}

/** Wraps a listener so that it reads the PROXY header of trusted peers. */
async function readingProxyHeaders(
  listener: Listener,
  trustedProxies: readonly AccessRule[],
  report: Reporter,
): Promise<Listener> {
  if (trustedProxies.length === 0) return listener;
  const { readProxyHeaders } = await import("./lib/net/proxied_listener.ts");
  return readProxyHeaders(listener, trustedProxies, (peer, reason) => {
    report.say({ event: "handshake-failed", peer, reason });
  });
}

/**
 * The address of sockets that are passed on, as far as it is known before they are
 * taken.
 */
const UNKNOWN_ADDRESS = { transport: "tcp", hostname: "*", port: 0 } as const;

/** The options of a listening socket. */
export interface ListenSettings {
  readonly reusePort: boolean;
  /** The only family whose addresses are taken, if it is not both. */
  readonly family?: IpFamily | undefined;
  readonly report: Reporter;
  /** The key pair with which the runtime's TLS accepts, if it is to. */
  readonly tls?: ListenTls | undefined;
}

/**
 * Opens a listening socket and announces its address. The address can be reused
 * at once after a run (SO_REUSEADDR, which the runtime sets).
 *
 * @throws {ListenError} With the reason why the address may not be taken.
 */
export async function listen(
  address: ListenAddress,
  { report, ...settings }: ListenSettings,
): Promise<Listener> {
  if (address.transport === "systemd") {
    return await listenOnPassed(report, settings);
  }
  let listener: Listener;
  try {
    listener = address.transport === "unix"
      ? await listenOnPath(address)
      : await listenTcp(address, settings);
  } catch (error) {
    throw new ListenError(
      `Cannot listen on "${formatAddress(address)}": ${await listenReason(
        address,
        error,
      )}`,
      { cause: error },
    );
  }
  const { address: name, exposed } = listener;
  report.say({ event: "listening", address: name, exposed });
  await notifyServiceManager();
  return listener;
}

async function listenOnPassed(
  report: Reporter,
  { tls }: Pick<ListenSettings, "tls">,
): Promise<Listener> {
  const { takePassedSockets } = await import("./lib/net/passed_sockets.ts");
  const place = { hostname: "127.0.0.1", port: 0 };
  const { listener, addresses } = takePassedSockets(
    () =>
      tls === undefined
        ? Deno.listen(place)
        : Deno.listenTls({ ...place, ...tls }),
    { isTcpOnly: tls !== undefined },
  );
  for (const { address, exposed } of addresses) {
    report.say({ event: "listening", address, exposed });
  }
  await notifyServiceManager();
  return listenerOf(listener, {
    address: addresses.map(({ address }) => address).join(", "),
    exposed: addresses.some(({ exposed }) => exposed),
    close: () => listener.close(),
  });
}

/** The limits of waiting for one peer. */
export interface AcceptOptions {
  /** Its abort ends the wait, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** The longest wait, in ms. */
  readonly timeoutMs: number | undefined;
}

/**
 * Waits for one peer, then stops listening, so that a second one is refused and
 * not kept waiting for nothing.
 *
 * @throws {TimeLimitError} Nobody came within `timeoutMs`.
 * @throws `signal.reason`. In all cases the listener is closed.
 */
export async function acceptOne(
  listener: Listener,
  { signal, timeoutMs }: AcceptOptions,
): Promise<Socket> {
  using _closed = listener;
  const late = () => nobodyCame(listener, timeoutMs);
  using deadline = new Deadline(signal, timeoutMs, late);
  deadline.signal.throwIfAborted();
  return await claim(listener.accept(), deadline.signal, refuseSocket);
}

async function listenTcp(
  { hostname, port }: TcpAddress,
  { reusePort, family, tls }: Omit<ListenSettings, "report">,
): Promise<Listener> {
  const open: OpenTcp = (hostname, port) => {
    const options = reusePort ? { port, reusePort } : { port };
    return tls === undefined
      ? Deno.listen({ ...options, hostname })
      : Deno.listenTls({ ...options, ...tls, hostname });
  };
  const listener = hostname === "*"
    ? family === undefined
      ? await listenEverywhere(open, port)
      : await listenOnFamily(family, open, { port, reusePort })
    : open(await firstAddress(hostname, family), port);
  return listenerOf(listener, {
    // The system tells no zone.
    address: formatAddress(
      hostname.includes("%") ? { ...listener.addr, hostname } : listener.addr,
    ),
    exposed: !isLoopback(unmapped(listener.addr.hostname)),
    close: () => listener.close(),
  });
}

/**
 * Finds the address of a host in one family. Without a family the system looks
 * names up itself.
 */
async function firstAddress(
  hostname: string,
  family: IpFamily | undefined,
): Promise<string> {
  if (family === undefined) return hostname;
  const [first = hostname] = await resolve(hostname, family);
  return first;
}

type OpenTcp = (
  hostname: string,
  port: number,
) => Accepting<Deno.TcpConn | Deno.TlsConn>;

/**
 * Listens on every address. `::` takes IPv4 as well, except on Windows; where there
 * is no IPv6, `0.0.0.0` is taken.
 */
async function listenEverywhere(
  open: OpenTcp,
  port: number,
): Promise<ReturnType<OpenTcp>> {
  try {
    if (Deno.build.os !== "windows") return open("::", port);
    const { listenOnBoth } = await import("./lib/net/joined_listener.ts");
    return listenOnBoth(open, port);
  } catch (error) {
    if (
      error instanceof Deno.errors.AddrInUse ||
      error instanceof Deno.errors.PermissionDenied
    ) throw error;
    return open("0.0.0.0", port);
  }
}

/** Listens on all addresses of one family. */
async function listenOnFamily(
  family: IpFamily,
  open: OpenTcp,
  options: { readonly port: number; readonly reusePort: boolean },
): Promise<ReturnType<OpenTcp>> {
  if (family === 4) return open("0.0.0.0", options.port);
  const { listenOnIPv6 } = await import("./lib/net/ipv6_listener.ts");
  return listenOnIPv6(open, options) ?? open("::", options.port);
}

async function listenOnPath(address: UnixAddress): Promise<Listener> {
  const { listenUnix } = await import("./lib/net/unix_listener.ts");
  const { listener, close } = await listenUnix(address.path);
  const name = formatAddress(address);
  return listenerOf(listener, { address: name, exposed: false, close });
}

function listenerOf(
  listener: { accept(): Promise<Socket> },
  { address, exposed, close: closeNow }: {
    address: string;
    exposed: boolean;
    close: () => void;
  },
): Listener {
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    closeNow();
  };
  const accept = async () => {
    try {
      return await acceptNext(listener);
    } catch (error) {
      const reason = reasonOf(error);
      throw new ListenError(`Cannot accept on "${address}": ${reason}`, {
        cause: error,
      });
    }
  };
  return { address, exposed, accept, close, [Symbol.dispose]: close };
}

async function listenReason(
  address: Address,
  error: unknown,
): Promise<string> {
  if (isOf(error, Deno.errors.AddrInUse, "EADDRINUSE")) {
    if (address.transport === "tcp") return "in use by another listener";
    const { isTakenByFile } = await import("./lib/net/unix_listener.ts");
    return isTakenByFile(address.path)
      ? "a file of that name is in the way"
      : "in use by another listener";
  }
  if (
    isOf(error, Deno.errors.PermissionDenied, "EACCES") &&
    address.transport === "tcp" && address.port < 1024
  ) {
    return "ports below 1024 need the right to take them (80 and 443 are for HTTP and HTTPS)";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address";
  }
  return reasonOf(error);
}

/** Whether it is an error of the runtime, or the same of the C library. */
function isOf(
  error: unknown,
  kind: typeof Deno.errors.AddrInUse,
  code: string,
): boolean {
  return error instanceof kind || codeOf(error) === code;
}
