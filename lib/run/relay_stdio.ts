/**
 * The fast path of a plain connection: its socket is joined directly to stdin and
 * stdout.
 */

import { BULK_DATA_SIZE } from "../../framing.ts";
import type { Options } from "../cli/options.ts";
import { libc } from "../base/libc.ts";
import { closeStdout } from "../io/close_stdout.ts";
import { relay } from "../io/relay.ts";
import { answersPoll } from "../io/descriptor.ts";
import { usesDenoStreams } from "../io/engine.ts";
import type { FlowEnd } from "../io/flow.ts";
import { readsTerminal } from "../io/terminal.ts";
import type { Connection } from "../net/connection.ts";
import type { PipeOptions } from "../pipe/pipe.ts";
import type { OutputFile } from "./output_file.ts";

/**
 * Whether a connection may be joined to stdin and stdout by {@linkcode relayStdio}:
 * nothing is to come between the two, and the system lets us ask it directly.
 *
 * @param output The file of `--output`, in place of stdout.
 */
export function canRelay(
  options: Options,
  connection: Connection,
  output: OutputFile | undefined,
): boolean {
  const { end, dump, limitRate, progress, verbosity } = options;
  const isDirect = end.kind === "stdio" && dump === undefined &&
    limitRate === undefined &&
    (output === undefined || output.descriptor !== undefined);
  // A meter on the terminal on which the data appear gives way to them.
  const sharesTerminal = progress && verbosity !== "json" &&
    !options.sendOnly &&
    output === undefined && Deno.stdout.isTerminal();
  const c = libc();
  return isDirect && !sharesTerminal && !usesDenoStreams() &&
    c !== undefined && answersPoll(c, 0) &&
    connection.relayDescriptor() !== undefined;
}

/**
 * Joins a connection to stdin and stdout until both directions have ended; see
 * {@linkcode relay} for what it throws. {@linkcode canRelay} must hold. The caller
 * closes the connection.
 *
 * @param output The file of `--output`, in place of stdout. It is ended when the peer
 * has ended, and the caller's to close.
 * @throws {LocalIoError} It could not be ended.
 */
export async function relayStdio(
  connection: Connection,
  options: Options,
  pipeOptions: PipeOptions,
  output: OutputFile | undefined,
): Promise<void> {
  const c = libc();
  const { descriptor, peer } = connection;
  if (c === undefined || descriptor === undefined) {
    throw new Error("relayStdio() needs what canRelay() asks for");
  }
  const { message, receiveOnly, sendOnly, dataSize } = options;
  const target = outputTarget(output);
  const { signal } = pipeOptions;
  try {
    await relay(c, {
      fd: descriptor.fd,
      peer,
      shutdown: () => descriptor.shutdownWrite(),
      takeError: () => descriptor.takeError(),
      isAcknowledged: () => descriptor.isAcknowledged(),
    }, {
      ...pipeOptions,
      signal: target === undefined
        ? signal
        : AbortSignal.any([signal, target.failed]),
      dataSize: dataSize ?? BULK_DATA_SIZE,
      message: message === undefined
        ? undefined
        : new TextEncoder().encode(message),
      readsStdin: message === undefined && !receiveOnly,
      target: target?.end ?? (sendOnly ? undefined : "stdout"),
      keepsSendingOpen: receiveOnly || pipeOptions.noHalfClose === true,
      endsWithPeer: readsTerminal(options),
      closeTarget: target?.close ?? (() => closeStdout(c)),
    });
  } catch (error) {
    connection.abort();
    throw error;
  } finally {
    await target?.closed();
  }
  await output?.end();
}

/** The file of `--output`, as a relay writes to it. */
interface OutputTarget {
  readonly end: FlowEnd;
  /** Aborts when the file cannot be ended. */
  readonly failed: AbortSignal;
  /** Ends the file, while the relay may go on. */
  readonly close: () => void;
  /** Waits until nobody is ending it. */
  readonly closed: () => Promise<void>;
}

function outputTarget(
  output: OutputFile | undefined,
): OutputTarget | undefined {
  const descriptor = output?.descriptor;
  if (output === undefined || descriptor === undefined) return undefined;
  const failed = new AbortController();
  let ending = Promise.resolve();
  return {
    end: {
      descriptor,
      failed: (cause) => output.failure(cause),
      took: (bytes) => output.took(bytes),
    },
    failed: failed.signal,
    close: () => {
      ending = output.end().catch((error) => failed.abort(error));
    },
    closed: () => ending,
  };
}
