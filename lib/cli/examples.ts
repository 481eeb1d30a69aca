/** The examples of the help and the man page. */

/** One use of the program, as it is typed. */
export interface Example {
  /** The purpose; a sentence without a period. */
  readonly purpose: string;
  readonly command: string;
}

/** The few that a newcomer needs. */
export const EXAMPLES: readonly Example[] = [
  {
    purpose: "Two machines, one secret: make it, and copy it, once",
    command: "sockpipe --new-secret key && scp -p key nas.local:",
  },
  {
    purpose: "Send a directory",
    command:
      "tar c photos | sockpipe --connect nas.local:32000 --secret-file key",
  },
  {
    purpose: "Receive it",
    command: "sockpipe --listen :32000 --secret-file key | tar x",
  },
  {
    purpose: "Wait for a service",
    command: "sockpipe --connect db.local:5432 --probe --retry-timeout 30s",
  },
];
