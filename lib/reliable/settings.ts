/** The settings of a reliable session, as the command line gives them. */

/** `--reliable` and what belongs to it; durations in ms. */
export interface ReliableSettings {
  /** Bytes that may be unconfirmed. */
  readonly window: number;
  readonly heartbeatMs: number;
  readonly resumeTimeoutMs: number;
  readonly digest: boolean;
  readonly tokenFile: string | undefined;
}
