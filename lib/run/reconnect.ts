/** `--reconnect`: one session after another, each over a new connection. */

import type { ConnectOptions, RetryOptions } from "../cli/options.ts";
import { delay } from "@std/async/delay";
import { formatAddress } from "../net/address.ts";
import type { Listener } from "../net/listener.ts";
import type { RunContext } from "./context.ts";
import { retryDelayMs } from "./retry.ts";
import { serveClients } from "./keep_open.ts";
import type { Socket } from "../net/socket.ts";

/** The least time from one connection to the next, whatever has moved, in ms. */
const LEAST_PERIOD_MS = 100;

/** The size of the queue to the peer, in bytes, as in a listener for many. */
const QUEUE_BYTES = 1024 ** 2;

/**
 * Connects again whenever a session has ended, well or not, until stopped or as
 * many have ended as the options say.
 *
 * @param dial Connects, within limits.
 * @throws {ConnectError | TimeLimitError} The peer is not there any more.
 * @throws {BrokenError} Some of the sessions failed that the user wanted.
 * @throws The failure of stdout or of the record; and `context.signal.reason`.
 */
export async function runSessions(
  options: ConnectOptions,
  context: RunContext,
  dial: (limits: RetryOptions) => Promise<Socket>,
): Promise<void> {
  const oneAfterAnother = {
    connections: options.reconnect,
    maxConnections: 1,
    broker: false,
    lines: false,
    slowClient: "wait",
    queueSize: QUEUE_BYTES,
    graceMs: 0,
    exitWhenIdleMs: undefined,
  } as const;
  await serveClients(
    options,
    oneAfterAnother,
    context,
    () => Promise.resolve(dialingListener(options, context, dial)),
  );
}

/**
 * Makes a listener whose `accept` connects to the peer, so that KeepOpenServer can
 * serve one session after another.
 */
function dialingListener(
  { address, retry }: ConnectOptions,
  { signal, report }: RunContext,
  dial: (limits: RetryOptions) => Promise<Socket>,
): Listener {
  const name = formatAddress(address);
  let connectedAt: number | undefined;
  let movedBefore = 0;
  /** The number of sessions in a row that have moved nothing. */
  let idleSessions = 0;
  const pause = async (sinceMs: number) => {
    const { sent, received } = report.totals;
    const hasMoved = sent + received > movedBefore;
    movedBefore = sent + received;
    idleSessions = hasMoved ? 0 : idleSessions + 1;
    const delayMs = hasMoved
      ? Math.max(0, Math.round(LEAST_PERIOD_MS - sinceMs))
      : retryDelayMs(idleSessions, retry, Math.random);
    report.say({ event: "reconnecting", address: name, delayMs });
    await delay(delayMs, { signal });
  };
  return {
    address: name,
    exposed: false,
    async accept() {
      if (connectedAt !== undefined) {
        await pause(performance.now() - connectedAt);
      }
      const socket = await dial(retry);
      connectedAt = performance.now();
      return socket;
    },
    close() {},
    [Symbol.dispose]() {},
  };
}
