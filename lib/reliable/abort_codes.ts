/** The codes of ABORT and of refusals, and the errors that they stand for. */

import {
  BrokenError,
  ConnectError,
  DamagedError,
  LocalIoError,
  ReaderGoneError,
  reasonOf,
  RefusedError,
  SignalError,
  SockpipeError,
  TimeLimitError,
} from "../base/errors.ts";
import type { AbortReason } from "./wire.ts";

/** The codes on the wire (`docs/protocol.md` section 8). */
export const ABORT_CODE = {
  protocol: 1,
  version: 2,
  options: 3,
  busy: 4,
  session: 5,
  refused: 6,
  localIo: 7,
  readerGone: 8,
  interrupted: 9,
  timeLimit: 10,
} as const;

/** Finds the code that tells the peer why this side failed. */
export function abortCodeOf(error: unknown): number {
  if (error instanceof DamagedError) return ABORT_CODE.protocol;
  if (error instanceof ReaderGoneError) return ABORT_CODE.readerGone;
  if (error instanceof SignalError) return ABORT_CODE.interrupted;
  if (error instanceof TimeLimitError) return ABORT_CODE.timeLimit;
  return ABORT_CODE.localIo;
}

/**
 * Writes what the peer is told of why this side failed: of a local failure the reason
 * alone, as paths of this machine are nobody else's business.
 */
export function abortTextOf(error: unknown): string {
  if (error instanceof LocalIoError) {
    return error.cause === undefined ? "" : reasonOf(error.cause);
  }
  return error instanceof SockpipeError ? error.message : "";
}

/**
 * Makes the error that a reason stands for.
 *
 * @param by The side that has found the reason: this one, or the peer, which has
 * sent it.
 */
export function errorOf(
  { code, text }: AbortReason,
  by: "own" | "peer",
): SockpipeError {
  const said = text === "" ? "" : ` ("${text}")`;
  const found = by === "peer" ? "the peer says that" : "as it seems";
  switch (code) {
    case ABORT_CODE.protocol:
      return new DamagedError(
        `Cannot go on with the session: ${found} the stream or the protocol is damaged${said}`,
      );
    case ABORT_CODE.version:
      return new DamagedError(
        `Cannot begin a session: the peer speaks another version of the protocol${said}`,
      );
    case ABORT_CODE.options:
      return new DamagedError(
        `Cannot begin a session: the options of both sides differ (--digest, --resume)${said}`,
      );
    case ABORT_CODE.busy:
      return new ConnectError(
        `Cannot begin a session: the peer has one with somebody else${said}`,
      );
    case ABORT_CODE.session:
      return new DamagedError(
        `Cannot resume the session: the peer does not know it (any more)${said}`,
      );
    case ABORT_CODE.refused:
      return new RefusedError(
        `Cannot begin a session: ${
          by === "peer"
            ? "the peer refused our token"
            : "the peer does not know the token"
        } (--token-file)${said}`,
      );
    default:
      return new BrokenError(
        `Cannot go on with the session: the peer ended it${said}`,
      );
  }
}
