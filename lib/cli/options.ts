/** The options of a run, read and checked: what the command line comes to. */

import type { Address, ListenAddress } from "../net/address.ts";
import type { AccessRule, AccessRules } from "../net/access_list.ts";
import type { ProxyVersion } from "../net/proxy_versions.ts";
import type { RouteSettings } from "../net/route.ts";
import type { ReliableSettings } from "../reliable/settings.ts";
import type { TlsSettings } from "../tls/settings.ts";

/** Limits and pauses of connecting; durations in ms. */
export interface RetryOptions {
  readonly delayMs: number;
  /** Never below `delayMs`. */
  readonly maxDelayMs: number;
  /** Attempts after the first; `undefined` is no limit. */
  readonly retries: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
}

/**
 * The local end that a connection is joined with. `serve` sends a file, and writes
 * what comes to stdout.
 */
export type EndOptions =
  | { readonly kind: "stdio" }
  | { readonly kind: "serve"; readonly path: string }
  | {
    readonly kind: "forward";
    readonly address: Address;
    /** TLS on the way on; none when `undefined`. */
    readonly tls: TlsSettings | undefined;
    /** The PROXY header that tells who the client is; none when `undefined`. */
    readonly proxyProtocol: ProxyVersion | undefined;
  }
  | {
    readonly kind: "exec";
    readonly command: string;
    /** Whether one socket is its stdin and stdout. */
    readonly socket: boolean;
  };

/** `--keep-open` and what belongs to it. */
export interface KeepOpenOptions {
  readonly broker: boolean;
  readonly lines: boolean;
  readonly slowClient: "wait" | "disconnect";
  /** Bytes that may wait for one client. */
  readonly queueSize: number;
  /** The number of clients in all; `undefined` is no limit. */
  readonly connections: number | undefined;
  /** The number of clients at the same time; `undefined` is no limit. */
  readonly maxConnections: number | undefined;
  readonly graceMs: number;
  /** The longest time without a client; `undefined` is no limit. */
  readonly exitWhenIdleMs: number | undefined;
}

/** `--output` and what belongs to it. */
export interface OutputSettings {
  readonly path: string;
  /** Whether a file of that name may be replaced. */
  readonly overwrite: boolean;
  /** Whether what an earlier run has left is kept, to go on from there. */
  readonly resume: boolean;
  /** The size that it will have, in bytes, if the user knows. */
  readonly size: number | undefined;
  /** The command line that goes on after a failure, as a shell reads it, if any. */
  readonly again: string | undefined;
}

/** The options of both modes. */
interface CommonOptions {
  readonly end: EndOptions;
  /**
   * The way to the peer, with `--listen` to where `--forward` goes; `undefined` is
   * the plain one.
   */
  readonly route: RouteSettings | undefined;
  /** The most bytes that one read may take; `undefined` leaves it to us. */
  readonly dataSize: number | undefined;
  readonly message: string | undefined;
  readonly sendOnly: boolean;
  readonly receiveOnly: boolean;
  /** Whether the sending side is kept open until the peer has ended. */
  readonly noHalfClose: boolean;
  readonly idleTimeoutMs: number | undefined;
  /** The silence after which TCP asks the peer, in ms; 0 is never. */
  readonly keepaliveMs: number;
  readonly output: OutputSettings | undefined;
  readonly reliable: ReliableSettings | undefined;
  readonly tls: TlsSettings | undefined;
  /** Bytes a second, each way. */
  readonly limitRate: number | undefined;
  /** The file of `--dump`. */
  readonly dump: string | undefined;
  readonly progress: boolean;
  /** The expected length of the larger direction, in bytes. */
  readonly size: number | undefined;
  readonly verbosity: "quiet" | "normal" | "verbose" | "json";
}

/** The options of a run with `--listen`. */
export interface ListenOptions extends CommonOptions {
  readonly mode: "listen";
  readonly address: ListenAddress;
  readonly reusePort: boolean;
  /** The file into which the port is written. */
  readonly portFile: string | undefined;
  readonly acceptTimeoutMs: number | undefined;
  /** The rules for who may connect; everybody may when `undefined`. */
  readonly access: AccessRules | undefined;
  /** The addresses whose PROXY header is believed. */
  readonly trustedProxies: readonly AccessRule[];
  /** `undefined` for a listener for one peer. */
  readonly keepOpen: KeepOpenOptions | undefined;
}

/** The options of a run with `--connect`. */
export interface ConnectOptions extends CommonOptions {
  readonly mode: "connect";
  readonly address: Address;
  readonly probe: boolean;
  /** The number of sessions in all, with `--reconnect`; `Infinity` is no end. */
  readonly reconnect: number | undefined;
  readonly retry: RetryOptions;
}

/** The options of a run. */
export type Options = ListenOptions | ConnectOptions;
