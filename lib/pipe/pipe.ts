/**
 * The pipe: two ends joined in both directions, until both have ended.
 *
 * The directions are independent: one that is stalled or has ended never holds up
 * the other. Each ends on its own (half-close), and the first real failure ends
 * both.
 */

import type { Duplex, Sink, Source } from "./duplex.ts";
import { BrokenError, TimeLimitError } from "../base/errors.ts";
import type { Traffic } from "./traffic.ts";
import { formatDuration } from "../base/units.ts";

/**
 * Moves bytes from a source to a sink until the source ends. When it fails, what
 * came before is still written. The sink is not ended.
 */
export async function copy(source: Source, sink: Sink): Promise<void> {
  try {
    for (;;) {
      const bytes = await source.read(await sink.reserve?.());
      if (bytes === null) break;
      await sink.write(bytes);
    }
  } catch (error) {
    await sink.flush?.();
    throw error;
  }
}

/** Our own end: where what is sent comes from and what is received goes. */
export interface LocalEnd extends Duplex {
  /** Whether it has anything to send; if not, our side ends after the peer's. */
  readonly sends: boolean;
  /** Whether its source is given up when the peer has ended. */
  readonly endsWithPeer: boolean;
  /** Resolves when the peer's end is waited for no longer, as nobody is here. */
  readonly gone?: Promise<void>;
  /**
   * Resolves when nothing of it is left, after its close or abort.
   *
   * @throws {LocalIoError} What it did has failed.
   */
  finished?(): Promise<void>;
}

export interface PipeOptions {
  /** Its abort aborts the connection; the pipe rejects with its reason. */
  readonly signal: AbortSignal;
  readonly traffic: Traffic;
  /** The longest time without a byte either way, in ms. */
  readonly idleTimeoutMs: number | undefined;
  /**
   * Whether our side ends only after the peer's; `undefined` where the user has no
   * choice.
   */
  readonly noHalfClose?: boolean | undefined;
  /** Called when one side has ended and the other has not. */
  readonly onHalfClose?: (ended: "local" | "peer") => void;
}

/**
 * Joins our end and the peer's until both directions have ended.
 *
 * Everything that the peer sent is written before this resolves, also when
 * sending has failed in the meantime. The caller closes both ends; on failure and
 * abort both have been aborted, so that the peer does not take it for an end.
 *
 * @throws {BrokenError} The connection broke; with the byte counts.
 * @throws {TimeLimitError} Nothing moved for `idleTimeoutMs`.
 * @throws What the ends throw, and `signal.reason`.
 */
export async function pipe(
  local: LocalEnd,
  remote: Duplex,
  options: PipeOptions,
): Promise<void> {
  const { signal, traffic, idleTimeoutMs } = options;
  const giveUp = Promise.withResolvers<never>();
  const onAbort = () => giveUp.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const stopWatch = idleTimeoutMs === undefined
    ? undefined
    : watchIdle(traffic, idleTimeoutMs, giveUp.reject);
  try {
    signal.throwIfAborted();
    await Promise.race([
      bothWays(local, remote, options),
      giveUp.promise,
      ...(local.sink.failed === undefined ? [] : [local.sink.failed]),
      ...(remote.failed === undefined ? [] : [remote.failed]),
    ]);
  } catch (error) {
    remote.abort();
    local.abort();
    throw error instanceof BrokenError
      ? new BrokenError(`${error.message}; ${traffic}`, { cause: error.cause })
      : error;
  } finally {
    stopWatch?.();
    signal.removeEventListener("abort", onAbort);
  }
}

async function bothWays(
  local: LocalEnd,
  remote: Duplex,
  { onHalfClose, noHalfClose }: PipeOptions,
): Promise<void> {
  let hasOneEnded = false;
  let hasHalfClosed = false;
  const ended = (side: "local" | "peer") => {
    if (!hasOneEnded) onHalfClose?.(side);
    hasOneEnded = true;
  };
  const receive = async () => {
    try {
      await copy(remote.source, local.sink);
    } catch (error) {
      const mayHelp = noHalfClose === false && hasHalfClosed;
      if (!mayHelp || !(error instanceof BrokenError)) throw error;
      const { message, cause } = error;
      throw new BrokenError(message + HALF_CLOSE_HINT, { cause });
    }
    await local.sink.end();
    ended("peer");
  };
  const receiving = receive();
  const send = async () => {
    if (local.sends) await copy(local.source, remote.sink);
    if (local.sends && noHalfClose) ended("local");
    if (!local.sends || noHalfClose) await receiving;
    hasHalfClosed = true;
    await remote.sink.end();
    ended("local");
  };
  const sending = send().catch(async (error) => {
    // What arrived before the connection broke is still to be had.
    if (error instanceof BrokenError) await receiving.catch(() => {});
    throw error;
  });
  const everythingSent = local.endsWithPeer
    ? Promise.race([sending, receiving])
    : sending;
  const everythingReceived = local.gone === undefined
    ? receiving
    : Promise.race([receiving, local.gone]);
  await Promise.all([everythingReceived, everythingSent]);
  await remote.sink.end();
}

/** What may help when the connection breaks after our side has ended. */
export const HALF_CLOSE_HINT =
  " (some servers take the end of what is sent for a client that left: try --no-half-close)";

/**
 * Calls `reject` with a TimeLimitError when no byte has moved for `limitMs`.
 *
 * @returns Stops watching; to be called in any case.
 */
export function watchIdle(
  traffic: Traffic,
  limitMs: number,
  reject: (error: Error) => void,
): () => void {
  const remainingMs = () =>
    limitMs - (performance.now() - Math.max(traffic.lastMoveAt, startedAt));
  const look = () => {
    const ms = remainingMs();
    if (ms > 0) {
      timer = setTimeout(look, ms);
    } else {
      reject(
        new TimeLimitError(
          `No byte either way for ${
            formatDuration(limitMs)
          } (--idle-timeout); ${traffic}`,
        ),
      );
    }
  };
  const startedAt = performance.now();
  let timer = setTimeout(look, limitMs);
  return () => clearTimeout(timer);
}
