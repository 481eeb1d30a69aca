/**
 * What a connection is joined with, as the options say: stdin and stdout, a file,
 * another connection or a process.
 */

import type { Options } from "../cli/options.ts";
import { Descriptors } from "./descriptor_limit.ts";
import { DEFAULT_DATA_SIZE } from "../../framing.ts";
import type { Hub, OwnSource } from "./hub.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { OpenLocalEnd } from "./join.ts";
import type { RunContext } from "./context.ts";
import { Stdio } from "../io/stdio.ts";

/** How much one read takes when bytes go from a socket to a socket. */
export const FORWARD_DATA_SIZE = 256 * 1024;

/**
 * Prepares what the options say. Everything that is loaded or checked for it is
 * so before the first connection stands.
 *
 * @param options.hub Where stdin and stdout are shared, when there are many connections.
 * @throws {LocalIoError} The file to serve cannot be read.
 */
export async function prepareLocalEnd(
  options: Options,
  context: RunContext,
  { descriptors = new Descriptors(context.report), hub }: {
    descriptors?: Descriptors;
    hub?: Hub | undefined;
  } = {},
): Promise<OpenLocalEnd> {
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
      const { prepareForward } = await import("./forward.ts");
      const open = await prepareForward({
        ...end,
        dataSize: options.dataSize ?? FORWARD_DATA_SIZE,
        keepaliveMs: options.keepaliveMs,
        // With --connect, the options say how the peer is reached, and only that.
        route: options.mode === "connect" ? undefined : options.route,
      }, context);
      return (peer, signal) =>
        descriptors.take(() => open(peer, signal), signal);
    }
    case "exec": {
      const { processOpener } = await import("../exec/exec.ts");
      const { command, socket } = end;
      const open = await processOpener(command, { dataSize, socket });
      return (peer, signal) => descriptors.take(() => open(peer), signal);
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
