/** The descriptors that this process has open, whoever opened them. */

import {
  cString,
  EPERM,
  type LibC,
  libc,
  O_RDWR,
  O_WRONLY,
  POLLIN,
  POLLNVAL,
  SEEK_CUR,
} from "./libc.ts";

/**
 * The number of descriptors in one call; fewer where fewer may be open
 * (RLIMIT_NOFILE), and in the first, after which most searches are over.
 */
const BATCH = 1024;
const FIRST_BATCH = 64;

/**
 * Lists the descriptors that are open, the lowest first. The system gives out the
 * lowest that is free, so the search ends where a whole batch is closed. (The
 * list in /proc/self/fd is refused by Deno 2.8.3 and later.)
 */
export function* openDescriptors(
  c: Pick<LibC, "poll">,
): Generator<number, void> {
  const slots = new Int32Array(BATCH * 2);
  const bytes = new Uint8Array(slots.buffer);
  for (let first = 0, batch = FIRST_BATCH;; first += batch, batch = BATCH) {
    for (let i = 0; i < batch; i++) {
      slots[2 * i] = first + i;
      // The poll(2) of macOS looks at none that is asked for nothing.
      slots[2 * i + 1] = POLLIN;
    }
    while (batch > 0 && c.poll(bytes, BigInt(batch), 0) < 0) batch >>= 1;
    let isEmpty = true;
    for (let i = 0; i < batch; i++) {
      if (((slots[2 * i + 1] ?? 0) >>> 16) & POLLNVAL) continue;
      isEmpty = false;
      yield first + i;
    }
    if (isEmpty) return;
  }
}

/**
 * Reads the status of a descriptor.
 *
 * @returns `struct stat`, which differs between systems; `undefined` when it is
 * not open.
 */
export function fileStatus(
  c: LibC,
  fd: number,
): Uint8Array<ArrayBuffer> | undefined {
  const stat = new Uint8Array(256);
  return c.fstat(fd, stat) === 0 ? stat : undefined;
}

/**
 * Identifies the file of a descriptor: its device and inode, the first 16 bytes of
 * `struct stat` on 64-bit Linux and macOS.
 *
 * @returns `undefined` when it is not open.
 */
export function fileIdentity(c: LibC, fd: number): string | undefined {
  return fileStatus(c, fd)?.subarray(0, 16).join();
}

/**
 * Finds how much of a file was read before, by whoever had it open.
 *
 * @returns In bytes; `undefined` when it cannot be told, or is no file.
 */
export function fileOffset(c: LibC, fd: number): number | undefined {
  const offset = c.lseek(fd, 0n, SEEK_CUR);
  return offset < 0n ? undefined : Number(offset);
}

/**
 * Replaces all descriptors of one file by /dev/null, whoever opened them: each
 * stays valid for whoever writes to it.
 *
 * @param identity See {@linkcode fileIdentity}.
 * @param least The lowest descriptor that may be replaced.
 * @returns Whether it was done.
 */
export function replaceByNull(
  c: LibC,
  identity: string,
  least: number,
): boolean {
  const nowhere = c.open(cString("/dev/null"), O_RDWR);
  if (nowhere < 0) return false;
  for (const fd of openDescriptors(c)) {
    if (fd >= least && fileIdentity(c, fd) === identity) c.dup2(nowhere, fd);
  }
  c.close(nowhere);
  return true;
}

/**
 * The errors of a file that may be open for writing all the same: it may only be
 * appended to (EPERM), or there is no descriptor to look with (ENFILE, EMFILE).
 */
const TELLS_NOTHING: ReadonlySet<number> = new Set([EPERM, 23, 24]);

/**
 * Replaces every descriptor above 2 of a file by /dev/null; see {@linkcode
 * replaceByNull}.
 *
 * @returns Whether none is left; `false` where that cannot be known.
 */
export function detachFile(path: string): boolean {
  const c = libc();
  if (c === undefined) return false;
  let asked = c.open(cString(path), O_RDWR);
  // It may be one that can only be written.
  if (asked < 0) {
    asked = c.open(cString(path), O_WRONLY | c.system.O_NONBLOCK);
  }
  if (asked < 0) return !TELLS_NOTHING.has(c.errno());
  const identity = fileIdentity(c, asked);
  c.close(asked);
  return identity !== undefined && replaceByNull(c, identity, 3);
}
