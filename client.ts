/**
 * The connecting side: going to the peer, again after a pause while it is not
 * there, and what a run with `--connect` does then.
 */

import { abortable } from "@std/async/abortable";
import { type Address, formatAddress } from "./lib/net/address.ts";
import type { ConnectOptions, RetryOptions } from "./lib/cli/options.ts";
import type {
  DialSettings,
  RunContext,
  SecuredDial,
} from "./lib/run/context.ts";
import { Connection } from "./lib/net/connection.ts";
import { Deadline } from "./lib/base/deadline.ts";
import { notifyServiceManager } from "./lib/run/context.ts";
import {
  AttemptTimeoutError,
  dialOnce,
  dialReason,
  isTemporary,
  type Route,
} from "./lib/net/dial.ts";
import { ConnectError, TimeLimitError } from "./lib/base/errors.ts";
import { runOnePeer } from "./lib/run/one_peer.ts";
import { dropRightsAtStart } from "./lib/run/rights.ts";
import { pauseBeforeRetry } from "./lib/run/retry.ts";
import type { Dial, Socket } from "./lib/net/socket.ts";
import type { Reporter } from "./lib/report/reporter.ts";
import type { RouteSettings } from "./lib/net/route.ts";
import { Traffic } from "./lib/pipe/traffic.ts";
import { formatDuration } from "./lib/base/units.ts";

/**
 * Runs the connecting side to its end.
 *
 * @throws An error of `errors.ts`. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function runClient(
  options: ConnectOptions,
  context: RunContext,
): Promise<void> {
  dropRightsAtStart(options);
  const { retry, reliable, reconnect } = options;
  const { connectTimeoutMs } = retry;
  const settings = { ...options, connectTimeoutMs };
  const { signal, report } = context;
  // What it reads may be a named pipe, which lets us wait.
  const dialWithin = await abortable(prepareDial(settings, report), signal);
  const dial = async (limits: RetryOptions) => {
    const socket = await dialWithin(limits, signal);
    await notifyServiceManager();
    return socket;
  };
  if (reliable !== undefined) {
    const { runReliableClient } = await import("./lib/run/reliable_run.ts");
    await runReliableClient({ ...options, reliable }, context, dial);
  } else if (options.probe) {
    await probe(await dial(retry), report);
  } else if (reconnect !== undefined) {
    const { runSessions } = await import("./lib/run/reconnect.ts");
    await runSessions(options, context, dial);
  } else {
    await runOnePeer(options, context, () => dial(retry));
  }
}

/** The surroundings of `connect`. */
export interface ConnectContext {
  /** Its abort ends any attempt and any pause; `connect` rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
  /** The function that connects a socket; `Deno.connect` when absent. */
  readonly dial?: Dial | undefined;
  /** The route to the peer, if it is not reached directly. */
  readonly route?: Route | undefined;
}

/**
 * Connects; retries as `retry` says.
 *
 * @returns A connected socket, the caller's to close.
 * @throws {ConnectError} The failure is not worth another attempt, or none is left.
 * @throws {TimeLimitError} `--retry-timeout` is over, or the last attempt that was
 * left took longer than `--connect-timeout`.
 * @throws `signal.reason`.
 */
export async function connect(
  address: Address,
  retry: RetryOptions,
  { signal, report, dial, route }: ConnectContext,
): Promise<Socket> {
  const name = formatAddress(address);
  const { retries = Infinity, connectTimeoutMs: timeoutMs } = retry;
  let last: unknown;
  using deadline = new Deadline(
    signal,
    retry.timeoutMs,
    () => lateError(name, retry, last),
  );
  for (let attempt = 1;; attempt++) {
    report.say({ event: "connecting", address: name, attempt });
    try {
      return await dialOnce(address, {
        timeoutMs,
        signal: deadline.signal,
        dial,
        route,
      });
    } catch (error) {
      deadline.signal.throwIfAborted();
      if (attempt > retries || !isTemporary(error)) {
        throw failure(name, error, attempt);
      }
      last = error;
    }
    await pauseBeforeRetry(
      { address: name, reason: dialReason(last), attempt, retry },
      { signal: deadline.signal, report },
    );
  }
}

function lateError(
  name: string,
  { timeoutMs = 0 }: RetryOptions,
  last: unknown,
): TimeLimitError {
  return new TimeLimitError(
    `Cannot connect to "${name}" within ${
      formatDuration(timeoutMs)
    } (--retry-timeout)` +
      (last === undefined ? "" : `: ${dialReason(last)}`),
    { cause: last },
  );
}

function failure(name: string, error: unknown, attempts: number): Error {
  const tried = attempts === 1 ? "" : ` (${attempts} attempts)`;
  const text = `Cannot connect to "${name}": ${dialReason(error)}${tried}`;
  return error instanceof AttemptTimeoutError
    ? new TimeLimitError(text, { cause: error })
    : new ConnectError(text, { cause: error });
}

/** Reports that the peer is there, and ends the connection in order. */
async function probe(socket: Socket, report: Reporter): Promise<void> {
  using connection = new Connection(socket, {
    dataSize: undefined,
    traffic: new Traffic(),
  });
  const { peer, local } = connection;
  report.say({ event: "connected", peer, local, probe: true });
  // With TLS, an end without it is a failure to the peer. It may have left already.
  await socket.closeWrite().catch(() => {});
}

/** Prepares connecting to a peer, on its route and with TLS where that is wanted. */
export async function prepareDial(
  { address, route: routeSettings, tls, connectTimeoutMs }: DialSettings,
  report: Reporter,
): Promise<SecuredDial> {
  const route = routeSettings && await openRoute(routeSettings);
  if (tls === undefined) {
    return (retry, signal) =>
      connect(address, retry, { signal, report, route });
  }
  const { prepareClient } = await import("./lib/tls/client.ts");
  const limit = { connectTimeoutMs };
  const { dial, secure } = await prepareClient(tls, address, limit, report);
  return async (retry, signal) => {
    const context = { signal, report, dial, route };
    const socket = await connect(address, retry, context);
    const { peerName } = socket;
    const secured = await secure(socket, signal);
    return peerName === undefined
      ? secured
      : Object.assign(secured, { peerName });
  };
}

async function openRoute(settings: RouteSettings): Promise<Route> {
  const { prepareRoute } = await import("./lib/net/route.ts");
  return await prepareRoute(settings);
}
