/** The terms of the benchmark: a row, who takes part, what is done, what comes out. */

import type { Better, Goal } from "./stats.ts";

/**
 * One way to do the work of a row. The commands are what the shell is given, in
 * the folder of the benchmark, after these replacements:
 *
 * - `sockpipe` as the first word is the program under test;
 * - `PORT` and `MIDDLE` are ports on which nobody listens yet;
 * - `TARGET` is the port of a listener of the benchmark, for forwarders.
 */
export interface Contender {
  readonly name: string;
  /** The side that is there first, and is not part of the time. */
  readonly listen: string;
  /** The other one; empty when that is the benchmark itself. */
  readonly connect: string;
  /** A third program, which is there before both. It or `listen` has MIDDLE. */
  readonly between?: string;
  /** Instead of the row's number of bytes. */
  readonly bytes?: number;
  /** Instead of the row's number of connections. */
  readonly connections?: number;
  /** Whether the clients of the benchmark know it by the secret, not the CA. */
  readonly hasSecret?: boolean;
}

/** The work that each contender of a row does. */
export type Work =
  /** A stream from one side to the other, or one each way at once. */
  | {
    readonly kind: "stream";
    readonly ends: "pipes" | "files";
    readonly ways: 1 | 2;
    readonly bytes: number;
  }
  /** Messages through stdin and stdout that come back one after the other. */
  | { readonly kind: "trips"; readonly trips: number; readonly bytes: number }
  /** From the start of the connecting process to its end. */
  | { readonly kind: "start"; readonly starts: number }
  /** A stream through a forwarder. */
  | { readonly kind: "relay"; readonly bytes: number }
  /** stdin of a listener to all its clients. */
  | {
    readonly kind: "broadcast";
    readonly clients: number;
    readonly bytes: number;
  }
  /** Connections that are made, sent one line, answered and ended. */
  | {
    readonly kind: "answers";
    readonly connections: number;
    readonly parallel: number;
  }
  /** TLS connections that are made and ended. */
  | {
    readonly kind: "handshakes";
    readonly connections: number;
    readonly parallel: number;
    /** Whether both sides end each connection, or the client closes it at once. */
    readonly endsInOrder: boolean;
  }
  /** Requests by clients that stay connected; each waits for its answer. */
  | {
    readonly kind: "requests";
    readonly requests: number;
    readonly connections: number;
  }
  /** Connections that do nothing. */
  | { readonly kind: "idle"; readonly connections: number };

/** One number that comes out of a row. */
export interface Metric {
  /** Its name in {@linkcode Sample}. */
  readonly key: MetricKey;
  readonly title: string;
  readonly unit: string;
  readonly better: Better;
  readonly goals: readonly Goal[];
  /** Whether it has a place in the chart. */
  readonly charted?: boolean;
}

/** The numbers that a piece of work can yield. */
export type MetricKey =
  | "rate"
  | "cpu"
  | "rssListen"
  | "rssConnect"
  | "trip"
  | "start"
  | "answers"
  | "requests"
  | "latency"
  | "idle";

/** The numbers of one run of a contender. */
export type Sample = Partial<Record<MetricKey, number>>;

/** A row: several contenders do the same work in turn. */
export interface Row {
  /** For `--row`. */
  readonly id: string;
  readonly title: string;
  /** A sentence or two about what is done and how it is verified. */
  readonly about: string;
  readonly work: Work;
  readonly contenders: readonly Contender[];
  readonly metrics: readonly Metric[];
  /** Options that `sockpipe --help` must know; without them no row. */
  readonly needs?: readonly string[];
  /** Rounds, where it is not as many as in the other rows. */
  readonly rounds?: number;
}

/** The amounts of work in the rows. All bytes are multiples of 64 KiB. */
export interface Size {
  readonly rounds: number;
  readonly bulk: number;
  readonly files: number;
  /** Each way. */
  readonly both: number;
  readonly smallReads: number;
  readonly tls: number;
  readonly tlsPin: number;
  readonly handshakes: number;
  readonly trips: number;
  readonly starts: number;
  /** The short and the long stream of the memory row. */
  readonly memory: readonly [number, number];
  readonly connections: number;
  readonly requests: number;
  readonly broadcast: number;
}
