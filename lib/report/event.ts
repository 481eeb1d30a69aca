/** The events of a run, for people and for programs. */

import { EXIT } from "../base/errors.ts";
import type { WaitedFor, WaitedMs } from "../pipe/traffic.ts";

/** The names of what is at our end of a connection instead of stdin and stdout. */
export type LocalEndName = "file" | "target" | "command" | "clients";

/** The totals of one connection; in bytes and ms. */
export interface ConnectionTotals {
  readonly sent: number;
  readonly received: number;
  /** The time since it was made. */
  readonly connectedMs: number;
  /** The time waited, by what was waited for. */
  readonly waitedMs?: WaitedMs;
  /** The thing that `stdin` and `stdout` of `waitedMs` mean, if not themselves. */
  readonly localEnd?: LocalEndName;
  /** The time of a round trip, where the system tells it. */
  readonly roundTripMs?: number;
  /** Segments that TCP has sent again, where the system tells it. */
  readonly retransmits?: number;
  /** The same of the connection to the target (`--forward`). */
  readonly targetRoundTripMs?: number;
  readonly targetRetransmits?: number;
}

/**
 * The totals of a run so far, over all of its connections; in bytes and ms. With
 * many, `connectedMs` is the time since the first was made, and `waitedMs` the sum
 * of all.
 */
export interface Totals extends ConnectionTotals {
  /** Bytes that the peer has confirmed (`--reliable`). */
  readonly confirmed?: number;
  /** Broken connections that the stream has survived (`--reliable`). */
  readonly breaks?: number;
  /** Bytes that were there already (`--resume`). */
  readonly held?: number;
  /** The waits of the peer, by what it has told (`--reliable`). */
  readonly peerWaitedMs?: WaitedMs;
  /** Clients that have come (`--keep-open`). */
  readonly clients?: number;
  /** Clients that are there now (`--keep-open`). */
  readonly connected?: number;
  /** The time that all clients together were connected (`--keep-open`). */
  readonly clientsMs?: number;
}

/**
 * The progress of the transfer. Rates are in bytes a second, of the last moments;
 * those that a signal asked for are of the whole time.
 */
export interface Progress extends Totals {
  readonly sentRate: number;
  readonly receivedRate: number;
  /** The expected length of the larger direction, when it is known, in bytes. */
  readonly size?: number;
  /** The part of `size` that has moved, 0 to 100. */
  readonly percent?: number;
  /** The time until `size` is reached, at the average rate so far. */
  readonly etaMs?: number;
  /** The longest wait of the last moments. */
  readonly slow?: WaitedFor;
}

/**
 * Something that happened. Addresses are as `formatAddress` writes them. With
 * `--json` an event is written as it stands here, so its names, once published,
 * stay; `docs/events.schema.json` describes it.
 */
export type Event =
  | {
    readonly event: "listening";
    readonly address: string;
    /** Whether other machines can reach the address. */
    readonly exposed: boolean;
  }
  | {
    readonly event: "connecting";
    readonly address: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
  }
  | {
    readonly event: "retrying";
    readonly address: string;
    readonly reason: string;
    readonly delayMs: number;
  }
  | {
    /** A session has ended; the next one is to begin (`--reconnect`). */
    readonly event: "reconnecting";
    readonly address: string;
    readonly delayMs: number;
  }
  | {
    readonly event: "connected";
    readonly peer: string;
    readonly local: string;
    /** Whether the user asked for no more than this. */
    readonly probe: boolean;
  }
  | {
    /** TLS stands, and its library tells the version (with a pin, and the like). */
    readonly event: "secured";
    readonly peer: string;
    /** Such as "TLS 1.3". */
    readonly version: string;
  }
  | {
    readonly event: "session";
    readonly peer: string;
    /** Whether it goes on after a break. */
    readonly resumed: boolean;
  }
  | {
    readonly event: "interrupted";
    readonly peer: string;
    /** Bytes sent that the peer has confirmed so far. */
    readonly confirmed: number;
    /** Bytes received and written so far. */
    readonly received: number;
  }
  | {
    /** One of many connections has ended well. */
    readonly event: "left";
    readonly peer: string;
  } & ConnectionTotals
  | {
    /** Somebody was not let in, as TLS or the token failed; others may. */
    readonly event: "handshake-failed";
    readonly peer: string;
    readonly reason: string;
  }
  | {
    /** One of many connections has failed; the others go on. */
    readonly event: "failed";
    readonly peer: string;
    readonly reason: string;
  } & ConnectionTotals
  | {
    /** The key by which the other side can be sure that it is us. */
    readonly event: "pin";
    readonly pin: string;
    /** The other side's command line. */
    readonly invitation: string;
    /** Whether the key was made for this run, so that nobody can know it yet. */
    readonly isNew: boolean;
    /** The runtime that the other side must have, where this one is too old. */
    readonly needs?: string;
  }
  | {
    /** The peer is not verified, as the user wants it. */
    readonly event: "insecure";
    readonly peer: string;
  }
  | {
    /** Somebody who may not connect was turned away. */
    readonly event: "refused";
    readonly peer: string;
  }
  | {
    /** The limit of connections is reached; the next one waits. */
    readonly event: "full";
    readonly count: number;
  }
  | {
    /** The system has no file descriptor left; said once. */
    readonly event: "no-descriptors";
  }
  | {
    /** No more connections are accepted; those that stand may finish. */
    readonly event: "stopping";
    readonly count: number;
    readonly graceMs: number;
  }
  | {
    /** Connections that had not finished were ended. */
    readonly event: "cut-off";
    readonly count: number;
  }
  | {
    readonly event: "verified";
    /** SHA-256 of the streams (`--digest`), in hex. */
    readonly sentSha256: string;
    readonly receivedSha256: string;
  }
  | {
    /** A file of an earlier run is being read and hashed (`--resume`). */
    readonly event: "checking";
    readonly path: string;
    readonly bytes: number;
  }
  | {
    /** The stream goes on where an earlier run has left it (`--resume`). */
    readonly event: "continuing";
    /** Bytes that the receiver held. */
    readonly held: number;
    /** Bytes of them that are right. */
    readonly from: number;
  }
  | {
    /** All was received, and is on the disk under its name (`--output`). */
    readonly event: "saved";
    readonly path: string;
    readonly bytes: number;
    /** The time since the connection was made. */
    readonly elapsedMs: number;
    /** Bytes a second, of what came over the line. */
    readonly rate?: number;
    /** The SHA-256 in hex, unless the line was too fast to make it meanwhile. */
    readonly sha256?: string;
  }
  | {
    /** The run failed, and what was received is still there (`--output`). */
    readonly event: "kept";
    readonly path: string;
    readonly bytes: number;
    /** Whether the same command goes on from there. */
    readonly resumable: boolean;
    /** The command line that does, if there is one. */
    readonly command?: string;
  }
  | {
    /** The run failed, and the peer keeps what it has received (`--resume`). */
    readonly event: "unfinished";
    /** The command line that goes on from there, with the same stdin. */
    readonly command: string;
  }
  | { readonly event: "stdin-ended" }
  | { readonly event: "peer-ended" }
  | { readonly event: "progress" } & Progress
  | {
    readonly event: "error";
    readonly message: string;
    readonly exitCode: number;
  }
  | { readonly event: "closed" } & Closed;

/** The last event of every run. */
export interface Closed extends Totals {
  readonly exitCode: number;
  readonly reason: Reason;
  /** The failure, in a sentence; absent when all went well. */
  readonly message?: string;
  /** The time since the start of the process. */
  readonly durationMs: number;
}

/** The reasons of a run's end: one word for each exit code, and one for all signals. */
export const REASONS = {
  [EXIT.ok]: "delivered",
  [EXIT.broken]: "broken",
  [EXIT.usage]: "usage",
  [EXIT.connect]: "connect",
  [EXIT.listen]: "listen",
  [EXIT.timeLimit]: "time-limit",
  [EXIT.damaged]: "damaged",
  [EXIT.refused]: "refused",
  [EXIT.localIo]: "local-io",
  [EXIT.readerGone]: "reader-gone",
} as const;
export type Reason = typeof REASONS[keyof typeof REASONS] | "signal";
