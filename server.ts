/**
 * Waiting for peers: opening the listening socket, saying where it is, and
 * accepting.
 */

import {
  type Address,
  formatAddress,
  isLoopback,
  type TcpAddress,
  type UnixAddress,
} from "./lib/net/address.ts";
import { unmapped } from "./lib/net/ip_address.ts";
import { ListenError, reasonOf, TimeLimitError } from "./lib/base/errors.ts";
import { isSocketAlive } from "./lib/io/kernel.ts";
import type { Reporter } from "./lib/report/reporter.ts";
import type { Listener } from "./lib/net/listener.ts";
import type { Socket } from "./lib/net/socket.ts";
import { formatDuration } from "./lib/base/units.ts";

export interface AcceptOptions {
  /** Its abort ends the wait, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** The longest wait, in ms. */
  readonly timeoutMs: number | undefined;
}

export interface ListenOptions {
  readonly reusePort: boolean;
  readonly report: Reporter;
  /** The key pair with which the runtime's TLS accepts, if it is to. */
  readonly tls?: Pick<Deno.TlsCertifiedKeyPem, "cert" | "key"> | undefined;
}

/**
 * Opens a listening socket and announces its address. The address can be reused
 * at once after a run (SO_REUSEADDR, which the runtime sets).
 *
 * @throws {ListenError} With the reason why the address may not be taken.
 */
export function listen(
  address: Address,
  { reusePort, report, tls }: ListenOptions,
): Listener {
  let listener: Listener;
  try {
    listener = address.transport === "unix"
      ? listenUnix(address)
      : listenTcp(address, reusePort, tls);
  } catch (error) {
    throw new ListenError(
      `Cannot listen on "${formatAddress(address)}": ${
        listenReason(address, error)
      }`,
      { cause: error },
    );
  }
  report.say({
    event: "listening",
    address: listener.address,
    exposed: listener.exposed,
  });
  return listener;
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
  signal.throwIfAborted();
  const giveUp = Promise.withResolvers<never>();
  const onAbort = () => giveUp.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
    giveUp.reject(
      new TimeLimitError(
        `Nobody came to "${listener.address}" within ${
          formatDuration(timeoutMs)
        } (--accept-timeout)`,
      ),
    );
  }, timeoutMs);
  const accepted = listener.accept();
  try {
    return await Promise.race([accepted, giveUp.promise]);
  } catch (error) {
    accepted.then((conn) => conn.close(), () => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function listenTcp(
  { hostname, port }: TcpAddress,
  reusePort: boolean,
  tls: ListenOptions["tls"],
): Listener {
  const options = reusePort ? { port, reusePort } : { port };
  const open: OpenTcp = (hostname) =>
    tls === undefined
      ? Deno.listen({ ...options, hostname })
      : Deno.listenTls({ ...options, ...tls, hostname });
  const listener = hostname === "*" ? listenEverywhere(open) : open(hostname);
  return wrap(listener, {
    // The system tells no zone.
    address: formatAddress(
      hostname.includes("%") ? { ...listener.addr, hostname } : listener.addr,
    ),
    exposed: !isLoopback(unmapped(listener.addr.hostname)),
    close: () => listener.close(),
  });
}

type OpenTcp = (hostname: string) => Deno.TcpListener | Deno.TlsListener;

/** `::` takes IPv4 as well, unless the system has no IPv6 at all. */
function listenEverywhere(open: OpenTcp): ReturnType<OpenTcp> {
  try {
    return open("::");
  } catch (error) {
    if (
      error instanceof Deno.errors.AddrInUse ||
      error instanceof Deno.errors.PermissionDenied
    ) throw error;
    return open("0.0.0.0");
  }
}

function listenUnix(address: UnixAddress): Listener {
  const { path } = address;
  const hasFile = !path.startsWith("\0");
  if (hasFile) removeStaleSocket(path);
  const listener = Deno.listen({ transport: "unix", path });
  const ours = hasFile ? inodeOf(path) : undefined;
  return wrap(listener, {
    address: formatAddress(address),
    exposed: false,
    close: () => hasFile ? closeUnix(listener, path, ours) : listener.close(),
  });
}

/**
 * Some runtimes remove the path when they close the socket, whatever is there by
 * then, and others leave it. What is not ours is put out of the way for a moment.
 */
function closeUnix(
  listener: Deno.UnixListener,
  path: string,
  ours: number | undefined,
): void {
  const found = inodeOf(path);
  const isForeign = found !== undefined && found !== ours;
  const aside = `${path}.${crypto.randomUUID()}`;
  if (isForeign) Deno.renameSync(path, aside);
  listener.close();
  if (isForeign) Deno.renameSync(aside, path);
  else if (inodeOf(path) !== undefined) Deno.removeSync(path);
}

function wrap(
  listener: Deno.Listener<Deno.TcpConn | Deno.UnixConn | Deno.TlsConn>,
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
  return {
    address,
    exposed,
    close,
    [Symbol.dispose]: close,
    async accept() {
      for (;;) {
        try {
          return await listener.accept();
        } catch (error) {
          if (hasGoneAgain(error)) continue;
          throw new ListenError(
            `Cannot accept on "${address}": ${reasonOf(error)}`,
            { cause: error },
          );
        }
      }
    },
  };
}

/**
 * Whether a client left again before it could be accepted: ECONNABORTED of
 * accept(2), or ENOTCONN when the runtime asks for its address after that.
 */
function hasGoneAgain(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.NotConnected;
}

/** Removes a socket that nobody has open any more, left by a killed process. */
function removeStaleSocket(path: string): void {
  if (isSocket(path) && isSocketAlive(path) === false) Deno.removeSync(path);
}

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

/** Whether something that is no socket has the path; none has a name's NUL. */
function isFile(path: string): boolean {
  return !path.startsWith("\0") && !isSocket(path);
}

function inodeOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).ino ?? undefined;
  } catch {
    return undefined;
  }
}

function listenReason(address: Address, error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return address.transport === "unix" && isFile(address.path)
      ? "a file of that name is in the way"
      : "in use by another listener";
  }
  if (
    error instanceof Deno.errors.PermissionDenied &&
    address.transport === "tcp" && address.port < 1024
  ) {
    return "ports below 1024 need the right to take them (80 and 443 are for HTTP and HTTPS)";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address";
  }
  return reasonOf(error);
}
