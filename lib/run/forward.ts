/** `--forward`: our end of a connection is another connection. */

import type { DialSettings, RunContext } from "./context.ts";
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
 * Reads all that is needed to connect to where everything is forwarded to.
 *
 * @param settings.dataSize The most that one read may take, in bytes.
 * @returns Opens an end that passes half-closes and failures on; the caller's to
 * close. Rejects when it is not there, or is not trusted.
 * @throws What `prepareDial` throws.
 */
export async function prepareForward(
  { dataSize, keepaliveMs, ...settings }:
    & Omit<DialSettings, "connectTimeoutMs">
    & { readonly dataSize: number; readonly keepaliveMs: number },
  { prepareDial, report }: RunContext,
): Promise<(signal: AbortSignal) => Promise<LocalEnd>> {
  const { connectTimeoutMs } = ONCE;
  const dial = await prepareDial({ ...settings, connectTimeoutMs }, report);
  return async (signal) =>
    localEnd(
      new Connection(await dial(ONCE, signal), {
        dataSize,
        keepaliveMs,
        traffic: new Traffic(),
      }),
    );
}

function localEnd(target: Connection): LocalEnd {
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
