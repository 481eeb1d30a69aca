/**
 * The surroundings of a run: its signal, its reporter, and what is put around its
 * connections.
 */

import type { Address } from "../net/address.ts";
import type { Options, RetryOptions } from "../cli/options.ts";
import type { Duplex } from "../pipe/duplex.ts";
import type { Meter } from "../report/meter.ts";
import type { RouteSettings } from "../net/route.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Socket } from "../net/socket.ts";
import { mayReconnect } from "./rights.ts";

/** The surroundings of a run: signal, reporter and dialer. */
export interface RunContext {
  /** Its abort ends the run, which rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
  /** Prepares connecting to a peer, for `--forward`; loaded when it is first called. */
  readonly prepareDial: PrepareDial;
}

/** The target of a dial, and the way to it. */
export interface DialSettings {
  readonly address: Address;
  readonly route: RouteSettings | undefined;
  /** The encryption of the connection and the verification of the peer. */
  readonly tls: Options["tls"];
  /** The limit on a handshake of TLS. */
  readonly connectTimeoutMs: number;
}

/**
 * Reads all that is needed to connect to a peer; nothing is connected yet.
 *
 * @throws What `prepareRoute` and, with TLS, `prepareClient` throw.
 */
export type PrepareDial = (
  settings: DialSettings,
  report: Reporter,
) => Promise<SecuredDial>;

/**
 * Connects and verifies the peer; retries as `retry` says.
 *
 * @returns A socket on which data may move, the caller's to close.
 * @throws {ConnectError} The failure is not worth another attempt, or none is left.
 * @throws {TimeLimitError} `retry.timeoutMs` is over, or the last attempt that was
 * left, or the handshake, took longer than it may.
 * @throws {RefusedError} The peer is not to be trusted, or refuses us.
 * @throws `signal.reason`.
 */
export type SecuredDial = (
  retry: RetryOptions,
  signal: AbortSignal,
) => Promise<Socket>;

/** Tells the service manager that we are ready, once, if there is one. */
export async function notifyServiceManager(): Promise<void> {
  if (!Deno.env.has("NOTIFY_SOCKET")) return;
  const { notifyReady } = await import("../net/notify.ts");
  notifyReady();
}

/** The wrappers around every connection: a record, a limited rate. */
export interface Layers extends Disposable {
  /** @param peer The peer's address, for the record. */
  wrap(remote: Duplex, peer: string): Duplex;
}

/**
 * Opens the record of `--dump` and prepares `--limit-rate`, if they are wanted.
 *
 * @returns Disposing closes the record.
 * @throws {RecordError} The record cannot be opened.
 */
export async function openLayers(options: Options): Promise<Layers> {
  const { dump, limitRate: bytesPerSecond } = options;
  const isNumbered = mayReconnect(options);
  const record = dump === undefined
    ? undefined
    : (await import("../pipe/dump.ts")).openDump(dump, { isNumbered });
  const limitRate = bytesPerSecond === undefined
    ? undefined
    : (await import("../pipe/rate_limit.ts")).limitRate;
  return {
    wrap(remote, peer) {
      const recorded = record?.record(remote, peer) ?? remote;
      return limitRate?.(recorded, bytesPerSecond ?? Infinity) ?? recorded;
    },
    [Symbol.dispose]: () => record?.[Symbol.dispose](),
  };
}

/** Starts the meter of `--progress`, if it is wanted; disposing of it ends it. */
export async function openMeter(
  options: Options,
  report: Reporter,
): Promise<Meter | undefined> {
  if (!options.progress) return undefined;
  const { startMeter } = await import("./meter_setup.ts");
  return await startMeter(options, report);
}
