/**
 * Descriptors: files, pipes, terminals and sockets as the kernel sees them, read
 * and written without ever waiting, so that one thread can serve many.
 *
 * Others may have the same pipe or terminal open (the shell, the program before
 * us), so its O_NONBLOCK is theirs as much as ours and is neither set nor relied
 * on. A pipe or terminal is opened once more instead, which gives a description of
 * our own; a socket is asked not to wait in each call; a file never does.
 */

import { fileOffset, fileStatus } from "../base/descriptors.ts";
import {
  cString,
  EINTR,
  F_GETFL,
  type LibC,
  O_RDONLY,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  SystemError,
} from "../base/libc.ts";

/** The answer of a read or write that would have to wait. */
export const WOULD_BLOCK = -1;
/** The bytes from which on a larger pipe (and splice(2)) pays off. */
export const BULK_BYTES = 1024 * 1024;
/** The pause before asking again whether a background job is in the foreground, in ms. */
export const BACKGROUND_MS = 200;

/**
 * - `file`: a regular file, /dev/null and the like: ready at any time;
 * - `pipe`, `terminal`, `socket`: what they are called;
 * - `other`: whatever else there is.
 */
export type DescriptorKind = "file" | "pipe" | "terminal" | "socket" | "other";

/** The types of files, of `<sys/stat.h>`, alike on Linux and macOS. */
const S_IFMT = 0o170000;
const KINDS: Readonly<Record<number, DescriptorKind>> = {
  0o100000: "file",
  0o060000: "file", // a block device
  0o010000: "pipe",
  0o140000: "socket",
};
const S_IFCHR = 0o020000;
/** The offset of `st_mode` in `struct stat`, by system and processor. */
const ST_MODE_AT = Deno.build.os === "darwin"
  ? 4
  : Deno.build.arch === "aarch64"
  ? 16
  : 24;
const O_ACCMODE = 3;

/** The most that a pipe takes in one piece or not at all (pipe(7); POSIX says 512). */
const PIPE_BUF = Deno.build.os === "linux" ? 4096 : 512;

/** F_SETPIPE_SZ of Linux, and what an unprivileged process may ask for (pipe(7)). */
const F_SETPIPE_SZ = 1031;
const LARGE_PIPE_BYTES = 1024 * 1024;

/** One direction of something open. */
export class Descriptor implements Disposable {
  /** The number that poll(2) is asked about. */
  readonly fd: number;
  readonly kind: DescriptorKind;
  readonly #c: LibC;
  /** Whether it was opened here, and is closed with this. */
  readonly #isOwn: boolean;
  /** Whether bytes may be written at full size without waiting. */
  readonly isNonBlocking: boolean;
  readonly #dontWait: number;
  /** Memory for poll(2), where a call would wait. */
  readonly #request = new Int32Array(2);
  readonly #requestBytes = new Uint8Array(this.#request.buffer);
  #moved = 0;
  #closed = false;

  private constructor(
    c: LibC,
    fd: number,
    kind: DescriptorKind,
    { isOwn = false, isNonBlocking }: {
      readonly isOwn?: boolean;
      readonly isNonBlocking: boolean;
    },
  ) {
    this.#c = c;
    this.fd = fd;
    this.kind = kind;
    this.#isOwn = isOwn;
    this.isNonBlocking = isNonBlocking;
    this.#dontWait = c.system.MSG_DONTWAIT | c.system.MSG_NOSIGNAL;
  }

  /**
   * Makes a descriptor of one that this process was given, such as stdin.
   *
   * @param fd It stays open, whoever closes what is returned.
   * @param direction The one of `read` and `write` that will be called.
   * @returns `undefined` when it cannot be used in this direction: closed, or
   * opened for the other one only.
   */
  static ofGiven(
    c: LibC,
    fd: number,
    direction: "read" | "write",
  ): Descriptor | undefined {
    const flags = c.fcntl(fd, F_GETFL);
    const wrong = direction === "read" ? O_WRONLY : O_RDONLY;
    if (flags < 0 || (flags & O_ACCMODE) === wrong) return undefined;
    const kind = kindOf(c, fd);
    if (kind === "pipe" || kind === "terminal") {
      const own = reopen(c, fd, direction === "read" ? O_RDONLY : O_WRONLY);
      if (own >= 0) {
        return new Descriptor(c, own, kind, {
          isOwn: true,
          isNonBlocking: true,
        });
      }
    }
    // A send(2) of macOS waits for room, unless the socket itself does not block.
    const isSocketNonBlocking = c.linux !== undefined ||
      (flags & c.system.O_NONBLOCK) !== 0;
    const isNonBlocking = kind === "file" ||
      kind === "socket" && isSocketNonBlocking;
    return new Descriptor(c, fd, kind, { isNonBlocking });
  }

  /**
   * Makes a descriptor of a connected socket that does not block, as the runtime's
   * do not.
   *
   * @param fd The socket; it stays its owner's to close.
   */
  static ofSocket(c: LibC, fd: number): Descriptor {
    return new Descriptor(c, fd, "socket", { isNonBlocking: true });
  }

  /**
   * Whether poll(2) tells the truth about it now. It does not for the terminal of
   * which we are a background job: a read would stop us (SIGTTIN, termios(3)).
   */
  get isPollable(): boolean {
    if (this.kind !== "terminal") return true;
    const foreground = this.#c.tcgetpgrp(this.fd);
    return foreground < 0 || foreground === this.#c.getpgrp();
  }

  /**
   * Reads what is there.
   *
   * @returns How many bytes, 0 at the end, or {@linkcode WOULD_BLOCK}.
   * @throws {SystemError} It cannot be read.
   */
  read(into: Uint8Array): number {
    const c = this.#c;
    if (!this.isPollable) return WOULD_BLOCK;
    if (!this.isNonBlocking && !this.#poll(POLLIN)) return WOULD_BLOCK;
    const most = BigInt(into.length);
    for (;;) {
      const count = this.kind === "socket"
        ? c.recv(this.fd, into, most, this.#dontWait)
        : c.read(this.fd, into, most);
      if (count >= 0) return count;
      if (!this.#isToRepeat()) return WOULD_BLOCK;
    }
  }

  /**
   * Writes as much as there is room for.
   *
   * @param length How many of the bytes are to be written.
   * @returns How many bytes, at least 1, or {@linkcode WOULD_BLOCK}.
   * @throws {SystemError} It cannot be written.
   */
  write(bytes: Uint8Array, length = bytes.length): number {
    const c = this.#c;
    let most = BigInt(length);
    if (!this.isNonBlocking) {
      if (!this.#poll(POLLOUT)) return WOULD_BLOCK;
      most = BigInt(Math.min(length, PIPE_BUF));
    }
    for (;;) {
      const count = this.kind === "socket"
        ? c.send(this.fd, bytes, most, this.#dontWait)
        : c.write(this.fd, bytes, most);
      if (count >= 0) return count;
      if (!this.#isToRepeat()) return WOULD_BLOCK;
    }
  }

  /**
   * Whether what poll(2) says of it, when it is asked for nothing, means that its
   * reader has left. Of a file or terminal nothing does.
   */
  tellsReaderLeft(happened: number): boolean {
    const hasReader = this.kind === "pipe" || this.kind === "socket";
    return hasReader && (happened & (POLLERR | POLLHUP)) !== 0;
  }

  /** Counts bytes that were read or written; enlarges a pipe when they are many. */
  countMoved(bytes: number): void {
    const before = this.#moved;
    this.#moved += bytes;
    if (before < BULK_BYTES && this.#moved >= BULK_BYTES) this.enlarge();
  }

  /** Gives a pipe room for a megabyte, so that one call moves as much. Linux only. */
  enlarge(): void {
    if (this.kind !== "pipe") return;
    this.#c.linux?.fcntlSet(this.fd, F_SETPIPE_SZ, LARGE_PIPE_BYTES);
  }

  /** Closes what was opened here; what was given stays open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#isOwn) this.#c.close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #poll(events: number): boolean {
    this.#request[0] = this.fd;
    this.#request[1] = events;
    return this.#c.poll(this.#requestBytes, 1n, 0) > 0;
  }

  /**
   * Whether a call that failed is to be repeated at once; else it would block.
   *
   * @throws {SystemError} It failed for another reason.
   */
  #isToRepeat(): boolean {
    const errno = this.#c.errno();
    if (errno === this.#c.system.EAGAIN) return false;
    if (errno === EINTR) return true;
    throw new SystemError(this.#c, errno);
  }
}

/**
 * Whether poll(2) knows what may be asked about a descriptor: macOS does not for
 * some devices, such as /dev/tty, and a read of them would stop this thread.
 */
export function answersPoll(c: LibC, fd: number): boolean {
  if (c.linux !== undefined) return true;
  const request = Int32Array.of(fd, POLLIN);
  c.poll(new Uint8Array(request.buffer), 1n, 0);
  return ((request[1] ?? 0) >>> 16 & POLLNVAL) === 0 ||
    kindOf(c, fd) === "file";
}

function kindOf(c: LibC, fd: number): DescriptorKind {
  const stat = fileStatus(c, fd);
  if (stat === undefined) return "other";
  const [mode = 0] = new Uint16Array(stat.buffer, ST_MODE_AT, 1);
  const type = mode & S_IFMT;
  if (type === S_IFCHR) {
    if (c.isatty(fd) === 1) return "terminal";
    // /dev/null, /dev/zero: those that can seek never wait.
    return fileOffset(c, fd) !== undefined ? "file" : "other";
  }
  return KINDS[type] ?? "other";
}

/**
 * Opens what a descriptor stands for once more, so that its calls do not wait.
 * Linux only: elsewhere that gives the same description again.
 */
function reopen(c: LibC, fd: number, access: number): number {
  if (c.linux === undefined) return -1;
  const { O_NONBLOCK, O_NOCTTY, O_CLOEXEC } = c.system;
  return c.open(
    cString(`/proc/self/fd/${fd}`),
    access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
  );
}
