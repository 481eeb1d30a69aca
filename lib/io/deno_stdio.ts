/**
 * stdin and stdout as Deno has them: where there is no C library to ask (Windows,
 * or no permission for it), or `SOCKPIPE_ENGINE` is `off`. Each call goes through
 * the runtime's pool of threads.
 */

import { writeAll } from "../base/bytes.ts";
import { libc } from "../base/libc.ts";
import { DEFAULT_DATA_SIZE } from "../../framing.ts";
import type { Sink, Source } from "../pipe/duplex.ts";
import { closeStdout } from "./close_stdout.ts";
import { stdinError, stdoutError } from "./local_errors.ts";

/** Makes a source of stdin; it cannot be closed, and nothing needs it to be. */
export function denoStdin(dataSize: number = DEFAULT_DATA_SIZE): Source {
  const own = new Uint8Array(dataSize);
  return {
    async read(into = own) {
      try {
        const room = into.subarray(0, dataSize);
        const count = await Deno.stdin.read(room);
        return count === null ? null : room.subarray(0, count);
      } catch (error) {
        throw stdinError(error);
      }
    },
  };
}

/**
 * Makes a sink of stdout. Where there is no C library its reader sees the end only
 * when this process is gone: the runtime keeps the descriptor open.
 *
 * @param isLast Whether the process ends as soon as stdout has ended.
 */
export function denoStdout(isLast: () => boolean = () => true): Sink {
  let isEnded = false;
  return {
    async write(bytes) {
      try {
        await writeAll(Deno.stdout, bytes);
      } catch (error) {
        throw stdoutError(error);
      }
    },
    end() {
      const c = isEnded || isLast() ? undefined : libc();
      if (c !== undefined) closeStdout(c);
      isEnded = true;
      return Promise.resolve();
    },
  };
}
