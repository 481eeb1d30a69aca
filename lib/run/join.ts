/** Joining one connection with our own end of it. */

import { claim, onAbort } from "../base/deadline.ts";
import type { Connection } from "../net/connection.ts";
import type { Layers } from "./context.ts";
import type { Options } from "../cli/options.ts";
import { type LocalEnd, pipe, type PipeOptions } from "../pipe/pipe.ts";

/**
 * Makes our end for a connection; the caller's to close.
 *
 * @param signal Its abort ends the wait for it.
 * @throws An error of `errors.ts` that says why there is none.
 */
export type OpenLocalEnd = (
  connection: Connection,
  signal: AbortSignal,
) => Promise<LocalEnd>;

/** Finds whether `--no-half-close` applies; `undefined` where the local end decides. */
export function noHalfCloseOf(
  { end: { kind }, receiveOnly, noHalfClose }: Options,
): boolean | undefined {
  const sendsOwn = (kind === "stdio" || kind === "serve") && !receiveOnly;
  return sendsOwn ? noHalfClose : undefined;
}

/**
 * Joins a connection with our own end, until both directions have ended and our end
 * has finished its work. It is closed then and nothing of it is left; the connection
 * is the caller's.
 *
 * @param layers The wrappers around the connection.
 * @throws What `open`, {@linkcode pipe} and our end throw. The connection has been
 * aborted then; not when our end fails after everything has been passed on.
 */
export async function joinConnection(
  open: OpenLocalEnd,
  connection: Connection,
  layers: Layers,
  options: PipeOptions,
): Promise<void> {
  const remote = layers.wrap(connection, connection.peer);
  let local: LocalEnd;
  try {
    // What opens it may block for ever, such as a named pipe without a writer.
    local = await claim(open(connection, options.signal), options.signal);
  } catch (error) {
    remote.abort();
    throw error;
  }
  try {
    await (local.joinDirectly?.(remote, options) ??
      pipe(local, remote, options));
  } catch (error) {
    await local.finished?.().catch(() => {});
    throw error;
  } finally {
    local.close();
  }
  if (local.finished === undefined) return;
  remote.close();
  const { signal } = options;
  using _abort = onAbort(signal, () => local.abort());
  await local.finished();
  signal.throwIfAborted();
}
