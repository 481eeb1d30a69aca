/**
 * FILE.part on the disk: opened so that nobody else's file is ever written to, the
 * room that is set aside for it, and its name at the end.
 */

import { abortable } from "@std/async/abortable";
import { Deadline } from "../base/deadline.ts";
import { fileStatus } from "../base/descriptors.ts";
import { fileInfo } from "../base/file_names.ts";
import { cString, type LibC, libc, O_RDWR, SystemError } from "../base/libc.ts";

/** The longest wait for a lock, where it cannot just be tried, in ms. */
const LOCK_MS = 500;
/** FALLOC_FL_KEEP_SIZE of `<linux/falloc.h>`: the size stays what was written. */
const FALLOC_FL_KEEP_SIZE = 1;
/** EFBIG, ENOSPC and EDQUOT of Linux; all else says nothing about the room. */
const NO_ROOM: ReadonlySet<number> = new Set([27, 28, 122]);

/**
 * Opens FILE.part, made by us or by an earlier run of ours: never through a link,
 * and never a file that others may have put there. It is locked until it is closed.
 *
 * @throws {Error} It is somebody else's, in use, or cannot be opened.
 */
export async function openPart(path: string): Promise<Deno.FsFile> {
  const options = { read: true, write: true };
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { ...options, createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const before = await Deno.lstat(path);
    if (!before.isFile) throw partError(path, "is not a regular file");
    file = await Deno.open(path, options);
    const { uid, dev, ino, nlink } = await file.stat();
    const why = dev !== before.dev || ino !== before.ino
      ? "was replaced meanwhile"
      : uid !== (libc()?.geteuid() ?? uid)
      ? "belongs to somebody else"
      : (nlink ?? 1) > 1
      ? "has another name, too"
      : undefined;
    if (why !== undefined) {
      file.close();
      throw partError(path, why);
    }
  }
  using opened = new DisposableStack();
  opened.use(file);
  if (!await tryLock(file)) {
    throw partError(path, "is being written by another run");
  }
  opened.move();
  return file;
}

/** Takes the lock of a file. @returns False when another run has it. */
async function tryLock(file: Deno.FsFile): Promise<boolean> {
  const exclusive = true;
  // Deno 2.4 has no tryLock. A lock that is free is had at once.
  if ("tryLock" in file) return await file.tryLock(exclusive);
  const { lock } = file as Pick<Deno.FsFile, "lock">;
  using deadline = new Deadline(undefined, LOCK_MS);
  try {
    await abortable(lock.call(file, exclusive), deadline.signal);
    return true;
  } catch (error) {
    if (deadline.signal.aborted) return false;
    throw error;
  }
}

function partError(path: string, why: string): Error {
  return new Error(`${path} ${why}`);
}

/**
 * Opens a file once more, for calls of the C library; what is written goes to its end.
 *
 * @param file The same, as the runtime has it open.
 * @returns A descriptor, the caller's to close; `undefined` where there is none to be
 * had, or the path is another file's by now.
 */
export async function openDescriptor(
  c: LibC,
  path: string,
  file: Deno.FsFile,
): Promise<number | undefined> {
  const { dev, ino } = await file.stat();
  const { O_APPEND, O_CLOEXEC } = c.system;
  const fd = c.open(cString(path), O_RDWR | O_APPEND | O_CLOEXEC);
  if (fd < 0) return undefined;
  const stat = fileStatus(c, fd);
  if (stat !== undefined) {
    // `struct stat` begins with them on 64-bit Linux and macOS.
    const [device] = new Uint32Array(stat.buffer, 0, 1);
    const [, inode] = new BigUint64Array(stat.buffer, 0, 2);
    if (device === dev >>> 0 && Number(inode) === ino) return fd;
  }
  c.close(fd);
  return undefined;
}

/**
 * Sets room on the disk aside, so that a transfer ends before it begins when there is
 * not enough. The size of the file stays as it is; a truncate gives back what is
 * beyond it. Does nothing where the file system has no such thing.
 *
 * @param bytes How large the file is to be in all.
 * @throws {SystemError} There is not enough room.
 */
export async function setRoomAside(
  c: LibC,
  fd: number,
  bytes: number,
): Promise<void> {
  if (c.linux === undefined) return;
  const wanted = [fd, FALLOC_FL_KEEP_SIZE, 0n, BigInt(bytes)] as const;
  if (await c.linux.fallocateAsync(...wanted) === 0) return;
  // Why it failed only a call on this thread tells.
  if (c.linux.fallocate(...wanted) === 0) return;
  const errno = c.errno();
  if (NO_ROOM.has(errno)) throw new SystemError(c, errno);
}

/**
 * Gives a complete file its name and its ordinary permissions, once it is on the
 * disk; {@linkcode syncName} should follow.
 *
 * @param part The file, under its name so far.
 * @throws {Error} It could not be synced or renamed, or there is a file of that name
 * by now, which may not be replaced.
 */
export async function publish(
  file: Deno.FsFile,
  part: string,
  { path, overwrite }: { readonly path: string; readonly overwrite: boolean },
): Promise<void> {
  const mode = ordinaryMode();
  if (mode !== undefined) await Deno.chmod(part, mode);
  await file.sync();
  if (overwrite) await Deno.rename(part, path);
  else await renameUnlessThere(part, path);
}

/** Finds the permissions that a new file would get; `undefined` on systems without. */
function ordinaryMode(): number | undefined {
  const c = libc();
  if (c === undefined) return undefined;
  const mask = c.umask(0o077);
  c.umask(mask);
  return 0o666 & ~mask;
}

/**
 * Renames a file, unless the name is taken meanwhile. Where there are no hard
 * links, the check and the rename are two steps.
 */
async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (error) {
    if (await fileInfo(to) !== undefined) {
      throw new Error("a file of that name has appeared meanwhile", {
        cause: error,
      });
    }
    // Not every file system has hard links.
    return await Deno.rename(from, to);
  }
  await Deno.remove(from);
}
