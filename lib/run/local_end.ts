/**
 * The local end of a connection, as the options say: stdin and stdout, a file,
 * another connection or a process.
 */

import type { Options } from "../cli/options.ts";
import { DescriptorShortage } from "./descriptor_limit.ts";
import { BULK_DATA_SIZE, DEFAULT_DATA_SIZE } from "../../framing.ts";
import type { Hub, OwnSource } from "./hub.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { OpenLocalEnd } from "./join.ts";
import type { RunContext } from "./context.ts";
import { Stdio } from "../io/stdio.ts";

/**
 * Prepares the local end: loads and checks everything before the first connection.
 *
 * @param options.hub The hub that shares stdin and stdout, when there are many
 * connections.
 * @throws {LocalIoError} The file to serve cannot be read.
 */
export async function prepareLocalEnd(
  options: Options,
  context: RunContext,
  { shortage = new DescriptorShortage(context.report), hub }: {
    shortage?: DescriptorShortage;
    hub?: Hub | undefined;
  } = {},
): Promise<OpenLocalEnd> {
  const { end } = options;
  const dataSize = options.dataSize ?? DEFAULT_DATA_SIZE;
  switch (end.kind) {
    case "stdio": {
      if (hub === undefined) return () => Promise.resolve(new Stdio(options));
      if (options.message === undefined) {
        return () => Promise.resolve(hub.addMember());
      }
      return () => Promise.resolve(hub.addMember(messageSource(options)));
    }
    case "serve": {
      const { checkFile, openFile } = await import("./file_source.ts");
      checkFile(end.path);
      return async (_peer, signal) => {
        const open = () => openFile(end.path, dataSize);
        const file = await shortage.retry(open, signal);
        return hub === undefined ? fileEnd(file, options) : hub.addMember(file);
      };
    }
    case "forward": {
      const { prepareForward } = await import("./forward.ts");
      const open = await prepareForward({
        ...end,
        dataSize: options.dataSize ?? BULK_DATA_SIZE,
        keepaliveMs: options.keepaliveMs,
        // With --connect, the options say how the peer is reached, and only that.
        route: options.mode === "connect" ? undefined : options.route,
      }, context);
      return (peer, signal) => shortage.retry(() => open(peer, signal), signal);
    }
    case "exec": {
      const { processOpener } = await import("../exec/exec.ts");
      const { command, socket } = end;
      const open = await processOpener(command, { dataSize, socket });
      return (peer, signal) => shortage.retry(() => open(peer), signal);
    }
  }
}

function messageSource(options: Options): OwnSource {
  const { source } = new Stdio({ ...options, sendOnly: true });
  return { read: () => source.read(), [Symbol.dispose]: () => {} };
}

/** Makes an end that sends a file and writes to stdout. */
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
