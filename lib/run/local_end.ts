/**
 * What a connection is joined with, as the options say: stdin and stdout, a file,
 * another connection or a process.
 */

import type { Options } from "../cli/options.ts";
import { Descriptors } from "./descriptor_limit.ts";
import type { Duplex } from "../pipe/duplex.ts";
import { DEFAULT_DATA_SIZE } from "../../framing.ts";
import type { Hub, OwnSource } from "./hub.ts";
import { type LocalEnd, pipe, type PipeOptions } from "../pipe/pipe.ts";
import type { Reporter } from "../report/reporter.ts";
import { Stdio } from "../io/stdio.ts";
import type { Connection } from "../net/connection.ts";

/** How much one read takes when bytes go from a socket to a socket. */
export const FORWARD_DATA_SIZE = 256 * 1024;

/**
 * Makes our end for a connection; the caller's to close.
 *
 * @param signal Its abort ends the wait for it.
 * @throws An error of `errors.ts` that says why there is none.
 */
export type OpenEnd = (
  peer: Connection,
  signal: AbortSignal,
) => Promise<LocalEnd>;

/**
 * Prepares what the options say. Everything that is loaded or checked for it is
 * so before the first connection stands.
 *
 * @param options.hub Where stdin and stdout are shared, when there are many connections.
 * @throws {LocalIoError} The file to serve cannot be read.
 */
export async function endOpener(
  options: Options,
  report: Reporter,
  { descriptors = new Descriptors(report), hub }: {
    descriptors?: Descriptors;
    hub?: Hub | undefined;
  } = {},
): Promise<OpenEnd> {
  const { end } = options;
  const dataSize = options.dataSize ?? DEFAULT_DATA_SIZE;
  switch (end.kind) {
    case "stdio": {
      if (hub === undefined) return () => Promise.resolve(new Stdio(options));
      if (options.message === undefined) {
        return () => Promise.resolve(hub.join());
      }
      return () => Promise.resolve(hub.join(messageSource(options)));
    }
    case "serve": {
      const { checkFile, openFile } = await import("./file_source.ts");
      checkFile(end.path);
      return async (_peer, signal) => {
        const open = () => openFile(end.path, dataSize);
        const file = await descriptors.take(open, signal);
        return hub === undefined ? fileEnd(file, options) : hub.join(file);
      };
    }
    case "forward": {
      const { forwardEnd } = await import("./forward.ts");
      const size = options.dataSize ?? FORWARD_DATA_SIZE;
      return (_peer, signal) =>
        descriptors.take(
          () => forwardEnd(end.address, size, { signal, report }),
          signal,
        );
    }
    case "exec": {
      const { execEnds } = await import("../exec/exec.ts");
      const execEnd = await execEnds(end.command, dataSize);
      return (peer, signal) => descriptors.take(() => execEnd(peer), signal);
    }
  }
}

function messageSource(options: Options): OwnSource {
  const { source } = new Stdio({ ...options, sendOnly: true });
  return { read: () => source.read(), [Symbol.dispose]: () => {} };
}

/** A file instead of stdin, and stdout. */
function fileEnd(file: OwnSource, options: Options): LocalEnd {
  // With a message, stdin is not touched.
  const stdio = new Stdio({ ...options, message: "" });
  const close = () => {
    file[Symbol.dispose]();
    stdio.close();
  };
  return {
    source: file,
    sink: stdio.sink,
    sends: true,
    endsWithPeer: false,
    close,
    abort: close,
    [Symbol.dispose]: close,
  };
}

/**
 * Joins a connection with our own end, until both directions have ended. Our end
 * is closed then and nothing of it is left; the connection is the caller's.
 *
 * @param remote The connection, with what the user wants around it.
 * @throws What `open`, {@linkcode pipe} and our end throw; `remote` has been
 * aborted, unless our end failed after all had been passed on.
 */
export async function join(
  open: OpenEnd,
  peer: Connection,
  remote: Duplex,
  options: PipeOptions,
): Promise<void> {
  let local: LocalEnd;
  try {
    local = await open(peer, options.signal);
  } catch (error) {
    remote.abort();
    throw error;
  }
  try {
    await pipe(local, remote, options);
  } catch (error) {
    await local.finished?.().catch(() => {});
    throw error;
  } finally {
    local.close();
  }
  if (local.finished === undefined) return;
  remote.close();
  await local.finished();
}
