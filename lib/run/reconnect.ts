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
 * many have ended as the user wants.
 *
 * @param dial Connects, within limits.
 * @throws {ConnectError | TimeLimitError} The peer is not there any more.
 * @throws {BrokenError} Some of the sessions failed that the user wanted.
 * @throws What makes it impossible to go on: stdout or a record that fails; and
 * `context.signal.reason`.
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
    () => Promise.resolve(redialling(options, context, dial)),
  );
}

/** Makes a listener of a dialler: the next peer is the one who is connected to. */
function redialling(
  { address, retry }: ConnectOptions,
  { signal, report }: RunContext,
  dial: (limits: RetryOptions) => Promise<Socket>,
): Listener {
  const name = formatAddress(address);
  let connectedAt: number | undefined;
  let movedBefore = 0;
  /** The number of sessions in a row that have moved nothing. */
  let fruitless = 0;
  const pause = async (sinceMs: number) => {
    const { sent, received } = report.totals;
    const hasMoved = sent + received > movedBefore;
    movedBefore = sent + received;
    fruitless = hasMoved ? 0 : fruitless + 1;
    const delayMs = hasMoved
      ? Math.max(0, Math.round(LEAST_PERIOD_MS - sinceMs))
      : retryDelayMs(fruitless, retry, Math.random);
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
