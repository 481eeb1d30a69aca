/** What is to happen to two sessions in the simulated world, and what came of it. */

/** How a connection breaks. */
export interface Cut {
  /** Whether bytes that are under way still arrive. */
  readonly flush: boolean;
  /** Whether nobody is told: only silence shows it. */
  readonly silent: boolean;
}

/** A cut when so many bytes have passed to one side, over all connections. */
export interface Incident extends Cut {
  readonly to: SideName;
  readonly at: number;
  /** Who dies, besides the connection. */
  readonly kill?: SideName;
  /** For how long nobody can connect afterwards, in ms. */
  readonly outageMs?: number;
}

export type SideName = "connect" | "listen";

export interface SidePlan {
  readonly stdin: Uint8Array;
  readonly window: number;
  readonly dataSize: number;
  /** Sends nothing, and ends its stream when the peer's is complete. */
  readonly receiveOnly?: boolean;
  /** What an earlier run has left of the other side's stdin, right or wrong. */
  readonly held?: Uint8Array;
  /** Does not write to stdout before its own stream is confirmed. */
  readonly stalls?: boolean;
  /** stdout fails after so many bytes. */
  readonly stdoutFailsAt?: number;
}

export interface Plan {
  readonly seed: number;
  readonly connect: SidePlan;
  readonly listen: SidePlan;
  readonly digest?: boolean;
  readonly token?: Uint8Array;
  readonly resumesFiles?: boolean;
  /** In ms; 60 s when not given. */
  readonly resumeTimeoutMs?: number;
  readonly incidents?: readonly Incident[];
  /** How many connections that are no business of the session come, too. */
  readonly intruders?: number;
}

export interface Outcome {
  readonly connect: SideOutcome;
  readonly listen: SideOutcome;
  /** Bytes that passed to each side. */
  readonly passed: Record<SideName, number>;
  readonly connections: number;
  /** Milliseconds on the clock that nobody waited for. */
  readonly elapsedMs: number;
}

export interface SideOutcome {
  /** `undefined` for a side that was killed. */
  readonly exit: number | undefined;
  readonly error: unknown;
  readonly stdout: Uint8Array;
}
