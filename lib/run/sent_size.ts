/** The amount that a run will send, where it can be known in advance. */

import { fileOffset } from "../base/descriptors.ts";
import { libc } from "../base/libc.ts";
import type { Options } from "../cli/options.ts";

/**
 * Asks how much is still to be read of what is sent, when it is a file.
 *
 * @returns In bytes; `undefined` when it is not known, or goes to many.
 */
export async function sentSize(options: Options): Promise<number | undefined> {
  const { end } = options;
  if (options.mode === "listen" && options.keepOpen !== undefined) return;
  const path = end.kind === "serve" ? end.path : undefined;
  if (path === undefined && !readsStdin(options)) return undefined;
  // node:fs is loaded only here, since that takes milliseconds.
  const { fstatSync, statSync } = await import("node:fs");
  try {
    const stat = path === undefined ? fstatSync(0) : statSync(path);
    if (!stat.isFile()) return undefined;
    const c = path === undefined ? libc() : undefined;
    const before = c === undefined ? 0 : fileOffset(c, 0) ?? 0;
    return Math.max(0, stat.size - before);
  } catch {
    return undefined;
  }
}

/** Whether stdin is sent, and nothing in its place. */
export function readsStdin(options: Options): boolean {
  const { end, message, receiveOnly } = options;
  return end.kind === "stdio" && message === undefined && !receiveOnly &&
    !isBroker(options);
}

/** Whether what a client sends goes to all others, and nowhere else. */
export function isBroker(options: Options): boolean {
  return options.mode === "listen" && options.keepOpen?.broker === true;
}
