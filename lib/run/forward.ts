/** `--forward`: our end of a connection is another connection. */

import type { Address } from "../net/address.ts";
import type { Route } from "../net/dial.ts";
import type { RunContext } from "./context.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import { Traffic } from "../pipe/traffic.ts";
import { Connection } from "../net/connection.ts";

/** The longest time that one attempt may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** There is somebody who waits already, so there is one attempt. */
const ONCE = {
  delayMs: 0,
  maxDelayMs: 0,
  retries: 0,
  timeoutMs: undefined,
  connectTimeoutMs: CONNECT_TIMEOUT_MS,
} as const;

/**
 * Connects to where everything is forwarded to.
 *
 * @param options.dataSize The most that one read may take, in bytes.
 * @returns An end that passes half-closes and failures on; the caller's to close.
 * @throws {ConnectError | TimeLimitError} It is not there.
 */
export async function forwardEnd(
  address: Address,
  { dataSize, keepaliveMs, route }: {
    readonly dataSize: number;
    readonly keepaliveMs: number;
    readonly route: Route | undefined;
  },
  context: RunContext,
): Promise<LocalEnd> {
  const conn = await context.connect(address, ONCE, { ...context, route });
  const target = new Connection(conn, {
    dataSize,
    keepaliveMs,
    traffic: new Traffic(),
  });
  return {
    source: target.source,
    sink: target.sink,
    failed: target.failed,
    sends: true,
    endsWithPeer: false,
    close: () => target.close(),
    abort: () => target.abort(),
    [Symbol.dispose]: () => target.close(),
  };
}
