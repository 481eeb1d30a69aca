/**
 * The table of exit codes, for people: help, man page and the tables of the
 * documents say what stands here.
 */

import { EXIT, SIGNAL_EXIT } from "../base/errors.ts";

/** One row of the table. */
export interface ExitCode {
  /** One code; of signals several. */
  readonly codes: readonly number[];
  /** A few words, for the help. */
  readonly short: string;
  /** A sentence without a capital and a period; Markdown for `code`. */
  readonly meaning: string;
}

/** Every exit code there is, in the order of the documents. */
export const EXIT_CODES: readonly ExitCode[] = [
  {
    codes: [EXIT.ok],
    short: "everything delivered",
    meaning: "everything was delivered, both sides ended",
  },
  {
    codes: [EXIT.broken],
    short: "the connection broke",
    meaning: "the connection broke before everything was delivered",
  },
  {
    codes: [EXIT.usage],
    short: "usage error",
    meaning: "usage error; nothing was opened",
  },
  {
    codes: [EXIT.connect],
    short: "could not connect",
    meaning:
      "could not connect: refused, unreachable, unknown name, attempts used up",
  },
  {
    codes: [EXIT.listen],
    short: "could not listen",
    meaning: "could not listen: address in use, no permission, unknown address",
  },
  {
    codes: [EXIT.timeLimit],
    short: "a time limit was reached",
    meaning: "a time limit was reached; the message says which",
  },
  {
    codes: [EXIT.damaged],
    short: "the stream is incomplete or damaged",
    meaning:
      "the stream is incomplete or damaged, or the peer does not speak the protocol (`--reliable`)",
  },
  {
    codes: [EXIT.refused],
    short: "refused for security",
    meaning: "refused for security: TLS, secret, certificate, pin, token",
  },
  {
    codes: [EXIT.localIo],
    short: "local input or output failed",
    meaning: "local input or output failed: disk full, stdin not readable",
  },
  {
    codes: Object.values(SIGNAL_EXIT),
    short: "a signal",
    meaning: "ended by SIGHUP, SIGINT, SIGTERM",
  },
  {
    codes: [EXIT.readerGone],
    short: "stdout's reader is gone",
    meaning: "the reader of stdout went away (`| head`)",
  },
];
