/**
 * Files that are opened for reading, of any kind. A named pipe (fifo(7)) lets whoever
 * opens it wait for somebody who writes, and with Deno 2.4 this whole thread: no
 * signal would be heard. So it is opened and read on another.
 */

import { concat } from "./bytes.ts";
import { cString, type LibC, libc, O_RDONLY } from "./libc.ts";

/** The most that is read at once, in bytes. */
const CHUNK_BYTES = 64 * 1024;

/** A file that is open for reading; closed when it is disposed of. */
export interface ReadableFile extends Disposable {
  /** Its permissions, as st_mode has them; `null` where there are none. */
  readonly mode: number | null;
  /**
   * Reads some bytes, at most as many as there is room for.
   *
   * @returns The number of bytes; `null` at the end.
   * @throws The system's error.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null>;
}

/**
 * Opens a file; a named pipe is waited for.
 *
 * @throws The system's error.
 */
export async function openToRead(path: string): Promise<ReadableFile> {
  const { isFifo, mode } = statusOf(path);
  const c = isFifo ? libc() : undefined;
  if (c !== undefined) {
    const flags = O_RDONLY | c.system.O_CLOEXEC;
    const fd = await c.openAsync(cString(path), flags);
    if (fd >= 0) return new NamedPipe(c, fd, mode);
    // The runtime is asked for what was wrong.
  }
  const file = await Deno.open(path);
  return {
    mode: (await file.stat()).mode,
    read: (into) => file.read(into),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

/** Asks at once, as the right to it may be given up in the next turn. */
function statusOf(path: string): Deno.FileInfo {
  return Deno.statSync(path);
}

/**
 * Reads a file from its beginning.
 *
 * @param maxBytes The most that is read, in bytes.
 * @returns What it has, and its permissions.
 * @throws The system's error.
 */
export async function readBytes(
  path: string,
  maxBytes = Infinity,
): Promise<{ readonly bytes: Uint8Array; readonly mode: number | null }> {
  using file = await openToRead(path);
  const parts: Uint8Array[] = [];
  for (let left = maxBytes; left > 0;) {
    const room = new Uint8Array(Math.min(left, CHUNK_BYTES));
    const count = await file.read(room);
    if (count === null) break;
    parts.push(room.subarray(0, count));
    left -= count;
  }
  return { bytes: concat(parts), mode: file.mode };
}

class NamedPipe implements ReadableFile {
  readonly mode: number | null;
  readonly #c: LibC;
  readonly #fd: number;
  #isClosed = false;

  /** @param fd Is this object's from now on. */
  constructor(c: LibC, fd: number, mode: number | null) {
    this.#c = c;
    this.#fd = fd;
    this.mode = mode;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const count = await this.#c.readAsync(this.#fd, into, BigInt(into.length));
    if (count < 0) throw new Error("input/output error");
    return count === 0 ? null : count;
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#c.close(this.#fd);
  }
}
