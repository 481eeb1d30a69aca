/**
 * One attempt to connect: every address of the name, a fresh socket for each, and
 * a limit on all of it.
 */

import { delay } from "@std/async/delay";
import type { Address, TcpAddress } from "./address.ts";
import { codeOf, reasonOf } from "../base/errors.ts";
import { claim, Deadline } from "../base/deadline.ts";
import { type IpFamily, resolve } from "./resolve.ts";
import type { Dial, Socket } from "./socket.ts";
import { refuseSocket } from "./system_sockets.ts";
import { formatDuration } from "../base/units.ts";

/**
 * The time that one address of a name has before the next is tried beside it, in ms
 * (RFC 8305 section 5, Connection Attempt Delay).
 */
const NEXT_ADDRESS_DELAY_MS = 250;

/** The system's words for "not there yet": worth another attempt. */
const TEMPORARY_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  // Connected, and reset before it could be asked for its address.
  "ENOTCONN",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ETIMEDOUT",
  // The path of a unix socket that is not there yet, or its full backlog.
  "ENOENT",
  "EAGAIN",
  // The name server does not answer; a name that does not exist is ENOTFOUND.
  "EAI_AGAIN",
]);

export interface DialOptions {
  /** The longest time for the attempt, in ms. */
  readonly timeoutMs: number;
  /** Its abort ends the attempt, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** The function that connects to one IP address; `Deno.connect` when absent. */
  readonly dial?: Dial | undefined;
  /**
   * The route to the peer, if it is not reached directly; its `dial` takes
   * precedence.
   */
  readonly route?: Route | undefined;
}

/** A prepared route to a peer. */
export interface Route {
  /** The family that the peer's address has to be of; either when `undefined`. */
  readonly family: IpFamily | undefined;
  /** The function that connects to one address; the usual one when `undefined`. */
  readonly dial: Dial | undefined;
  /** Whether `dial` takes names as they are. */
  readonly takesNames: boolean;
  /** The proxy that answers first, for messages. */
  readonly through?: string | undefined;
}

/**
 * Connects to the address, or to the first that answers of those of its name.
 *
 * @returns A connected socket, the caller's to close.
 * @throws {AttemptTimeoutError} It took longer than `timeoutMs`.
 * @throws {ConnectedToItselfError} There was nobody but ourselves.
 * @throws The system's error of the last address, and `signal.reason`.
 */
export async function dialOnce(
  address: Address,
  { timeoutMs, signal, route, dial = Deno.connect }: DialOptions,
): Promise<Socket> {
  signal.throwIfAborted();
  using deadline = new Deadline(
    signal,
    timeoutMs,
    () => new AttemptTimeoutError(timeoutMs, route?.through),
  );
  const socket: Promise<Socket> = address.transport === "unix"
    ? dialUnix(address.path)
    : dialTcp(address, deadline.signal, {
      dial: route?.dial ?? dial,
      family: route?.family,
      takesNames: route?.takesNames ?? false,
    });
  return await claim(socket, deadline.signal, refuseSocket);
}

async function dialUnix(path: string): Promise<Socket> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (!path.startsWith("\0")) throw error;
    const { nameError } = await import("./unix_socket.ts");
    throw nameError(error);
  }
}

/** Whether the failure of an attempt may be over at the next one. */
export function isTemporary(error: unknown): boolean {
  return error instanceof AttemptTimeoutError ||
    error instanceof ConnectedToItselfError ||
    error instanceof Error && "isTemporary" in error &&
      error.isTemporary === true ||
    TEMPORARY_CODES.has(codeOf(error) ?? "");
}

/** Tells in a few words why an attempt failed. */
export function dialReason(error: unknown): string {
  switch (codeOf(error)) {
    case "ENOTFOUND":
      return "no such host name";
    case "EAI_AGAIN":
      return "the name server does not answer";
    case "ENOTCONN":
      return "connection reset by peer";
    default:
      return reasonOf(error);
  }
}

/** One attempt took longer than it may. */
export class AttemptTimeoutError extends Error {
  override readonly name = "AttemptTimeoutError";

  /** @param through The proxy that was to answer first. */
  constructor(timeoutMs: number, through?: string) {
    const answer = through === undefined
      ? "no answer"
      : `no answer from ${through}`;
    super(`${answer} within ${formatDuration(timeoutMs)} (--connect-timeout)`);
  }
}

/**
 * A socket was connected to itself. The system does that (RFC 9293 section 3.5,
 * simultaneous open) when nobody listens on a local port of the range from which it
 * takes the ports of clients, and it takes this one.
 */
class ConnectedToItselfError extends Error {
  override readonly name = "ConnectedToItselfError";

  constructor() {
    super("nobody listens there, and the connection led back to itself");
  }
}

async function dialTcp(
  { hostname, port }: TcpAddress,
  signal: AbortSignal,
  { dial, family, takesNames }: Route & { readonly dial: Dial },
): Promise<Socket> {
  const hostnames = takesNames ? [hostname] : await resolve(hostname, family);
  return await dialFirst(hostnames, { port, signal, dial });
}

/**
 * Tries IP addresses in their order: each next one as soon as the one before has
 * failed or has taken a while. The first connection wins; later ones are closed.
 *
 * @returns A connected socket, the caller's to close.
 * @throws The system's error of the last address, or of one that may be there
 * later; and `signal.reason`.
 */
export async function dialFirst(
  hostnames: readonly string[],
  { port, signal, dial }: { port: number; signal: AbortSignal; dial: Dial },
): Promise<Socket> {
  const [first] = hostnames;
  if (first !== undefined && hostnames.length === 1) {
    return await dialAddress({ hostname: first, port, signal }, dial);
  }
  using race = new Deadline(signal);
  let mayStart: Promise<unknown> = Promise.resolve();
  const attempts = hostnames.map((hostname) => {
    const options = { hostname, port, signal: race.signal };
    const attempt = mayStart.then(() => dialAddress(options, dial));
    const late = mayStart.then(() => delay(NEXT_ADDRESS_DELAY_MS, options));
    mayStart = Promise.race([failureOf(attempt), late]);
    mayStart.catch(() => {});
    return attempt;
  });
  try {
    const won = await Promise.any(attempts);
    for (const attempt of attempts) {
      attempt.then(
        (socket) => socket !== won && refuseSocket(socket),
        () => {},
      );
    }
    return won;
  } catch (error) {
    signal.throwIfAborted();
    const errors: unknown[] = error instanceof AggregateError
      ? error.errors
      : [error];
    throw errors.find(isTemporary) ?? errors.at(-1);
  } finally {
    race.abort(new Error("the race is over"));
  }
}

async function dialAddress(
  options: Parameters<Dial>[0],
  dial: Dial,
): Promise<Socket> {
  options.signal.throwIfAborted();
  const dialled = dial(options);
  const socket = await claim(dialled, options.signal, refuseSocket);
  if (!isConnectedToItself(socket)) return socket;
  socket.close();
  throw new ConnectedToItselfError();
}

function isConnectedToItself({ localAddr, remoteAddr }: Socket): boolean {
  return localAddr.transport === "tcp" && remoteAddr.transport === "tcp" &&
    localAddr.port === remoteAddr.port &&
    localAddr.hostname === remoteAddr.hostname;
}

/** Resolves when the promise rejects, and never otherwise. */
function failureOf(promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => promise.catch(() => resolve()));
}
