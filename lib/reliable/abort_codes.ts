/** Why a session ends or is refused: the codes on the wire, and our own errors. */

import {
  BrokenError,
  ConnectError,
  DamagedError,
  ReaderGoneError,
  RefusedError,
  SignalError,
  type SockpipeError,
  TimeLimitError,
} from "../base/errors.ts";
import type { AbortReason } from "../../framing.ts";

/** Why a side refuses or aborts; the codes on the wire. */
export const REASON = {
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

/** What ABORT says of a failure on this side. */
export function reasonFor(error: unknown): number {
  if (error instanceof DamagedError) return REASON.protocol;
  if (error instanceof ReaderGoneError) return REASON.readerGone;
  if (error instanceof SignalError) return REASON.interrupted;
  if (error instanceof TimeLimitError) return REASON.timeLimit;
  return REASON.localIo;
}

/** The error that a reason stands for, when we or the peer end the session with it. */
export function errorOf(
  { code, text }: AbortReason,
  by: "own" | "peer",
): SockpipeError {
  const said = text === "" ? "" : ` ("${text}")`;
  const found = by === "peer" ? "the peer says that" : "as it seems";
  switch (code) {
    case REASON.protocol:
      return new DamagedError(
        `Cannot go on with the session: ${found} the stream or the protocol is damaged${said}`,
      );
    case REASON.version:
      return new DamagedError(
        `Cannot begin a session: the peer speaks another version of the protocol${said}`,
      );
    case REASON.options:
      return new DamagedError(
        `Cannot begin a session: the options of both sides differ (--digest)${said}`,
      );
    case REASON.busy:
      return new ConnectError(
        `Cannot begin a session: the peer has one with somebody else${said}`,
      );
    case REASON.session:
      return new DamagedError(
        `Cannot resume the session: the peer does not know it (any more)${said}`,
      );
    case REASON.refused:
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
