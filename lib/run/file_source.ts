/** `--serve`: a file as what is sent, from its beginning for each connection. */

import type { Source } from "../pipe/duplex.ts";
import { isSpecialFile, LocalIoError, reasonOf } from "../base/errors.ts";
import { openToRead } from "../base/readable_file.ts";

/**
 * Checks that the file can be served.
 *
 * @throws {LocalIoError} It cannot be read.
 */
export function checkFile(path: string): void {
  try {
    const { isDirectory, isFile } = Deno.statSync(path);
    if (isDirectory) {
      throw new LocalIoError(`Cannot read "${path}": it is a directory`);
    }
    // A named pipe would wait for its writer.
    if (isFile) Deno.openSync(path).close();
  } catch (error) {
    throw failure(path, error);
  }
}

/**
 * Opens the file for one connection. A regular file is opened and read without
 * another thread, as it never blocks for long and thousands of clients may come for
 * a short one; any other kind may block, and is read on another thread.
 *
 * @param dataSize The most that one read may take, in bytes.
 * @returns The file from its beginning; disposing closes it.
 * @throws {LocalIoError} It cannot be opened.
 */
export function openFile(
  path: string,
  dataSize: number,
): FileSource {
  try {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile) return openBlocking(path, dataSize);
    // Files of /proc say 0. A short file needs little room.
    const most = size === 0 ? dataSize : Math.min(dataSize, size);
    const room = new Uint8Array(most);
    const file = Deno.openSync(path);
    let left = size;
    return sourceOf(path, file, () => {
      const count = file.readSync(room);
      if (count === null && left > 0) throw shortened(path, size, left);
      left -= count ?? 0;
      return count === null ? null : room.subarray(0, count);
    });
  } catch (error) {
    throw failure(path, error);
  }
}

/** An open file. */
export type FileSource = Source & Disposable;

/**
 * Begins to open what may have to be waited for, such as a named pipe. The first
 * read waits, so that the limits of the connection hold meanwhile, and its end is
 * noticed.
 */
function openBlocking(path: string, dataSize: number): FileSource {
  const room = new Uint8Array(dataSize);
  const opening = openToRead(path);
  opening.catch(() => {});
  const close = () => {
    opening.then((file) => file[Symbol.dispose](), () => {});
  };
  return sourceOf(path, { [Symbol.dispose]: close }, async () => {
    const count = await (await opening).read(room);
    return count === null ? null : room.subarray(0, count);
  });
}

type Read = () => Uint8Array | null | Promise<Uint8Array | null>;

function sourceOf(path: string, file: Disposable, read: Read): FileSource {
  return {
    async read() {
      try {
        return await read();
      } catch (error) {
        throw failure(path, error);
      }
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

/** Makes the error for a file that has become shorter. */
function shortened(path: string, size: number, left: number): LocalIoError {
  return new LocalIoError(
    `Cannot read all of "${path}": it was cut to ${
      size - left
    } of ${size} bytes meanwhile`,
  );
}

function failure(path: string, error: unknown): LocalIoError {
  if (error instanceof LocalIoError) return error;
  const reason = isSpecialFile(error)
    ? `${reasonOf(error)}; give it as stdin (< FILE)`
    : reasonOf(error).replace(/: .*$/s, "");
  return new LocalIoError(`Cannot read "${path}": ${reason}`, { cause: error });
}
