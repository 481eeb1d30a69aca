/**
 * The fast path of a plain connection: its socket is joined directly to stdin and
 * stdout.
 */

import type { Options } from "../cli/options.ts";
import { libc } from "../base/libc.ts";
import { answersPoll } from "../io/descriptor.ts";
import { closeStdout } from "../io/close_stdout.ts";
import { isEngineOff } from "../io/engine.ts";
import { readsTerminal } from "../io/stdio.ts";
import type { Connection } from "../net/connection.ts";
import type { PipeOptions } from "../pipe/pipe.ts";

/** The most that one read takes without --data-size, in bytes. */
const DATA_SIZE = 256 * 1024;

/**
 * Whether a connection may be joined to stdin and stdout by {@linkcode relayStdio}:
 * nothing is to come between the two, and the system lets us ask it directly.
 */
export function canRelay(options: Options, connection: Connection): boolean {
  const { end, output, dump, limitRate, progress, talk } = options;
  const isDirect = end.kind === "stdio" && output === undefined &&
    dump === undefined && limitRate === undefined;
  // A meter on the terminal on which the data appear gives way to them.
  const sharesTerminal = progress && talk !== "json" && !options.sendOnly &&
    Deno.stdout.isTerminal();
  const c = libc();
  return isDirect && !sharesTerminal && !isEngineOff() &&
    c !== undefined && answersPoll(c, 0) &&
    connection.plainDescriptor() !== undefined;
}

/**
 * Joins a connection to stdin and stdout until both directions have ended; see
 * {@linkcode relay} for what it throws. The caller closes the connection.
 */
export async function relayStdio(
  connection: Connection,
  options: Options,
  pipeOptions: PipeOptions,
): Promise<void> {
  const c = libc();
  const { descriptor, peer } = connection;
  if (c === undefined || descriptor === undefined) return;
  const { relay } = await import("../io/relay.ts");
  const { message, receiveOnly, sendOnly, dataSize } = options;
  try {
    await relay(c, {
      fd: descriptor.fd,
      peer,
      shutdown: () => descriptor.shutdownWrite(),
      takeError: () => descriptor.takeError(),
      isAcknowledged: () => descriptor.isAcknowledged(),
    }, {
      ...pipeOptions,
      dataSize: dataSize ?? DATA_SIZE,
      message: message === undefined
        ? undefined
        : new TextEncoder().encode(message),
      readsStdin: message === undefined && !receiveOnly,
      writesStdout: !sendOnly,
      keepsSendingOpen: receiveOnly || pipeOptions.noHalfClose === true,
      endsWithPeer: readsTerminal(options),
      closeStdout: () => closeStdout(c),
    });
  } catch (error) {
    connection.abort();
    throw error;
  }
}
