/** The settings of a reliable session, as the command line gives them. */

/** `--reliable` and what belongs to it; durations in ms. */
export interface ReliableSettings {
  /** Bytes that may be unconfirmed. */
  readonly window: number;
  readonly heartbeatMs: number;
  readonly resumeTimeoutMs: number;
  /** Whether END carries a SHA-256: with `--digest` or `--resume`. */
  readonly digest: boolean;
  /** Whether streams may go on where an earlier run has left them. */
  readonly resume: boolean;
  /** The command line that does so, as a shell reads it. */
  readonly again: string;
  readonly receiptFile: string | undefined;
  /** Whether a file of that name may be replaced: with `--overwrite` or `--resume`. */
  readonly overwritesReceipt: boolean;
  readonly tokenFile: string | undefined;
}
