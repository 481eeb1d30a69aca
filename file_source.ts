/** `--serve`: a file as what is sent, from its beginning for each connection. */

import type { Source } from "./duplex.ts";
import { LocalIoError, reasonOf } from "./errors.ts";

/**
 * Makes sure, before anybody is asked to come, that the file can be read.
 *
 * @throws {LocalIoError} It cannot.
 */
export async function checkFile(path: string): Promise<void> {
  const { isDirectory, isFile } = await orFailure(path, Deno.stat(path));
  if (isDirectory) {
    throw new LocalIoError(`Cannot read "${path}": it is a directory`);
  }
  // A named pipe would wait for its writer.
  if (isFile) (await openFile(path, 1))[Symbol.dispose]();
}

/**
 * Opens the file for one connection.
 *
 * @param dataSize The most that one read may take, in bytes.
 * @returns The file from its beginning; disposing closes it.
 * @throws {LocalIoError} It cannot be opened.
 */
export async function openFile(
  path: string,
  dataSize: number,
): Promise<Source & Disposable> {
  const file = await orFailure(path, Deno.open(path));
  const buffer = new Uint8Array(dataSize);
  return {
    async read() {
      const count = await orFailure(path, file.read(buffer));
      return count === null ? null : buffer.subarray(0, count);
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

async function orFailure<T>(path: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new LocalIoError(
      `Cannot read "${path}": ${reasonOf(error).replace(/: .*$/s, "")}`,
      { cause: error },
    );
  }
}
